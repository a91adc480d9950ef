//! Where a rule sends its requests: weighted backends.

use crate::{Cluster, Filters, HeaderModifier, Seldom};
use std::sync::Arc;

/// Names a [`crate::Cluster`] of the snapshot: stable across compiles, so that a table outlives the change of
/// endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub u32);

/// One backendRef, resolved.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Where it leads.
    pub target: Target,
    /// Gateway API weight: 0 gets nothing.
    pub weight: u32,
    /// Filters of this backendRef.
    pub filters: Seldom<Filters>,
}

/// Where a backendRef leads.
#[derive(Clone, Debug)]
pub enum Target {
    /// A Service port.
    Cluster(ClusterId),
    /// These very endpoints: a pod that is addressed by itself.
    Direct(Arc<Cluster>),
    /// A reference that resolves to nothing: 500 for its share.
    Invalid,
}

/// What [`crate::Rule::pick`] chose.
#[derive(Clone, Copy, Debug)]
pub enum Pick<'a> {
    /// This backend.
    Backend(&'a Backend),
    /// The rule has no backendRefs, or all have weight 0: 500.
    Nothing,
}

impl Backend {
    /// The request header modifier, if any (a shorthand).
    pub fn request_headers(&self) -> Option<&HeaderModifier> {
        self.filters.request_headers.as_deref()
    }
}
