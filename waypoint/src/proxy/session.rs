//! Session persistence at work: which endpoint a client belongs to, and the token that it is given.
//!
//! A session goes before weights (GEP-1619): as long as its endpoint is there, its backend is the client's, even at
//! weight 0. When the endpoint has gone, another is chosen as if there were no session, and a new token is given.

mod token;

use super::exchange::Admitted;
use super::node::Node;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use mesh::Snapshot;
use routing::{Backend, Rule, Session, SessionCarrier};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
pub(crate) use token::Sealer;
use token::Token;

/// The endpoint that a client's token names, and the backend that had it when it was looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinned<'r> {
    pub(crate) backend: &'r Backend,
    token: Token,
}

impl Pinned<'_> {
    pub(crate) fn address(&self) -> SocketAddr {
        self.token.endpoint
    }
}

/// Where a request's token leads, if it has a good one, and its endpoint may be used.
pub(crate) fn find<'r>(node: &Node, snapshot: &Snapshot, rule: &'r Rule, admitted: &Admitted) -> Option<Pinned<'r>> {
    let sessions = rule.sessions.as_deref()?;
    let host = admitted.head.authority.host();
    let at = |backend: &'r Backend, token: Token| {
        let cluster = node.dns.endpoints_now(snapshot, &backend.target, Some(host))?;
        cluster.usable_at(token.endpoint, node.clock.now_ms())?;
        Some(Pinned { backend, token })
    };
    if let Some(session) = &sessions.rule {
        let token = open(&node.sealer, session, &admitted.headers)?;
        return rule.backends.iter().find_map(|backend| at(backend, token));
    }
    let mut backends = rule.backends.iter().zip(&sessions.backends);
    backends.find_map(|(backend, session)| {
        let token = open(&node.sealer, session.as_ref()?, &admitted.headers)?;
        at(backend, token)
    })
}

/// Gives the client its token, if it needs a new one. `path` is what the matched path begins with.
pub(crate) fn keep(
    sealer: &Sealer,
    rule: &Rule,
    backend: &Backend,
    pinned: Option<&Pinned<'_>>,
    endpoint: SocketAddr,
    path: &str,
    headers: &mut HeaderMap,
) {
    let Some(session) = rule.session(backend) else { return };
    let now = unix_seconds();
    let before = pinned
        .map(|pinned| pinned.token)
        .filter(|token| token.endpoint == endpoint);
    // Where idleness ends a session, a token tells when it was used.
    if before.is_some() && session.idle_timeout.is_none() {
        return;
    }
    let token = Token {
        endpoint,
        began: before.map_or(now, |token| token.began),
        used: now,
    };
    let Some(text) = sealer.seal(&session.scope, &token) else {
        return;
    };
    if let Some((name, value)) = field(session, &token, &text, path) {
        headers.append(name, value);
    }
}

fn open(sealer: &Sealer, session: &Session, headers: &HeaderMap) -> Option<Token> {
    let now = unix_seconds();
    let since = |then: u64| Duration::from_secs(now.saturating_sub(then));
    let mut tokens = session.tokens(headers);
    tokens.find_map(|text| {
        let token = sealer.open(&session.scope, text)?;
        session.is_alive(since(token.began), since(token.used)).then_some(token)
    })
}

fn field(session: &Session, token: &Token, text: &str, path: &str) -> Option<(HeaderName, HeaderValue)> {
    match &session.carrier {
        SessionCarrier::Header(name) => Some((name.clone(), HeaderValue::try_from(text).ok()?)),
        SessionCarrier::Cookie {
            name,
            permanent,
            has_path,
        } => {
            let mut cookie = format!("{name}={text}");
            if *has_path {
                cookie.push_str("; Path=");
                cookie.push_str(cookie_path(path));
            }
            if let Some(limit) = session.absolute_timeout.filter(|_| *permanent) {
                let age = token.used.saturating_sub(token.began);
                cookie.push_str(&format!("; Max-Age={}", limit.as_secs().saturating_sub(age)));
            }
            // No Secure: inside the mesh the client's last leg is in clear.
            cookie.push_str("; HttpOnly; SameSite=Strict");
            Some((SET_COOKIE, HeaderValue::try_from(cookie).ok()?))
        }
    }
}

/// What can stand in a cookie's Path (RFC 6265 section 4.1.1): up to the last element that can.
fn cookie_path(path: &str) -> &str {
    let bad = |byte: u8| byte == b';' || !byte.is_ascii_graphic();
    let Some(end) = path.bytes().position(bad) else {
        return path;
    };
    let good = path.get(..end).unwrap_or_default();
    match good.rfind('/') {
        Some(slash) if slash > 0 => good.get(..slash).unwrap_or("/"),
        _ => "/",
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
