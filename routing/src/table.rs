//! The index of all rules that apply to one Service port, and the one look-up a request makes in it.

use crate::{RouteSpec, Rule};
use request::Request;
use std::sync::Arc;

/// All rules of all routes attached to one Service port, in Gateway API precedence.
#[derive(Debug, Default)]
pub struct Table {
    _private: (),
}

/// What a request matched.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The PathPrefix that matched, for `ReplacePrefixMatch`.
    pub prefix: Option<&'a str>,
}

impl Table {
    /// Builds the index. Never fails: what cannot be was refused when the specs were parsed.
    pub fn build(_routes: Vec<RouteSpec>) -> Self {
        todo!()
    }
    /// The rule of highest precedence that matches; `None` is 404 (gRPC UNIMPLEMENTED).
    pub fn find<'a>(&'a self, _request: &Request<'_>) -> Option<Match<'a>> {
        todo!()
    }
}
