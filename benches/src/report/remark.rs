//! What stands below a section's table: a failure, or a doubt.

use std::fmt;

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    Failure(String),
    Doubt(String),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(text) => write!(f, "FAILED {text}"),
            Self::Doubt(text) => f.write_str(text),
        }
    }
}
