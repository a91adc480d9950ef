//! Tables that outlive a compile: the next one of a port shares with the one before what did not change.

use routing::{ClusterId, CompiledRoute, Table};
use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

/// Whose table it is: a Service port's, for everybody or for the clients of one namespace.
type Whose = (ClusterId, Option<Box<str>>);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tables {
    now: HashMap<Whose, Arc<Table>>,
    before: HashMap<Whose, Arc<Table>>,
    /// Of ports without routes.
    implicit: HashMap<ClusterId, Arc<Table>>,
}

impl Tables {
    /// A compile begins: what it does not ask for again is dropped by the one after it. `is_same`: nothing changed that
    /// the table of a port without routes depends on.
    pub(super) fn begin(&mut self, is_same: bool) {
        self.before = take(&mut self.now);
        if !is_same {
            self.implicit.clear();
        }
    }

    /// The table of these routes, made from the one before.
    pub(super) fn of(
        &mut self,
        cluster: ClusterId,
        consumer: Option<&str>,
        routes: Vec<Arc<CompiledRoute>>,
    ) -> Arc<Table> {
        let whose = (cluster, consumer.map(Box::from));
        let table = match self.before.remove(&whose) {
            Some(before) if before.is_of(&routes) => before,
            Some(before) => Arc::new(before.next(routes)),
            None => Arc::new(Table::of(routes)),
        };
        self.now.insert(whose, Arc::clone(&table));
        table
    }

    /// The table of a port without routes.
    pub(super) fn implicit(&mut self, cluster: ClusterId, make: impl FnOnce() -> Arc<Table>) -> Arc<Table> {
        Arc::clone(self.implicit.entry(cluster).or_insert_with(make))
    }

    /// A compile ends.
    pub(super) fn finish(&mut self) {
        self.before.clear();
    }
}
