//! Circuit limits on the way: what is over a cluster's limits is refused at once, or waits where a limit lets it wait.

use super::reason::Reason;
use arc_swap::ArcSwap;
use routing::{Cluster, ClusterState, Permit};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The clusters with a limit of connections. Read without a lock; changed when such a cluster is first used.
#[derive(Debug, Default)]
pub(crate) struct Gates(ArcSwap<HashMap<usize, Gate>>);

#[derive(Clone, Debug)]
struct Gate {
    /// Keeps the address, which is the key, from being given to another.
    state: Arc<ClusterState>,
    most: u32,
    free: Arc<Semaphore>,
}

/// The use of one connection, until it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Passage {
    _connection: Option<OwnedSemaphorePermit>,
    _counted: Permit,
}

impl Gates {
    /// For an HTTP/1.1 request: waits for a connection to be free when as many as `maxConnections` are in use, unless
    /// `http1MaxPendingRequests` wait already.
    pub(crate) async fn pass(&self, cluster: &Cluster) -> Result<Passage, Reason> {
        let Some(free) = self.of(cluster) else {
            return Ok(Passage::default());
        };
        if let Ok(connection) = Arc::clone(&free).try_acquire_owned() {
            return Ok(Passage::new(cluster, connection));
        }
        let usage = &cluster.state.usage;
        let most = cluster.policy.limits.pending.or(Some(u32::MAX));
        let _waits = usage.pending.enter(most).ok_or(Reason::Overflow("pending"))?;
        // Never closed.
        let connection = free.acquire_owned().await.map_err(|_| Reason::Overflow("pending"))?;
        Ok(Passage::new(cluster, connection))
    }

    /// For a TCP connection, which does not wait.
    pub(crate) fn pass_now(&self, cluster: &Cluster) -> Result<Passage, Reason> {
        let Some(free) = self.of(cluster) else {
            return Ok(Passage::default());
        };
        let connection = free.try_acquire_owned().map_err(|_| Reason::Overflow("connections"))?;
        Ok(Passage::new(cluster, connection))
    }

    /// Forgets clusters that are gone.
    pub(crate) fn sweep(&self) {
        let is_used = |gate: &Gate| Arc::strong_count(&gate.state) > 1;
        if self.0.load().values().all(is_used) {
            return;
        }
        self.0.rcu(|gates| {
            let used = gates.iter().filter(|(_, gate)| is_used(gate));
            used.map(|(key, gate)| (*key, gate.clone())).collect::<HashMap<_, _>>()
        });
    }

    fn of(&self, cluster: &Cluster) -> Option<Arc<Semaphore>> {
        let most = cluster.policy.limits.connections?;
        let key = Arc::as_ptr(&cluster.state).addr();
        let known = |gates: &HashMap<usize, Gate>| {
            let gate = gates.get(&key).filter(|gate| gate.most == most)?;
            Some(Arc::clone(&gate.free))
        };
        if let Some(free) = known(&self.0.load()) {
            return Some(free);
        }
        let gate = Gate {
            state: Arc::clone(&cluster.state),
            most,
            free: Arc::new(Semaphore::new(most as usize)),
        };
        self.0.rcu(|gates| {
            let mut gates = HashMap::clone(gates);
            if known(&gates).is_none() {
                gates.insert(key, gate.clone());
            }
            gates
        });
        known(&self.0.load())
    }
}

impl Passage {
    fn new(cluster: &Cluster, connection: OwnedSemaphorePermit) -> Self {
        let counted = cluster.state.usage.connections.enter(Some(u32::MAX));
        Self {
            _connection: Some(connection),
            _counted: counted.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
