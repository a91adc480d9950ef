//! Session persistence (GEP-1619): how a client that was sent to an endpoint finds back to it. What stands in the token
//! is the proxy's business; here is where it travels and how long it lives.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::time::Duration;

/// Tokens of one name that are looked at in a request; a client that sends more has mixed something up.
const MOST_TOKENS: usize = 8;

/// The sessions of one rule.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    /// The rule's own, for all its backends.
    pub rule: Option<Session>,
    /// Else those of its backends' Services, backend by backend.
    pub backends: Vec<Option<Session>>,
}

/// `sessionPersistence` of a rule, or of a Service's traffic policy as it holds for one rule.
#[derive(Clone, Debug)]
pub struct Session {
    /// What a token is good for: the rule. Rules do not share sessions, even if they share Services.
    pub scope: Arc<str>,
    /// Where it travels.
    pub carrier: SessionCarrier,
    /// It ends so long after it began.
    pub absolute_timeout: Option<Duration>,
    /// It ends so long after it was last used.
    pub idle_timeout: Option<Duration>,
}

/// Where a session token travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCarrier {
    /// In a cookie.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// It outlives the browser's session (`lifetimeType: Permanent`): Max-Age is the absolute timeout.
        permanent: bool,
        /// Its Path is that of the route's match; for a policy of a Service there is none (GEP-1619, "Path").
        has_path: bool,
    },
    /// In a header, of requests and answers alike.
    Header(HeaderName),
}

impl Session {
    /// Tokens of this session in a request, in order. They may be anybody's.
    pub fn tokens<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        let (cookie, header) = match &self.carrier {
            SessionCarrier::Cookie { name, .. } => (Some(cookies(name, headers)), None),
            SessionCarrier::Header(name) => {
                let values = headers.get_all(name).iter();
                (
                    None,
                    Some(values.filter_map(|value| value.to_str().ok()).map(str::trim)),
                )
            }
        };
        let all = cookie.into_iter().flatten().chain(header.into_iter().flatten());
        all.take(MOST_TOKENS)
    }

    /// Whether a session still lives that began and was last used so long ago.
    pub fn is_alive(&self, age: Duration, idle: Duration) -> bool {
        self.absolute_timeout.is_none_or(|limit| age < limit) && self.idle_timeout.is_none_or(|limit| idle < limit)
    }
}

/// Values of all cookies of a name (RFC 6265 section 4.2.1; quotes are not taken off, as we send none).
fn cookies<'h>(name: &'h str, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';'));
    pairs.filter_map(move |pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests;
