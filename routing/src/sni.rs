//! The name a TLS client asks for, as a TLSRoute's `hostnames` match it.

use std::fmt;

/// One of a TLSRoute's `hostnames`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SniPattern {
    /// This very name.
    Exact(Box<str>),
    /// `*.example.com`, kept as `example.com`: any name that ends in `.example.com`, with one label more or several.
    Wildcard(Box<str>),
}

impl SniPattern {
    /// Reads a hostname of the Gateway API, which `mesh` has checked.
    pub fn of(hostname: &str) -> Self {
        let lower = hostname.to_ascii_lowercase();
        match lower.strip_prefix("*.") {
            Some(suffix) => Self::Wildcard(suffix.into()),
            None => Self::Exact(lower.into()),
        }
    }
}

impl fmt::Display for SniPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}
