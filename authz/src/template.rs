//! Path templates: `{*}` is one segment, `{**}` any text, segments included, and must be the last operator.
//!
//! The answers are those of Envoy's URI template matcher, which Istio configures: both stand for `pchar` (RFC 3986)
//! only, `{*}` for at least one, and the whole path must match.

use std::fmt;

/// A compiled template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Segments before `{**}`, or all of them. `None` is `{*}`.
    segments: Box<[Option<Box<str>>]>,
    /// With a `{**}`: what must follow it, `/` included, or nothing.
    after_any: Option<Box<str>>,
}

/// Is this a template rather than a plain path pattern?
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{*}") || text.contains("{**}")
}

/// Braces are only allowed in a template's operators, in any path pattern.
pub(crate) fn has_stray_brace(text: &str) -> bool {
    text.split('/')
        .any(|segment| segment.contains(['{', '}']) && !matches!(segment, "{*}" | "{**}"))
}

/// In quotes, as it is written in policies.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for segment in &self.segments {
            write!(f, "/{}", segment.as_deref().unwrap_or("{*}"))?;
        }
        if let Some(after) = &self.after_any {
            write!(f, "/{{**}}{after}")?;
        }
        f.write_str("\"")
    }
}

impl Template {
    /// # Errors
    /// Not a template of Istio's form.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a path template must begin with '/'");
        };
        let written: Vec<&str> = rest.split('/').collect();
        let mut segments: Vec<Option<Box<str>>> = Vec::with_capacity(written.len());
        let mut after_any: Option<String> = None;
        for (index, segment) in written.iter().enumerate() {
            let literal = match *segment {
                "{*}" | "{**}" if after_any.is_some() => {
                    return Err("{**} must be the last operator of a path template");
                }
                "{**}" => {
                    after_any = Some(String::new());
                    continue;
                }
                "{*}" => None,
                // A single trailing slash.
                "" if index > 0 && index + 1 == written.len() => Some(""),
                literal if !literal.is_empty() && literal.bytes().all(is_pchar) => Some(literal),
                _ => {
                    return Err("a segment of a path template must be {*}, {**} or text of unreserved, \
                                percent-encoded, !$&'()+,;=:@ characters");
                }
            };
            match (&mut after_any, literal) {
                (Some(after), Some(literal)) => {
                    after.push('/');
                    after.push_str(literal);
                }
                (_, literal) => segments.push(literal.map(Into::into)),
            }
        }
        Ok(Self {
            segments: segments.into(),
            after_any: after_any.map(Into::into),
        })
    }

    /// What every path that matches begins with.
    pub(crate) fn literal_start(&self) -> Box<str> {
        let mut start = String::new();
        for segment in &self.segments {
            start.push('/');
            match segment {
                Some(literal) => start.push_str(literal),
                None => return start.into(),
            }
        }
        if self.after_any.is_some() {
            start.push('/');
        }
        start.into()
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut rest = path;
        for segment in &self.segments {
            let Some(after_slash) = rest.strip_prefix('/') else {
                return false;
            };
            let end = after_slash.find('/').unwrap_or(after_slash.len());
            let Some((found, next)) = after_slash.split_at_checked(end) else {
                return false;
            };
            let same = match segment {
                Some(literal) => **literal == *found,
                None => !found.is_empty() && found.bytes().all(is_pchar),
            };
            if !same {
                return false;
            }
            rest = next;
        }
        match &self.after_any {
            None => rest.is_empty(),
            Some(suffix) => rest
                .strip_prefix('/')
                .and_then(|any| any.strip_suffix(&**suffix))
                .is_some_and(|any| any.bytes().all(|byte| byte == b'/' || is_pchar(byte))),
        }
    }
}

fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests;
