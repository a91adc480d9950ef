//! URLRewrite, and the `path` that it shares with RequestRedirect.

use http::HeaderValue;
use std::borrow::Cow;

/// URLRewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// `hostname`: the Host / `:authority` sent upstream.
    pub hostname: Option<HostRewrite>,
    /// `path`.
    pub path: Option<PathRewrite>,
}

impl Rewrite {
    /// The path and query to send upstream, as the `:path` text. `None`: they stay as they are.
    pub fn path_and_query(&self, head: &request::Head, matched_prefix: Option<&str>) -> Option<String> {
        Some(self.path.as_ref()?.path_and_query(head, matched_prefix))
    }
}

/// A rewritten Host, pre-built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRewrite(pub HeaderValue);

/// `path` of a redirect or rewrite. Make one with [`PathRewrite::full`] or [`PathRewrite::prefix`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// ReplaceFullPath.
    Full(String),
    /// ReplacePrefixMatch.
    Prefix(String),
}

impl PathRewrite {
    /// `replaceFullPath`. "" means "/", a missing slash in front is added.
    ///
    /// # Errors
    /// The text cannot stand in a request line or a `Location`: a byte that is not printable ASCII, a `#`, or more
    /// than 1,024 bytes (the limit of the CRD).
    pub fn full(text: &str) -> Result<Self, String> {
        check(text).map(Self::Full)
    }

    /// `replacePrefixMatch`. "" and "/" both strip the prefix.
    ///
    /// # Errors
    /// As [`PathRewrite::full`].
    pub fn prefix(text: &str) -> Result<Self, String> {
        check(text).map(Self::Prefix)
    }

    /// The new path with the request's query, unless the replacement brings a query of its own.
    pub(super) fn path_and_query(&self, head: &request::Head, matched_prefix: Option<&str>) -> String {
        let mut text = self.replace(head.path.as_str(), matched_prefix).into_owned();
        if let Some(query) = &head.query
            && !text.contains('?')
        {
            text.reserve_exact(1 + query.len());
            text.push('?');
            text.push_str(query);
        }
        text
    }

    /// The new path: begins with exactly one slash where something was replaced. Without a matched prefix (a
    /// combination that the CRD forbids) ReplacePrefixMatch changes nothing.
    fn replace<'a>(&self, path: &'a str, matched_prefix: Option<&str>) -> Cow<'a, str> {
        match self {
            Self::Full(text) => Cow::Owned(rooted(text, "")),
            Self::Prefix(text) => {
                match matched_prefix.and_then(|prefix| path.strip_prefix(prefix.trim_end_matches('/'))) {
                    Some(rest) => Cow::Owned(rooted(text, rest)),
                    None => Cow::Borrowed(path),
                }
            }
        }
    }
}

/// `start` and `rest` joined by one slash. `rest` is "" or begins with a slash.
fn rooted(start: &str, rest: &str) -> String {
    let start = if rest.is_empty() {
        start
    } else {
        start.trim_end_matches('/')
    };
    let start = start.trim_start_matches('/');
    let rest = if start.is_empty() {
        rest.trim_start_matches('/')
    } else {
        rest
    };
    let mut path = String::with_capacity(1 + start.len() + rest.len());
    path.push('/');
    path.push_str(start);
    path.push_str(rest);
    path
}

fn check(text: &str) -> Result<String, String> {
    const MAX_BYTES: usize = 1_024;
    if text.len() > MAX_BYTES {
        return Err(format!(
            "a replacement path has at most {MAX_BYTES} bytes, found {}",
            text.len()
        ));
    }
    match text.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
        None => Ok(text.to_owned()),
        Some(found) => Err(format!(
            "a replacement path is printable ASCII without '#', found {found:?}: percent-encode it"
        )),
    }
}

#[cfg(test)]
mod tests;
