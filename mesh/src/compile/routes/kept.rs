//! What compiled routes and tables outlive: a change of one route of 10,000 costs about as much as that route.
//!
//! A compiled route depends on its own object and on what it refers to. That is not followed reference by reference:
//! as long as every object beside the routes is the same, so are all routes whose own object is the same. Pods and
//! EndpointSlices change all the time and do not count: a route names clusters, and their endpoints stand elsewhere.

use crate::object::Object;
use crate::resources::Index;
use authz::Problem;
use routing::{ClusterId, CompiledRoute, Table};
use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

/// Kinds that compiled routes do not depend on, beside their own object and other routes.
const FREE: [&str; 5] = [
    "Pod",
    "EndpointSlice",
    "AuthorizationPolicy",
    "RequestAuthentication",
    "VirtualService",
];

/// What came of a route.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) route: Arc<CompiledRoute>,
    /// Its form for Gateways, where a missing ReferenceGrant makes it another.
    pub(super) restricted: Option<Arc<CompiledRoute>>,
    /// What is wrong with its references.
    pub(super) problems: Vec<Problem>,
}

/// Whose table it is: a Service port's, for everybody or for the clients of one namespace.
type Whose = (ClusterId, Option<Box<str>>);

/// What survives a compile.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The objects that routes may depend on.
    basis: Vec<Arc<Object>>,
    /// By the address of their object, which they keep alive: no other object can have it.
    routes: HashMap<usize, (Arc<Object>, Outcome)>,
    routes_before: HashMap<usize, (Arc<Object>, Outcome)>,
    tables: HashMap<Whose, Arc<Table>>,
    tables_before: HashMap<Whose, Arc<Table>>,
}

impl Kept {
    /// A compile begins: what it does not ask for again is dropped by the one after it.
    pub(super) fn begin(&mut self, index: &Index<'_>) {
        let basis: Vec<&Arc<Object>> = index
            .objects()
            .filter(|object| !FREE.iter().chain(&super::KINDS).any(|kind| *kind == object.kind))
            .collect();
        let is_same = basis.len() == self.basis.len() && basis.iter().zip(&self.basis).all(|(a, b)| Arc::ptr_eq(a, b));
        self.routes_before = take(&mut self.routes);
        self.tables_before = take(&mut self.tables);
        if !is_same {
            self.basis = basis.into_iter().cloned().collect();
            self.routes_before.clear();
        }
    }

    /// The compiled form of a route, as it was if nothing changed.
    pub(super) fn route(&mut self, object: &Arc<Object>, compile: impl FnOnce() -> Outcome) -> &Outcome {
        let place = Arc::as_ptr(object).addr();
        let known = self.routes_before.remove(&place);
        let entry = self.routes.entry(place);
        let (_, outcome) = entry.or_insert_with(|| known.unwrap_or_else(|| (Arc::clone(object), compile())));
        outcome
    }

    /// The table of these routes, made from the one before.
    pub(super) fn table(
        &mut self,
        cluster: ClusterId,
        consumer: Option<&str>,
        routes: Vec<Arc<CompiledRoute>>,
    ) -> Arc<Table> {
        let whose = (cluster, consumer.map(Box::from));
        let table = match self.tables_before.remove(&whose) {
            Some(before) if before.is_of(&routes) => before,
            Some(before) => Arc::new(before.next(routes)),
            None => Arc::new(Table::of(routes)),
        };
        self.tables.insert(whose, Arc::clone(&table));
        table
    }
}
