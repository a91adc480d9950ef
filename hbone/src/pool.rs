//! Tunnels that go out: pooled mTLS connections, many CONNECT streams on each.

use crate::{CertSource, DialError, TunnelStream};
use http::HeaderMap;
use request::SpiffeId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Limits of the pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// TCP connect timeout. Default 10 s.
    pub connect_timeout: Duration,
    /// TLS + HTTP/2 handshake timeout. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection without streams is kept. Default 1 h... the tunnel idle time of Istio.
    pub idle_timeout: Duration,
    /// PING when nothing was received for this long. Default 10 s.
    pub ping_interval: Duration,
    /// The connection is dropped when a PING is not answered in this time. Default 20 s.
    pub ping_timeout: Duration,
    /// Streams used per connection at most, below the peer's own limit. Default 200.
    pub max_streams: usize,
    /// Connections per destination at most. Default 64.
    pub max_connections: usize,
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
    /// A dial ended: `ok`, `connect`, `tls`, `identity`, `timeout`, `refused`.
    fn dialled(&self, _result: &'static str) {}
}

/// The pool. Shared by `Arc`.
pub struct Pool {
    _certs: Arc<dyn CertSource>,
}

impl Pool {
    /// Makes an empty pool.
    pub fn new(_config: PoolConfig, _certs: Arc<dyn CertSource>, _events: Arc<dyn PoolEvents>) -> Arc<Self> {
        todo!()
    }
    /// Opens a tunnel to `authority` (pod IP:port) through `destination`, with extra CONNECT headers (`baggage`, ..).
    /// Returns when CONNECT was answered 200.
    ///
    /// # Errors
    /// See [`DialError`]. REFUSED_STREAM and a GOAWAY that cut the stream are retried inside on another connection.
    pub async fn dial(
        &self,
        _destination: &Destination,
        _authority: &str,
        _headers: HeaderMap,
    ) -> Result<TunnelStream, DialError> {
        todo!()
    }
    /// Drops idle connections to destinations for which `keep` is false (the workload has gone).
    pub fn retain(&self, _keep: impl Fn(&Destination) -> bool) {
        todo!()
    }
}
