//! Regular expressions within limits: of length, of compiled size each, and of what all of one object take together.
//!
//! A pattern of ten characters can compile to a megabyte (`a{30000}`), so that the size of a file bounds nothing.

use regex::bytes::{Regex, RegexBuilder};
use std::cell::Cell;

/// The CRD's own limit.
const MAX_PATTERN_CHARS: usize = 1_024;
/// What a pattern may compile to, as the regex crate counts. It is charged with the first of these that it fits in.
/// Most are within the first two; in memory a pattern takes some five times of it.
const SIZES_BYTES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

const ANCHOR_START: &str = r"\A(?:";
const ANCHOR_END: &str = r")\z";

/// What the regular expressions of one object may still take.
#[derive(Debug)]
pub struct RegexRoom {
    whole_bytes: usize,
    left_bytes: Cell<usize>,
}

impl RegexRoom {
    /// At the beginning: 4,096 ordinary ones, or 4 of the largest.
    pub const BYTES: usize = 4 << 20;

    /// What has been taken of it.
    pub fn taken_bytes(&self) -> usize {
        self.whole_bytes.saturating_sub(self.left_bytes.get())
    }

    /// Where less is left, because the objects before have taken it.
    pub fn within(left_bytes: usize) -> Self {
        let whole_bytes = left_bytes.min(Self::BYTES);
        Self {
            whole_bytes,
            left_bytes: Cell::new(whole_bytes),
        }
    }

    fn take(&self, bytes: usize) {
        self.left_bytes.set(self.left_bytes.get().saturating_sub(bytes));
    }
}

impl Default for RegexRoom {
    fn default() -> Self {
        Self::within(Self::BYTES)
    }
}

/// Istio matches regular expressions in full.
pub(super) fn anchored(pattern: &str, room: &RegexRoom) -> Result<Regex, String> {
    check_length(pattern)?;
    // Alone first: `a)|(b` is none, yet would be one between the anchors.
    if let Err(error @ regex::Error::Syntax(_)) = compile(pattern, 0) {
        return Err(error.to_string());
    }
    charged(&format!("{ANCHOR_START}{pattern}{ANCHOR_END}"), room)
}

/// A regular expression that may match any part of a text.
pub(crate) fn within_limits(pattern: &str, room: &RegexRoom) -> Result<Regex, String> {
    check_length(pattern)?;
    charged(pattern, room)
}

/// A pattern as the user wrote it.
pub(crate) fn source(regex: &Regex) -> &str {
    let text = regex.as_str();
    text.strip_prefix(ANCHOR_START)
        .and_then(|t| t.strip_suffix(ANCHOR_END))
        .unwrap_or(text)
}

fn check_length(pattern: &str) -> Result<(), String> {
    let chars = pattern.chars().count();
    if chars > MAX_PATTERN_CHARS {
        return Err(format!(
            "a regular expression has at most {MAX_PATTERN_CHARS} characters, found {chars}"
        ));
    }
    Ok(())
}

/// What proves too large is charged with what was tried: that has its cost, too.
fn charged(pattern: &str, room: &RegexRoom) -> Result<Regex, String> {
    let left_bytes = room.left_bytes.get();
    let mut tried_bytes = 0;
    for bytes in SIZES_BYTES.into_iter().filter(|bytes| *bytes <= left_bytes) {
        tried_bytes = bytes;
        match compile(pattern, bytes) {
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => return Err(error.to_string()),
            Ok(regex) => {
                room.take(bytes);
                return Ok(regex);
            }
        }
    }
    room.take(tried_bytes);
    Err(format!(
        "it compiles to more than 1 MiB, or to more than is left of {} MiB for the regular expressions of one object",
        RegexRoom::BYTES >> 20
    ))
}

fn compile(pattern: &str, bytes: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).size_limit(bytes).build()
}

#[cfg(test)]
mod tests;
