//! The head of a request, refused or parsed.

use crate::{Authority, Mode, Path};
use http::header::HOST;
use http::{HeaderMap, Method, Uri, Version};
use std::borrow::Cow;

/// The parts of a request head that had to be parsed. Owned; see [`crate::Request`] for the view.
#[derive(Clone, Debug)]
pub struct Head {
    /// From the absolute form, `:authority` or Host, which must agree.
    pub authority: Authority,
    /// The normalised path.
    pub path: Path,
    /// The query as written, without `?`.
    pub query: Option<Box<str>>,
}

/// Why a head is refused with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad request: {0}")]
pub struct BadRequest(pub &'static str);

impl Head {
    /// Checks all that makes a request head ambiguous or hostile, and normalises the path.
    ///
    /// Works for HTTP/1.x (`parts.uri` is the request target as written, Host among the headers) and HTTP/2
    /// (`:authority` in `parts.uri`, or Host where there is none). A fragment is gone before: `http::Uri` drops it, as
    /// Istio has Envoy do. Framing (Content-Length, Transfer-Encoding, hop-by-hop fields) is not looked at.
    ///
    /// # Errors
    /// - the method is CONNECT, longer than 32 bytes, or has a lower-case letter
    /// - the target is longer than 32 KiB, not in origin form, absolute form (`http`, `https`) or `*` with OPTIONS, or
    ///   holds a byte that is not printable ASCII; or the path is refused by [`Path::normalise`]
    /// - Host is missing (HTTP/1.x), doubled, malformed, or names another authority than the target
    pub fn parse(parts: &http::request::Parts, mode: Mode) -> Result<Self, BadRequest> {
        check_method(&parts.method)?;
        check_target(&parts.uri, &parts.method)?;
        let path = Path::normalise(parts.uri.path(), mode).map_err(|e| BadRequest(e.0))?;
        let authority = authority(parts)?;
        Ok(Self {
            authority,
            path,
            query: parts.uri.query().map(Into::into),
        })
    }

    /// Path and query as they go upstream when no rule rewrites them: `/a?b`. Borrowed where there is no query.
    pub fn path_and_query(&self) -> Cow<'_, str> {
        let path = self.path.as_str();
        match &self.query {
            None => Cow::Borrowed(path),
            Some(query) => {
                let mut text = String::with_capacity(path.len() + 1 + query.len());
                text.push_str(path);
                text.push('?');
                text.push_str(query);
                Cow::Owned(text)
            }
        }
    }
}

/// The longest method known to IANA has 17 bytes.
const MAX_METHOD_BYTES: usize = 32;
/// Authority, path and query together.
const MAX_TARGET_BYTES: usize = 32 * 1_024;

/// Methods are case-sensitive: `get` is not GET, yet a backend may take it for that after a policy did not.
fn check_method(method: &Method) -> Result<(), BadRequest> {
    if *method == Method::CONNECT {
        return Err(BadRequest("CONNECT inside a tunnel"));
    }
    let text = method.as_str();
    if text.len() > MAX_METHOD_BYTES {
        return Err(BadRequest("a method longer than 32 bytes"));
    }
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(BadRequest("a lower-case letter in the method"));
    }
    Ok(())
}

fn check_target(uri: &Uri, method: &Method) -> Result<(), BadRequest> {
    let authority_len = uri.authority().map_or(0, |a| a.as_str().len());
    let path_and_query = uri.path_and_query().map_or("", |p| p.as_str());
    if authority_len + path_and_query.len() > MAX_TARGET_BYTES {
        return Err(BadRequest("a target longer than 32 KiB"));
    }
    if path_and_query.is_empty() {
        return Err(BadRequest("a target in authority form"));
    }
    if uri
        .query()
        .is_some_and(|query| !query.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(BadRequest("a byte in the query that is not printable ASCII"));
    }
    if uri.path() == "*" && *method != Method::OPTIONS {
        return Err(BadRequest("the target '*' with another method than OPTIONS"));
    }
    Ok(())
}

/// The one authority of the request: the target's, else Host. RFC 9112 section 3.2, RFC 9113 section 8.3.1.
fn authority(parts: &http::request::Parts) -> Result<Authority, BadRequest> {
    let host = host(&parts.headers)?;
    if host.is_none() && parts.version < Version::HTTP_2 {
        return Err(BadRequest("no Host"));
    }
    let default_port = match parts.uri.scheme_str() {
        None | Some("http") => 80,
        Some("https") => 443,
        Some(_) => return Err(BadRequest("a scheme other than http and https")),
    };
    match (parts.uri.authority(), host) {
        (Some(target), host) => {
            let target = Authority::parse(target.as_str()).map_err(|e| BadRequest(e.0))?;
            if host.is_some_and(|host| !host.agrees_with(&target, default_port)) {
                return Err(BadRequest("Host names another authority than the target"));
            }
            Ok(target)
        }
        (None, Some(host)) => Ok(host),
        (None, None) => Err(BadRequest("neither Host nor :authority")),
    }
}

fn host(headers: &HeaderMap) -> Result<Option<Authority>, BadRequest> {
    let mut values = headers.get_all(HOST).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BadRequest("more than one Host"));
    }
    let text = value
        .to_str()
        .map_err(|_| BadRequest("a byte in Host that is not printable ASCII"))?;
    Authority::parse(text).map(Some).map_err(|e| BadRequest(e.0))
}

#[cfg(test)]
mod tests;
