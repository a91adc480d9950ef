//! Tunnels that go out: pooled mTLS connections, many CONNECT streams on each.
//!
//! A dial takes a place on a connection that has room, or waits for a new connection. Callers for one destination
//! share the dials under way; no lock is held across an await, and the map of destinations is read without any.

use crate::{CertSource, DialError, Identity, TunnelStream};
use arc_swap::ArcSwap;
use http::HeaderMap;
use request::SpiffeId;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

mod beyond;
mod connection;
mod connector;
mod entry;
#[cfg(test)]
pub(crate) mod testing;
mod tunnel;

pub use beyond::Beyond;
use connector::Connector;
use entry::Entry;

/// Limits of the pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// TCP connect timeout. Default 10 s.
    pub connect_timeout: Duration,
    /// TLS + HTTP/2 handshake timeout (the peer's SETTINGS included). Default 10 s.
    pub handshake_timeout: Duration,
    /// How long the answer to a CONNECT may take (the peer connects to the workload meanwhile). Default 15 s.
    pub answer_timeout: Duration,
    /// How long a connection without streams is kept. Default 1 h, the tunnel idle time of Istio.
    pub idle_timeout: Duration,
    /// PING when nothing was received for this long. Default 10 s.
    pub ping_interval: Duration,
    /// The connection is dropped when nothing is received for this long after a PING. Default 20 s.
    pub ping_timeout: Duration,
    /// Streams used per connection at most, below the peer's own limit. Default 200.
    pub max_streams: usize,
    /// Connections per destination at most, of each runtime. Default 64.
    pub max_connections: usize,
    /// Flow-control window of a stream: received and not yet read bytes a tunnel may hold. Default 256 KiB.
    /// The connection's window is `max_streams` times this, so that stalled streams cannot starve the others.
    pub stream_window: u32,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(3600),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(20),
            max_streams: 200,
            max_connections: 64,
            stream_window: 256 * 1024,
        }
    }
}

/// Where a tunnel goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Address to dial (pod IP:15008).
    pub address: SocketAddr,
    /// The exact identity the peer must show.
    pub identity: SpiffeId,
}

/// Hooks for metrics. All default to nothing.
pub trait PoolEvents: Send + Sync + 'static {
    /// A connection was dialled: `ok`, `connect`, `tls`, `identity`, `timeout`; or a CONNECT was `refused` on one.
    fn dialled(&self, _result: &'static str) {}
    /// A connection opened (+1) or closed (-1).
    fn connections(&self, _delta: i64) {}
}

/// The pool. Shared by `Arc`.
pub struct Pool {
    shared: Arc<Shared>,
    entries: ArcSwap<HashMap<Place, Arc<Entry>>>,
}

/// Whose connections, and where to. Each runtime, which is a worker of the proxy, has its own: through a connection that
/// lives on another thread, each request would wake that thread, and its answer this one again. Envoy's workers share
/// none either.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    destination: Destination,
    /// `None` outside of any, where nothing can be dialled.
    runtime: Option<tokio::runtime::Id>,
}

/// What every connection of the pool needs.
struct Shared {
    config: PoolConfig,
    certs: Arc<dyn CertSource>,
    events: Arc<dyn PoolEvents>,
    connector: Connector,
}

impl Pool {
    /// Makes an empty pool.
    pub fn new(config: PoolConfig, certs: Arc<dyn CertSource>, events: Arc<dyn PoolEvents>) -> Arc<Self> {
        Self::with_connector(config, certs, events, Connector::Tcp)
    }

    fn with_connector(
        config: PoolConfig,
        certs: Arc<dyn CertSource>,
        events: Arc<dyn PoolEvents>,
        connector: Connector,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            config,
            certs,
            events,
            connector,
        });
        Arc::new(Self {
            shared,
            entries: ArcSwap::default(),
        })
    }

    /// Opens a tunnel to `authority` (pod IP:port) through `destination`, with extra CONNECT headers (`baggage`, ..;
    /// `traceparent` and `tracestate` are left out: a malformed one harms ztunnel).
    /// Returns when CONNECT was answered 200. Must be called within a Tokio runtime: connections live on it.
    ///
    /// # Errors
    /// See [`DialError`]. REFUSED_STREAM and a connection that broke before the answer are retried inside, on another
    /// connection: nothing was sent through the tunnel yet.
    pub async fn dial(
        &self,
        destination: &Destination,
        authority: &str,
        headers: HeaderMap,
    ) -> Result<TunnelStream, DialError> {
        let entry = self.entry(destination);
        tunnel::open(&entry, authority, headers).await
    }

    /// Drops the connections to destinations for which `keep` is false (the workload has gone): they take no new
    /// tunnels and close when their last one ends.
    pub fn retain(&self, keep: impl Fn(&Destination) -> bool) {
        let entries = self.entries.load();
        if entries.keys().all(|place| keep(&place.destination)) {
            return;
        }
        self.entries.rcu(|entries| {
            let kept = entries.iter().filter(|(place, _)| keep(&place.destination));
            kept.map(|(place, entry)| (place.clone(), Arc::clone(entry)))
                .collect::<HashMap<_, _>>()
        });
    }

    /// Connections open now, over all destinations.
    pub fn connections(&self) -> usize {
        self.entries.load().values().map(|entry| entry.connections()).sum()
    }

    fn entry(&self, destination: &Destination) -> Arc<Entry> {
        let place = Place {
            destination: destination.clone(),
            runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
        };
        if let Some(entry) = self.entries.load().get(&place) {
            return Arc::clone(entry);
        }
        let new = Entry::new(destination.clone(), Arc::clone(&self.shared));
        self.entries.rcu(|entries| {
            let mut entries = HashMap::clone(entries);
            entries.entry(place.clone()).or_insert_with(|| Arc::clone(&new));
            entries
        });
        // Another caller may have been first.
        self.entries.load().get(&place).map(Arc::clone).unwrap_or(new)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn identity(&self) -> Arc<Identity> {
        self.certs.current()
    }
}

#[cfg(test)]
mod tests;
