//! Why a request took the rule it took: every match considered, and what it lost by.

use std::fmt;

/// The outcome of every candidate, in precedence order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Each match considered.
    pub considered: Vec<Considered>,
}

/// One match and why it lost (`None`: it won).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// `HTTPRoute ns/name rule 0 match 1`.
    pub what: String,
    /// For example `header x-canary: wanted "yes", found none`.
    pub lost_because: Option<String>,
}

impl Explanation {
    /// The match that won; `None`: the request is answered 404.
    pub fn winner(&self) -> Option<&Considered> {
        self.considered
            .iter()
            .find(|considered| considered.lost_because.is_none())
    }
}

/// One line for each match.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for considered in &self.considered {
            match &considered.lost_because {
                None => writeln!(f, "{}: chosen", considered.what)?,
                Some(reason) => writeln!(f, "{}: {reason}", considered.what)?,
            }
        }
        Ok(())
    }
}
