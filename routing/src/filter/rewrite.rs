//! URLRewrite, `rewrite` of a VirtualService, and the `path` that they share with redirects.

mod regex;

pub(crate) use regex::RegexRewrite;

use crate::RegexRoom;
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
    ///
    /// # Errors
    /// A regular expression has made it longer than [`PathTooLong::MOST_BYTES`].
    pub fn path_and_query(
        &self,
        head: &request::Head,
        matched_prefix: Option<&str>,
    ) -> Result<Option<String>, PathTooLong> {
        let path = self.path.as_ref();
        path.map(|path| path.path_and_query(head, matched_prefix)).transpose()
    }
}

/// A rewritten path that no server would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathTooLong;

impl PathTooLong {
    /// As long as a request's target may be.
    pub const MOST_BYTES: usize = 32 * 1_024;
}

/// A rewritten Host, pre-built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRewrite(pub HeaderValue);

/// `path` of a redirect or rewrite. Make one with the functions of the variants' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// ReplaceFullPath.
    Full(String),
    /// ReplacePrefixMatch.
    Prefix(String),
    /// VirtualService `rewrite.uri`: what the match covers is cut out and this put in its place, as the characters are:
    /// the prefix that matched, else the whole path.
    Matched(String),
    /// VirtualService `uriRegexRewrite`.
    Regex(Box<RegexRewrite>),
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

    /// `uri` of a VirtualService's rewrite.
    ///
    /// # Errors
    /// As [`PathRewrite::full`], or it does not begin with a slash.
    pub fn matched(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return check(text).map(Self::Matched);
        }
        Err(format!("expected a path that begins with `/`, found {text:?}"))
    }

    /// `uriRegexRewrite` of a VirtualService: every match of `pattern` in the path becomes `rewrite`, in which `\0` is
    /// the match and `\1` to `\9` are its groups (RE2).
    ///
    /// # Errors
    /// `pattern` is no regular expression within our limits, `rewrite` names a group that is not there, or cannot stand
    /// in a path.
    pub fn regex(pattern: &str, rewrite: &str, room: &RegexRoom) -> Result<Self, String> {
        let compiled = RegexRewrite::new(pattern, &check(rewrite)?, room)?;
        Ok(Self::Regex(Box::new(compiled)))
    }

    /// The new path with the request's query, unless the replacement brings a query of its own.
    pub(super) fn path_and_query(
        &self,
        head: &request::Head,
        matched_prefix: Option<&str>,
    ) -> Result<String, PathTooLong> {
        let mut text = self.replace(head.path.as_str(), matched_prefix)?.into_owned();
        if let Some(query) = &head.query
            && !text.contains('?')
        {
            text.reserve_exact(1 + query.len());
            text.push('?');
            text.push_str(query);
        }
        Ok(text)
    }

    /// The new path: begins with exactly one slash where something was replaced. Without a matched prefix (a
    /// combination that the CRD forbids) ReplacePrefixMatch changes nothing.
    fn replace<'a>(&self, path: &'a str, matched_prefix: Option<&str>) -> Result<Cow<'a, str>, PathTooLong> {
        Ok(match self {
            Self::Full(text) => Cow::Owned(rooted(text, "")),
            Self::Prefix(text) => {
                match matched_prefix.and_then(|prefix| path.strip_prefix(prefix.trim_end_matches('/'))) {
                    Some(rest) => Cow::Owned(rooted(text, rest)),
                    None => Cow::Borrowed(path),
                }
            }
            // The match may have ignored the case: only the length of the prefix counts.
            Self::Matched(text) => {
                let rest = matched_prefix.and_then(|prefix| path.get(prefix.len()..));
                Cow::Owned([text, rest.unwrap_or_default()].concat())
            }
            Self::Regex(regex) => regex.replace(path)?,
        })
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
