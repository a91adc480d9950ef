//! `uriRegexRewrite`: RE2's GlobalReplace over the path, with a limit on what comes out.

use super::PathTooLong;
use crate::{RegexRoom, matching};
use regex::bytes::{Captures, Regex};
use std::borrow::Cow;

/// A pattern, and what replaces its matches.
#[derive(Clone, Debug)]
pub struct RegexRewrite {
    pattern: Regex,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl RegexRewrite {
    pub(super) fn new(pattern: &str, rewrite: &str, room: &RegexRoom) -> Result<Self, String> {
        let pattern = matching::within_limits(pattern, room)?;
        let parts = parts(rewrite, pattern.captures_len())?;
        Ok(Self { pattern, parts })
    }

    /// The path with every match replaced. A path that no longer begins with a slash gets one.
    pub(super) fn replace<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, PathTooLong> {
        let mut new = String::new();
        let mut end = 0;
        for captures in self.pattern.captures_iter(path.as_bytes()) {
            let Some(whole) = captures.get(0) else { continue };
            new.push_str(path.get(end..whole.start()).unwrap_or_default());
            self.parts.iter().for_each(|part| part.append(&captures, &mut new));
            end = whole.end();
            if new.len() > PathTooLong::MOST_BYTES {
                return Err(PathTooLong);
            }
        }
        if new.is_empty() && end == 0 {
            return Ok(Cow::Borrowed(path));
        }
        new.push_str(path.get(end..).unwrap_or_default());
        if !new.starts_with('/') {
            new.insert(0, '/');
        }
        if new.len() > PathTooLong::MOST_BYTES {
            return Err(PathTooLong);
        }
        Ok(Cow::Owned(new))
    }
}

/// Alike when they were written alike.
impl PartialEq for RegexRewrite {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.parts == other.parts
    }
}

impl Eq for RegexRewrite {}

impl Part {
    fn append(&self, captures: &Captures<'_>, to: &mut String) {
        match self {
            Self::Text(text) => to.push_str(text),
            Self::Group(number) => {
                let group = captures.get(*number).map(|group| group.as_bytes());
                // Paths are ASCII, so their parts are text.
                to.push_str(std::str::from_utf8(group.unwrap_or_default()).unwrap_or_default());
            }
        }
    }
}

/// `groups` counts the whole match as one.
fn parts(rewrite: &str, groups: usize) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut chars = rewrite.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            text.push(next);
            continue;
        }
        match chars.next() {
            Some(digit @ '0'..='9') => {
                let number = digit.to_digit(10).map_or(0, |digit| digit as usize);
                if number >= groups {
                    return Err(format!("\\{number} names a group that the regular expression has not"));
                }
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Group(number));
            }
            found => {
                let found = found.map_or("nothing".to_owned(), |found| format!("{found:?}"));
                return Err(format!("expected the number of a group after `\\`, found {found}"));
            }
        }
    }
    parts.push(Part::Text(text));
    Ok(parts)
}

#[cfg(test)]
mod tests;
