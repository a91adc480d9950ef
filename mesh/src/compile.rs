//! Resources -> Snapshot. Never fails.

use crate::{Finding, Scope, Snapshot};
use std::sync::Arc;

/// The latest good state of every object that was read, by kind. Parsed; from files or from a cluster.
#[derive(Debug, Default)]
pub struct Resources {
    _private: (),
}

/// Compiles, keeping what must survive a compile: cluster ids, endpoint load counters, the generation.
#[derive(Debug)]
pub struct Compiler {
    _scope: Scope,
}

impl Compiler {
    /// For this waypoint.
    pub fn new(scope: Scope) -> Self {
        Self { _scope: scope }
    }
    /// Compiles.
    pub fn compile(&mut self, _resources: &Resources) -> (Arc<Snapshot>, Vec<Finding>) {
        todo!()
    }
}
