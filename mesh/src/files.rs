//! `--config DIR`: reading, watching, and keeping the last good state of each file.

use crate::{Finding, Scope, Snapshot};
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// The watched folders. `snapshot` is what requests read.
#[derive(Debug)]
pub struct Files {
    /// The published snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Findings of the latest compile (changes with every compile).
    pub findings: watch::Receiver<Arc<Vec<Finding>>>,
}

impl Files {
    /// Reads and compiles once.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be listed. Broken files are findings, not errors.
    pub fn load(_dirs: Vec<PathBuf>, _scope: Scope) -> std::io::Result<Self> {
        todo!()
    }
    /// Watches (notify and a 2 s poll), debounces 50 ms, compiles, publishes; calls `published` after each. Runs until dropped.
    pub async fn watch(self, _published: impl FnMut(&Arc<Snapshot>, &[Finding]) + Send) {
        todo!()
    }
}

/// `waypoint check`: findings of the folders, in file order. No network.
///
/// # Errors
/// A folder that cannot be read.
pub fn check(_dirs: &[PathBuf], _scope: Scope) -> std::io::Result<Vec<Finding>> {
    todo!()
}
