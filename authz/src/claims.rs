//! The claims of a verified token, and the patterns that policies lay on them.

use crate::text::{Pattern, TextSet};
use serde_json::{Map, Value};
use std::fmt;

/// The claims of a verified token, as policies read them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// `iss/sub`; empty when the token lacks one of them (it has no request principal then).
    pub principal: String,
    /// `iss`; empty when absent.
    pub issuer: String,
    /// The whole payload, after claims that hold a list separated by spaces were split.
    pub payload: Map<String, Value>,
}

impl Claims {
    /// Takes a payload whose space-delimited claims are already lists.
    pub fn from_payload(payload: Map<String, Value>) -> Self {
        let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (issuer, subject) = (text("iss"), text("sub"));
        let principal = if issuer.is_empty() || subject.is_empty() {
            String::new()
        } else {
            format!("{issuer}/{subject}")
        };
        Self {
            principal,
            issuer,
            payload,
        }
    }

    /// The texts that a claim has, which is at the end of this path: one, or those of a list.
    pub(crate) fn texts(&self, path: &[Box<str>]) -> impl Iterator<Item = &str> {
        let (one, list) = match self.at(path) {
            Some(Value::String(text)) => (Some(text.as_str()), &[][..]),
            Some(Value::Array(list)) => (None, list.as_slice()),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(list.iter().filter_map(Value::as_str))
    }

    fn at(&self, path: &[Box<str>]) -> Option<&Value> {
        let (last, parents) = path.split_last()?;
        let mut object = &self.payload;
        for parent in parents {
            object = object.get(&**parent)?.as_object()?;
        }
        object.get(&**last)
    }
}

/// A claim, possibly nested, that must be a matching string or a list with one.
#[derive(Debug)]
pub(crate) struct ClaimPattern {
    pub(crate) path: Box<[Box<str>]>,
    pub(crate) values: TextSet,
}

impl ClaimPattern {
    pub(crate) fn matches(&self, claims: &Claims) -> bool {
        claims.texts(&self.path).any(|text| self.values.matches(text))
    }
}

/// One entry of `requestPrincipals`, `<issuer>/<subject>`, as a pattern on each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestPrincipal {
    issuer: Pattern,
    subject: Pattern,
}

impl RequestPrincipal {
    /// Split at the last `/`, since an issuer may be a URL. A `*` counts at the very start or the very end.
    pub(crate) fn new(text: &str) -> Self {
        let (issuer, subject) = match text.rsplit_once('/') {
            Some((issuer, subject)) => (issuer, Some(subject)),
            None => (text, None),
        };
        let exact = |text: &str| Pattern::Exact(text.into());
        let (issuer, subject) = if text == "*" {
            (Pattern::Present, Pattern::Present)
        } else if text.starts_with('*') {
            match subject {
                Some(subject) => (Pattern::new(issuer), exact(subject)),
                None => (Pattern::Present, Pattern::new(issuer)),
            }
        } else if text.ends_with('*') {
            match subject {
                Some(subject) => (exact(issuer), ending_star(subject)),
                None => (Pattern::new(issuer), Pattern::Present),
            }
        } else {
            (exact(issuer), exact(subject.unwrap_or_default()))
        };
        Self { issuer, subject }
    }

    pub(crate) fn matches(&self, claims: &Claims) -> bool {
        let holds = |name, pattern: &Pattern| {
            claims
                .payload
                .get(name)
                .and_then(Value::as_str)
                .is_some_and(|text| pattern.matches(text))
        };
        holds("iss", &self.issuer) && holds("sub", &self.subject)
    }
}

/// `"<issuer>/<subject>"`.
impl fmt::Display for RequestPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}/{}\"", self.issuer, self.subject)
    }
}

/// A text that ends in `*` and whose other stars are plain characters.
fn ending_star(text: &str) -> Pattern {
    match text.strip_suffix('*') {
        Some("") => Pattern::Present,
        Some(prefix) => Pattern::Prefix(prefix.into()),
        None => Pattern::Exact(text.into()),
    }
}

#[cfg(test)]
mod tests;
