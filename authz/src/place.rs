//! Where a request carries tokens: a header after a prefix, a query parameter, a cookie.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use request::Request;
use std::borrow::Cow;
use std::sync::Arc;

/// A place that holds a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A header; each of its values is looked at.
    Header(HeaderName),
    /// A query parameter.
    Param(Arc<str>),
    /// A cookie.
    Cookie(Arc<str>),
}

/// A place as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) place: Place,
    /// What stands before the token in a header, blanks included.
    pub(crate) prefix: Box<str>,
}

impl Location {
    pub(crate) fn header(name: HeaderName, prefix: &str) -> Self {
        Self {
            place: Place::Header(name),
            prefix: prefix.into(),
        }
    }

    pub(crate) fn param(name: &str) -> Self {
        Self {
            place: Place::Param(name.into()),
            prefix: "".into(),
        }
    }

    pub(crate) fn cookie(name: &str) -> Self {
        Self {
            place: Place::Cookie(name.into()),
            prefix: "".into(),
        }
    }

    /// Calls `found` with every token at this place, until it fails.
    ///
    /// All of them count, so that a good token cannot stand in for a bad one that the backend might read instead.
    pub(crate) fn tokens<E>(
        &self,
        request: &Request<'_>,
        mut found: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.place {
            Place::Header(name) => {
                for value in request.headers.get_all(name) {
                    // What is no text is no token either: the empty one fails.
                    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
                    if let Some(token) = after_prefix(text, &self.prefix) {
                        found(token)?;
                    }
                }
            }
            Place::Param(name) => {
                for (key, value) in params(request.head.query.as_deref().unwrap_or_default()) {
                    if percent_decoded(key) == **name {
                        found(&percent_decoded(value))?;
                    }
                }
            }
            Place::Cookie(name) => {
                for (key, value) in request.headers.get_all(header::COOKIE).iter().flat_map(cookies) {
                    if key == &**name {
                        found(value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Place {
    /// Takes the token out of the headers. A query parameter is not there.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        match self {
            Self::Header(name) => {
                headers.remove(name);
            }
            Self::Cookie(name) => strip_cookie(headers, name),
            Self::Param(_) => {}
        }
    }
}

/// `query` without the parameters `names`; `None` when it holds none of them.
pub(crate) fn query_without(query: &str, names: &[&str]) -> Option<String> {
    let stripped = |pair: &&str| {
        let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
        names.iter().any(|name| percent_decoded(key) == **name)
    };
    if !query.split('&').any(|pair| stripped(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !stripped(pair)).collect();
    Some(kept.join("&"))
}

/// What follows the prefix, wherever that stands, from the first character a token can begin with. `None`: no prefix,
/// no token. A value that ends where the token should begin holds an empty one.
fn after_prefix<'v>(value: &'v str, prefix: &str) -> Option<&'v str> {
    if prefix.is_empty() {
        return Some(value);
    }
    let Some(rest) = value.find(prefix).and_then(|at| value.get(at + prefix.len()..)) else {
        return (value.trim_end() == prefix.trim_end()).then_some("");
    };
    let starts = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    Some(rest.find(starts).and_then(|at| rest.get(at..)).unwrap_or_default())
}

fn params(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Name and value of every crumb of one Cookie header; a quoted value loses its quotes.
fn cookies(value: &HeaderValue) -> impl Iterator<Item = (&str, &str)> {
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    text.split(';').filter_map(|crumb| {
        let (name, value) = crumb.trim().split_once('=')?;
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Some((name.trim_end(), quoted.unwrap_or(value)))
    })
}

fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    let mut kept: Vec<HeaderValue> = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
            kept.push(value.clone());
            continue;
        };
        let is_other = |crumb: &&str| {
            crumb
                .trim()
                .split_once('=')
                .is_none_or(|(key, _)| key.trim_end() != name)
        };
        let crumbs: Vec<&str> = text.split(';').map(str::trim).filter(is_other).collect();
        if let Ok(value) = HeaderValue::from_str(&crumbs.join("; "))
            && !value.is_empty()
        {
            kept.push(value);
        }
    }
    headers.remove(header::COOKIE);
    for value in kept {
        headers.append(header::COOKIE, value);
    }
}

/// Decodes `%XX`; what does not decode to text stays as it was written.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
