//! What is asked: a request line as a client would write it, who sends it, and what it carries.

use http::{HeaderName, HeaderValue};
use request::{Authority, SpiffeId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Bytes of a question at most: as much as a request's head may have, and a token.
pub(crate) const MOST_BYTES: usize = 128 * 1024;

/// A question, as the command line and the admin port take it. It may hold a token: it is never printed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Question {
    /// `GET http://reviews:9080/x`; without a method it is GET. `tls://host:port` or `tcp://host:port` for a connection.
    pub(crate) request: String,
    /// `namespace/serviceAccount`, or a SPIFFE id.
    pub(crate) from: String,
    /// Names and values, in order.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// The client's address; else that of a pod with its identity.
    #[serde(default)]
    pub(crate) source_ip: Option<IpAddr>,
    /// A token, as `authorization: Bearer ..`.
    #[serde(default)]
    pub(crate) jwt: Option<String>,
}

/// A question that was understood.
pub(crate) struct Asked {
    /// What the client speaks.
    pub(crate) kind: Kind,
    /// Host and port of the URL.
    pub(crate) target: Authority,
    /// The client.
    pub(crate) identity: SpiffeId,
    /// Its address, where it was given.
    pub(crate) source_ip: Option<IpAddr>,
    /// The request's head as it stands on the wire.
    pub(crate) head: Vec<u8>,
    /// Method and path as they were written.
    pub(crate) method: String,
    /// See `method`.
    pub(crate) written_path: String,
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request.
    Http,
    /// A TLS connection.
    Tls,
    /// Any other connection.
    Tcp,
}

impl Question {
    /// Reads it. `trust_domain` is that of a client without one.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub(crate) fn read(&self, trust_domain: &str) -> Result<Asked, String> {
        let (method, url) = match self.request.trim().split_once(' ') {
            Some((method, url)) => (method, url.trim()),
            None => ("GET", self.request.trim()),
        };
        let (kind, rest) = match url.split_once("://") {
            Some(("http", rest)) => (Kind::Http, rest),
            Some(("https" | "tls", rest)) => (Kind::Tls, rest),
            Some(("tcp", rest)) => (Kind::Tcp, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "expected http, https, tls or tcp before \"://\", found {scheme:?}"
                ));
            }
            None => {
                return Err(format!(
                    "expected a request such as 'GET http://reviews:9080/x', found {url:?}"
                ));
            }
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let target = target(host, kind, url.starts_with("https"))?;
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Asked {
            kind,
            head: self.head(method, &path, host)?,
            target,
            identity: identity(&self.from, trust_domain)?,
            source_ip: self.source_ip,
            method: method.to_owned(),
            written_path: path.split('?').next().unwrap_or_default().to_owned(),
        })
    }

    /// The head of an HTTP/1.1 request. It is judged as it comes, by what judges those of real clients.
    fn head(&self, method: &str, path: &str, host: &str) -> Result<Vec<u8>, String> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            put(&mut head, "host", host)?;
        }
        for (name, value) in &self.headers {
            put(&mut head, name, value)?;
        }
        if let Some(token) = &self.jwt {
            put(&mut head, "authorization", &format!("Bearer {}", token.trim()))?;
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }
}

/// A header that no client can send is a mistake in the question.
fn put(head: &mut Vec<u8>, name: &str, value: &str) -> Result<(), String> {
    let bad = || format!("{name:?} with this value is no header");
    let name = HeaderName::try_from(name).map_err(|_| bad())?;
    let value = HeaderValue::try_from(value).map_err(|_| bad())?;
    for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        head.extend_from_slice(piece);
    }
    Ok(())
}

fn target(host: &str, kind: Kind, https: bool) -> Result<Authority, String> {
    let parse = |text: &str| Authority::parse(text).map_err(|bad| format!("host {text:?}: {}", bad.0));
    let written = parse(host)?;
    match (written.port(), kind) {
        (Some(_), _) => Ok(written),
        (None, Kind::Http) => parse(&format!("{host}:80")),
        (None, Kind::Tls) if https => parse(&format!("{host}:443")),
        (None, _) => Err(format!("expected a port after the host {host:?}")),
    }
}

fn identity(from: &str, trust_domain: &str) -> Result<SpiffeId, String> {
    let uri = if from.starts_with("spiffe://") {
        from.to_owned()
    } else {
        let parts = from
            .split_once('/')
            .filter(|(namespace, account)| !namespace.is_empty() && !account.is_empty() && !account.contains('/'));
        let (namespace, account) =
            parts.ok_or_else(|| format!("expected a client as namespace/serviceAccount, found {from:?}"))?;
        format!("spiffe://{trust_domain}/ns/{namespace}/sa/{account}")
    };
    SpiffeId::parse(&uri).map_err(|bad| format!("client {uri:?}: {bad}"))
}

#[cfg(test)]
mod tests;
