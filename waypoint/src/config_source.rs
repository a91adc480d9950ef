//! Where the config comes from: folders or a cluster. What follows is the same for both.

use arc_swap::ArcSwap;
use mesh::{Cluster, ClusterEvents, Files, Finding, Snapshot};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// One of them.
pub(crate) enum ConfigSource {
    /// `--config`.
    Files(Files),
    /// `--kubernetes`.
    Cluster(Box<Cluster>),
}

impl ConfigSource {
    /// What requests read.
    pub(crate) fn snapshot(&self) -> &Arc<ArcSwap<Snapshot>> {
        match self {
            Self::Files(files) => &files.snapshot,
            Self::Cluster(cluster) => &cluster.snapshot,
        }
    }

    /// Calls `published` with what is in force from the start, and after every change. Runs until dropped.
    pub(crate) async fn watch(self, mut published: impl FnMut(&Arc<Snapshot>, &[Finding]) + Send) {
        match self {
            Self::Files(files) => {
                let findings = Arc::clone(&files.findings.borrow());
                published(&files.snapshot.load_full(), &findings);
                files.watch(published).await;
            }
            // Nothing is in force before the first word of the API server.
            Self::Cluster(cluster) => cluster.watch(published).await,
        }
    }
}

/// What watches tell, as metrics.
pub(crate) struct Watching(pub(crate) Arc<telemetry::Metrics>);

impl ClusterEvents for Watching {
    fn synced(&self, kind: &'static str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.own.kubernetes_synced(kind, now.as_secs());
    }

    fn failed(&self, kind: &'static str, why: &'static str) {
        self.0.own.kubernetes_watch_error(kind, why);
    }

    fn watches(&self, all: usize, failing: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.0.own.kubernetes_watches.set(number(all));
        self.0.own.kubernetes_watches_failing.set(number(failing));
    }

    fn objects(&self, count: usize) {
        self.0
            .own
            .kubernetes_objects
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
