//! Istio's text patterns: exact, `prefix*`, `*suffix` and `*`, as a set that answers without allocating.

use crate::index::Key;
use std::collections::HashSet;
use std::fmt;

/// Lists longer than this are hashed.
const FEW: usize = 12;

/// One text pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `*`: any text but the empty one.
    Present,
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

impl Pattern {
    /// Reads a pattern. A leading `*` is looked at before a trailing one; any further `*` is a plain character.
    pub(crate) fn new(text: &str) -> Self {
        if text == "*" {
            Self::Present
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix.into())
        } else if let Some(prefix) = text.strip_suffix('*') {
            Self::Prefix(prefix.into())
        } else {
            Self::Exact(text.into())
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Present => !text.is_empty(),
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
        }
    }
}

/// As it is written in policies.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
        }
    }
}

/// Patterns, OR.
#[derive(Debug, Default)]
pub(crate) struct TextSet {
    present: bool,
    few: Box<[Box<str>]>,
    many: HashSet<Box<str>>,
    prefixes: Box<[Box<str>]>,
    suffixes: Box<[Box<str>]>,
}

impl TextSet {
    pub(crate) fn new(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        let (mut exact, mut prefixes, mut suffixes) = (Vec::new(), Vec::new(), Vec::new());
        let mut present = false;
        for pattern in patterns {
            match pattern {
                Pattern::Present => present = true,
                Pattern::Exact(text) => exact.push(text),
                Pattern::Prefix(text) => prefixes.push(text),
                Pattern::Suffix(text) => suffixes.push(text),
            }
        }
        let (few, many) = if exact.len() > FEW {
            (Vec::new(), exact.into_iter().collect())
        } else {
            (exact, HashSet::new())
        };
        Self {
            present,
            few: few.into(),
            many,
            prefixes: prefixes.into(),
            suffixes: suffixes.into(),
        }
    }

    /// The patterns as they are written in policies, in quotes; for people.
    pub(crate) fn patterns(&self) -> Vec<String> {
        let mut hashed: Vec<_> = self.many.iter().collect();
        hashed.sort();
        let exact = self.few.iter().chain(hashed).map(|text| format!("{text:?}"));
        let begins = self.prefixes.iter().map(|text| format!("{:?}", format!("{text}*")));
        let ends = self.suffixes.iter().map(|text| format!("{:?}", format!("*{text}")));
        let present = self.present.then(|| "any value".to_owned());
        exact.chain(begins).chain(ends).chain(present).collect()
    }

    /// What a text must be or begin with to match; `None`: that does not tell.
    pub(crate) fn keys(&self) -> Option<Vec<Key>> {
        let exact = self.few.iter().chain(&self.many).cloned().map(Key::Exact);
        let prefixes = self.prefixes.iter().cloned().map(Key::Prefix);
        (!self.present && self.suffixes.is_empty()).then(|| exact.chain(prefixes).collect())
    }

    /// `*` wants a text that is not empty.
    pub(crate) fn matches(&self, text: &str) -> bool {
        (self.present && !text.is_empty()) || self.matches_bytes(text)
    }

    /// `*` wants the attribute to be there, be it empty: what Envoy's header matcher asks.
    pub(crate) fn matches_there(&self, text: &str) -> bool {
        self.present || self.matches_bytes(text)
    }

    /// [`matches_there`](Self::matches_there) for a text in pieces that are never joined; `pieces` begins anew with
    /// each call.
    pub(crate) fn matches_pieces<'a, I: Iterator<Item = &'a [u8]>>(&self, pieces: impl Fn() -> I) -> bool {
        if self.present {
            return true;
        }
        let length: usize = pieces().map(<[u8]>::len).sum();
        let begins = |wanted: &str, skip: usize| holds_at(pieces(), skip, wanted.as_bytes());
        let exact = |wanted: &str| wanted.len() == length && begins(wanted, 0);
        self.few.iter().any(|wanted| exact(wanted))
            || self.many.iter().any(|wanted| exact(wanted))
            || self.prefixes.iter().any(|wanted| begins(wanted, 0))
            || self
                .suffixes
                .iter()
                .any(|wanted| length >= wanted.len() && begins(wanted, length - wanted.len()))
    }

    fn matches_bytes(&self, text: &str) -> bool {
        self.few.iter().any(|exact| **exact == *text)
            || (!self.many.is_empty() && self.many.contains(text))
            || self.prefixes.iter().any(|prefix| text.starts_with(&**prefix))
            || self.suffixes.iter().any(|suffix| text.ends_with(&**suffix))
    }
}

/// Does `wanted` stand in the joined pieces after `skip` bytes?
fn holds_at<'a>(pieces: impl Iterator<Item = &'a [u8]>, mut skip: usize, mut wanted: &[u8]) -> bool {
    for piece in pieces {
        let Some(rest) = piece.get(skip..) else {
            skip -= piece.len();
            continue;
        };
        skip = 0;
        let common = rest.len().min(wanted.len());
        let (Some(found), Some((head, tail))) = (rest.get(..common), wanted.split_at_checked(common)) else {
            return false;
        };
        if found != head {
            return false;
        }
        wanted = tail;
        if wanted.is_empty() {
            return true;
        }
    }
    wanted.is_empty()
}

#[cfg(test)]
mod tests;
