//! Names of hosts, as `hostnames` of routes match them: what a TLS client asks for (TLSRoute), or the Host of a request (a
//! route on a Gateway).

use std::fmt;

/// One of a route's `hostnames`, in lower case.
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

    /// Whether a name in lower case is one of those.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Wildcard(suffix) => name
                .strip_suffix(&**suffix)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
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
