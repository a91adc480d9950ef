//! One route made ready for tables: once for each change of the route, however many tables it stands in.

use super::candidate::Candidate;
use crate::{RouteId, RouteSpec, Rule};
use std::sync::Arc;

/// A route, ready for [`crate::Table::of`]. Shared; immutable.
#[derive(Debug)]
pub struct CompiledRoute {
    /// Identity.
    pub id: Arc<RouteId>,
    /// Its rules, in order.
    pub rules: Box<[Arc<Rule>]>,
    pub(super) candidates: Box<[Arc<Candidate>]>,
    /// A TLSRoute or TCPRoute, which has no candidates.
    pub(super) stream: Option<Box<RouteSpec>>,
}

impl CompiledRoute {
    /// Never fails: what cannot be was refused when the specs were parsed.
    pub fn new(spec: RouteSpec) -> Arc<Self> {
        Arc::new(Self {
            id: Arc::clone(&spec.id),
            rules: spec.rules.iter().map(|rule| Arc::clone(&rule.rule)).collect(),
            stream: spec.id.kind.is_stream().then(|| Box::new(spec.clone())),
            candidates: Candidate::of_route(spec).into(),
        })
    }
}
