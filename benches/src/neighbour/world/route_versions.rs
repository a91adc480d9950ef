//! Which routes were rewritten, and how often.

use std::collections::BTreeMap;

/// Routes in one file, so that they can be rewritten without the others.
pub(super) const ROUTES_A_FILE: usize = 10;

/// Versions by file; those that are not in it have never been rewritten.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteVersions(BTreeMap<usize, u64>);

impl RouteVersions {
    /// One more of this file: its version.
    pub(crate) fn rewrite(&mut self, file: usize) -> u64 {
        let version = self.0.entry(file).or_default();
        *version = version.saturating_add(1);
        *version
    }

    /// Of the route with this number.
    pub(crate) fn of_route(&self, number: usize) -> u64 {
        self.0.get(&(number / ROUTES_A_FILE)).copied().unwrap_or_default()
    }
}
