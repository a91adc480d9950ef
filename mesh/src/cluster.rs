//! `--kubernetes`: the same objects as files hold, watched at the API server.
//!
//! Start reading at `watches` (which watches there are, and when all has been read) and `stream` (one of them). The way of an
//! object: `stream` -> `trim` (what is of no concern is dropped) -> `store` (parsed by the same `kinds` as files) ->
//! `interest` (what counts for this waypoint) -> the same [`crate::Compiler`]. When the API server is away, the last good
//! state stays in force. The controller sees the same objects, and more, by `observer`, and writes by `client`.

mod access;
mod backoff;
mod client;
mod discovery;
mod events;
mod interest;
mod keeper;
mod kind;
mod listing;
mod mentions;
mod observer;
mod run;
mod shelf;
mod store;
mod stream;
mod trim;
mod watches;

pub use access::ClusterError;
pub use client::{CallError, ClusterClient};
pub use events::ClusterEvents;
pub use observer::Observer;

use crate::{Discovery, Finding, Scope, Snapshot};
use access::Access;
use arc_swap::ArcSwap;
use interest::Eye;
use keeper::Keeper;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::{Receiver, Sender, channel};

/// How a cluster is watched.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Kubeconfigs, merged as kubectl does. None: the service account of the pod that this is.
    pub kubeconfigs: Vec<PathBuf>,
    /// Between two looks for CRDs that came or went, at most.
    pub discovery: Duration,
    /// What istiod tells in place of Services, EndpointSlices, Pods and WorkloadEntries, which are not watched then.
    pub istiod: Option<Arc<Discovery>>,
}

/// The watched cluster. `snapshot` is what requests read; its generation is 0 until everything was read once.
pub struct Cluster {
    /// The published snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Findings of the latest compile, and what cannot be read.
    pub findings: Receiver<Arc<Vec<Finding>>>,
    told: Sender<Arc<Vec<Finding>>>,
    access: Arc<Access>,
    config: ClusterConfig,
    eye: Eye,
    keeper: Keeper,
    events: Arc<dyn ClusterEvents>,
}

impl Cluster {
    /// Finds out how the API server is reached, without asking it anything. Call it on a tokio runtime.
    ///
    /// # Errors
    /// No service account and no kubeconfig, or one that cannot be read.
    pub async fn open(
        config: ClusterConfig,
        mut scope: Scope,
        events: Arc<dyn ClusterEvents>,
    ) -> Result<Self, ClusterError> {
        let access = Arc::new(Access::new(config.kubeconfigs.clone()));
        let reached = access.config().await?;
        let own = scope.namespace.get_or_insert(reached.default_namespace).clone();
        let eye = Eye {
            own: Arc::from(own),
            root: Arc::from(scope.root_namespace.as_str()),
            gateway: scope.gateway.clone(),
            istiod: config.istiod.clone(),
        };
        let (told, findings) = channel(Arc::default());
        Ok(Self {
            snapshot: Arc::default(),
            findings,
            told,
            access,
            config,
            keeper: Keeper::new(&eye, scope),
            eye,
            events,
        })
    }

    /// The namespace that the waypoint is in.
    pub fn namespace(&self) -> &str {
        &self.eye.own
    }

    /// Watches, debounces 50 ms (longer when a compile takes long), compiles, publishes; calls `published` after each, and
    /// when findings changed. Runs until dropped; what it started ends with it.
    pub async fn watch(self, published: impl FnMut(&Arc<Snapshot>, &[Finding]) + Send) {
        run::run(self, published).await;
    }
}
