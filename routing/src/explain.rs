//! Why a request took the rule it took: every rule considered, and what it lost by.

/// The outcome of every candidate, in precedence order.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Each match considered.
    pub considered: Vec<Considered>,
}

/// One match and why it lost (`None`: it won).
#[derive(Clone, Debug)]
pub struct Considered {
    /// `HTTPRoute ns/name rule 0 match 1`.
    pub what: String,
    /// For example `header x-canary: wanted "yes", found none`.
    pub lost_because: Option<String>,
}
