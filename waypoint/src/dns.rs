//! DNS: the endpoints of ServiceEntries that are only named in the config.
//!
//! Names are looked up in the background, before their answer runs out, never by a request. An answer stays in use
//! until there is another one, however long the resolver fails. A request takes a cluster as it is at that moment and
//! keeps it to its end. Only the first request for a name waits, for [`FIRST_ANSWER`] at most.
//!
//! Start reading at [`Dns::endpoints`] (what a request asks) and [`worker`] (what keeps answers fresh).

mod answer;
mod live;
mod lookup;
mod worker;

pub(crate) use answer::Failure;

use crate::proxy::{Node, Reason};
use answer::Answer;
use arc_swap::ArcSwap;
use live::{Live, Told};
use lookup::Lookup;
use mesh::{Resolve, Snapshot};
use routing::{Cluster, ClusterId, Target};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use worker::{Worker, World};

/// The first request for a name waits so long for its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// Names below wildcards that wait to be taken up by the worker; beyond, a request is refused.
const ASKS: usize = 1024;

/// How names are looked up.
#[derive(Clone, Debug)]
pub(crate) struct DnsConfig {
    /// The server; `None`: those of the system's configuration.
    pub(crate) server: Option<SocketAddr>,
    /// Whether an answer may lead to this very machine.
    pub(crate) loopback: bool,
}

/// The clusters whose endpoints come from DNS.
#[derive(Debug)]
pub(crate) struct Dns {
    config: DnsConfig,
    /// Replaced when the config changes; what is in a cluster is replaced when an answer changes.
    clusters: ArcSwap<HashMap<ClusterId, Arc<Looked>>>,
    asks: mpsc::Sender<Ask>,
    /// Taken by the worker.
    asked: Mutex<Option<mpsc::Receiver<Ask>>>,
}

/// A name below a wildcard that a request wants.
#[derive(Debug)]
struct Ask {
    cluster: ClusterId,
    host: Arc<str>,
}

/// One cluster of the config.
#[derive(Debug)]
enum Looked {
    /// Its names are known.
    Names(Arc<Live>),
    /// One for each name that was asked for.
    Below(ArcSwap<HashMap<Arc<str>, Arc<Live>>>),
}

/// A cluster for one request.
#[derive(Debug)]
pub(crate) enum Endpoints<'s> {
    /// From the config.
    Known(&'s Arc<Cluster>),
    /// With what DNS answered.
    Resolved(Arc<Cluster>),
}

impl Deref for Endpoints<'_> {
    type Target = Arc<Cluster>;

    fn deref(&self) -> &Arc<Cluster> {
        match self {
            Self::Known(cluster) => cluster,
            Self::Resolved(cluster) => cluster,
        }
    }
}

impl Dns {
    pub(crate) fn new(config: DnsConfig) -> Self {
        let (asks, asked) = mpsc::channel(ASKS);
        Self {
            config,
            clusters: ArcSwap::default(),
            asks,
            asked: Mutex::new(Some(asked)),
        }
    }

    /// The endpoints of a target, for a request to `host` (lower case, without port; of no concern but below a
    /// wildcard).
    ///
    /// # Errors
    /// [`Reason::NoBackend`]: the target leads nowhere. [`Reason::NoRoute`]: the host is not below the wildcard.
    /// [`Reason::Unresolved`]: there is no answer yet.
    pub(crate) async fn endpoints<'s>(
        &self,
        snapshot: &'s Snapshot,
        target: &Target,
        host: Option<&str>,
    ) -> Result<Endpoints<'s>, Reason> {
        let Some(resolve) = snapshot.resolve(target) else {
            return known(snapshot, target);
        };
        let Target::Cluster(id) = target else {
            return Err(Reason::NoBackend);
        };
        let host = match &**resolve {
            Resolve::Names(_) => None,
            Resolve::Below(wildcard) => Some(host.filter(|host| wildcard.admits(host)).ok_or(Reason::NoRoute)?),
        };
        match self.now(*id, host) {
            Some(cluster) => Ok(Endpoints::Resolved(cluster)),
            None => self.first(*id, host).await.map(Endpoints::Resolved),
        }
    }

    /// The same without waiting: for copies of requests, and for what comes after a request.
    pub(crate) fn endpoints_now<'s>(
        &self,
        snapshot: &'s Snapshot,
        target: &Target,
        host: Option<&str>,
    ) -> Option<Endpoints<'s>> {
        let (Some(resolve), Target::Cluster(id)) = (snapshot.resolve(target), target) else {
            return known(snapshot, target).ok();
        };
        let host = match &**resolve {
            Resolve::Names(_) => None,
            Resolve::Below(_) => Some(host?),
        };
        self.now(*id, host).map(Endpoints::Resolved)
    }

    fn now(&self, id: ClusterId, host: Option<&str>) -> Option<Arc<Cluster>> {
        let live = self.live(id, host)?;
        live.touch();
        live.cluster()
    }

    fn live(&self, id: ClusterId, host: Option<&str>) -> Option<Arc<Live>> {
        match (&**self.clusters.load().get(&id)?, host) {
            (Looked::Names(live), _) => Some(Arc::clone(live)),
            (Looked::Below(hosts), Some(host)) => hosts.load().get(host).cloned(),
            (Looked::Below(..), None) => None,
        }
    }

    /// Waits for the first answer.
    async fn first(&self, id: ClusterId, host: Option<&str>) -> Result<Arc<Cluster>, Reason> {
        let waiting = async {
            let live = self.expect(id, host).await?;
            live.touch();
            let mut told = live.told();
            match *told.wait_for(|told| *told != Told::Nothing).await.ok()? {
                Told::Failed => None,
                _ => live.cluster(),
            }
        };
        let first = tokio::time::timeout(FIRST_ANSWER, waiting).await;
        first.ok().flatten().ok_or(Reason::Unresolved)
    }

    /// Waits until the worker has taken the name up. A config that has just come into force is there in a moment.
    async fn expect(&self, id: ClusterId, host: Option<&str>) -> Option<Arc<Live>> {
        let mut asked = false;
        loop {
            if let Some(live) = self.live(id, host) {
                return Some(live);
            }
            if let Some(host) = host.filter(|_| !asked) {
                let ask = Ask {
                    cluster: id,
                    host: Arc::from(host),
                };
                self.asks.try_send(ask).ok()?;
                asked = true;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The addresses of a host, looked up now, for errands of the process itself: never for a request. An address that
    /// is none to connect to is refused, whether it was looked up or written.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => lookup::System::new(&self.config).lookup(host).await?.0,
        };
        Answer::of(found, Duration::ZERO, self.config.loopback).map(|answer| answer.addresses)
    }

    /// Keeps answers fresh, for as long as the process lives.
    pub(crate) async fn run(&self, node: &Node) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(asked) = asked else { return };
        let system = Arc::new(lookup::System::new(&self.config));
        let world = World {
            snapshot: &node.snapshot,
            changes: node.changes.subscribe(),
            metrics: &node.metrics.own,
            loopback: self.config.loopback,
        };
        Worker::new(self, world, system).run(asked).await;
    }
}

fn known<'s>(snapshot: &'s Snapshot, target: &Target) -> Result<Endpoints<'s>, Reason> {
    let id = match target {
        Target::Cluster(id) => *id,
        Target::Direct(cluster) => return Ok(Endpoints::Resolved(Arc::clone(cluster))),
        Target::Invalid => return Err(Reason::NoBackend),
    };
    snapshot.cluster(id).map(Endpoints::Known).ok_or(Reason::NoBackend)
}

#[cfg(test)]
mod tests;
