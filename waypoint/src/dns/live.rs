//! A cluster as the latest answers make it.

use super::answer::Answer;
use arc_swap::ArcSwapOption;
use mesh::{Name, Resolve, Snapshot};
use routing::{Cluster, Endpoint};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// What is known so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// No lookup has ended yet.
    Nothing,
    /// Lookups failed, and there is no answer to go on with.
    Failed,
    /// There is a cluster.
    Answered,
}

/// A cluster, replaced as a whole when an answer changes.
#[derive(Debug)]
pub(super) struct Live {
    cluster: ArcSwapOption<Cluster>,
    told: watch::Sender<Told>,
    /// A request wanted it since the worker last looked.
    used: AtomicBool,
}

impl Live {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            cluster: ArcSwapOption::empty(),
            told: watch::Sender::new(Told::Nothing),
            used: AtomicBool::new(true),
        })
    }

    /// The cluster now.
    pub(super) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.load_full()
    }

    /// Follows the first answer.
    pub(super) fn told(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }

    /// Somebody wants it.
    pub(super) fn touch(&self) {
        // Read first: a cache line that all workers write is slow.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody wanted it since this was last asked.
    pub(super) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Takes the answers there are. Endpoints that stay keep their load counters.
    pub(super) fn answered(&self, resolve: &Resolve, names: &[Name], answers: &Answers<'_>, snapshot: &Snapshot) {
        let (template, first_only) = match resolve {
            Resolve::Names(named) => (&named.cluster, named.first_only),
            Resolve::Below(wildcard) => (&wildcard.cluster, false),
        };
        let before = self.cluster.load_full();
        let mut kept: HashMap<SocketAddr, Arc<Endpoint>> = HashMap::new();
        for endpoint in before.iter().flat_map(|cluster| &cluster.endpoints) {
            kept.insert(endpoint.address, Arc::clone(endpoint));
        }
        let mut endpoints = template.endpoints.clone();
        for name in names {
            let addresses = answers(&name.name).map_or(&[][..], |answer| &answer.addresses);
            let most = if first_only { 1 } else { addresses.len() };
            for ip in addresses.iter().take(most) {
                endpoints.push(endpoint(name, *ip, &mut kept, snapshot));
            }
        }
        self.cluster.store(Some(Arc::new(template.with_endpoints(endpoints))));
        self.told.send_replace(Told::Answered);
    }

    /// There is no answer, and none to go on with.
    pub(super) fn withdraw(&self) {
        self.cluster.store(None);
        self.told.send_replace(Told::Failed);
    }
}

/// The latest answer for a name.
pub(super) type Answers<'a> = dyn Fn(&str) -> Option<&'a Answer> + 'a;

fn endpoint(
    name: &Name,
    ip: IpAddr,
    kept: &mut HashMap<SocketAddr, Arc<Endpoint>>,
    snapshot: &Snapshot,
) -> Arc<Endpoint> {
    let address = SocketAddr::new(ip, name.port);
    // A name may lead into the mesh: a pod there is reached as pods are.
    let workload = snapshot.workload(ip).unwrap_or(&name.workload);
    match kept.remove(&address) {
        Some(before) if before.workload == *workload && before.tls == name.tls => before,
        _ => Arc::new(Endpoint {
            tls: name.tls.clone(),
            ..Endpoint::new(address, Arc::clone(workload))
        }),
    }
}
