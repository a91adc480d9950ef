//! Tunnels that come in: TLS accept, identity check, CONNECT.

use crate::{CertSource, Drain, ServeError, TunnelStream};
use http::{HeaderMap, StatusCode};
use request::{Authority, SpiffeId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// MAX_CONCURRENT_STREAMS announced; never below 100 (ztunnel assumes it). Default 100.
    pub max_streams: u32,
    /// TLS handshake limit. Default 10 s.
    pub handshake_timeout: Duration,
    /// HTTP/2 preface + SETTINGS limit. Default 10 s.
    pub preface_timeout: Duration,
    /// PING when nothing was received for this long. Default 10 s... see PoolConfig.
    pub ping_interval: Duration,
    /// See PoolConfig. Default 20 s.
    pub ping_timeout: Duration,
    /// Connections are asked to leave (two-step GOAWAY) at this age, jittered by 10 %. Default 1 h.
    pub max_age: Option<Duration>,
    /// Connections without streams are closed after this. Default 1 h.
    pub idle_timeout: Duration,
    /// Flow-control window of a stream. Default 256 KiB.
    pub stream_window: u32,
    /// Flow-control window of a connection. Sized so that stalled streams cannot starve the others.
    pub connection_window: u32,
}

/// Hooks for metrics.
pub trait ServerEvents: Send + Sync + 'static {
    /// A handshake ended: `ok`, `no_certificate`, `untrusted`, `trust_domain`, `timeout`, `not_h2`, `other`.
    fn handshake(&self, _result: &'static str) {}
    /// A connection opened (+1) or closed (-1).
    fn connections(&self, _delta: i64) {}
}

/// The server side of HBONE. One per listener, shared by `Arc`.
pub struct Server {
    _certs: Arc<dyn CertSource>,
}

/// A CONNECT request that waits for its answer. Dropping it refuses with 400.
pub struct Connect {
    /// The target as asked for.
    pub authority: Authority,
    /// Who asks: from the client certificate.
    pub identity: SpiffeId,
    /// Peer address of the connection.
    pub peer: SocketAddr,
    /// CONNECT headers (`baggage`, `forwarded`, `traceparent`): untrusted.
    pub headers: HeaderMap,
    _private: (),
}

impl Connect {
    /// Answers 200 and gives the tunnel.
    ///
    /// # Errors
    /// The client has gone.
    pub fn accept(self) -> Result<TunnelStream, ServeError> {
        todo!()
    }
    /// Answers with a refusal.
    pub fn refuse(self, _status: StatusCode) {
        todo!()
    }
}

impl Server {
    /// Makes it. `trusts` says whether a trust domain may connect (the mesh's own, or an alias).
    pub fn new(
        _config: ServerConfig,
        _certs: Arc<dyn CertSource>,
        _trusts: Arc<dyn Fn(&str) -> bool + Send + Sync>,
        _events: Arc<dyn ServerEvents>,
    ) -> Arc<Self> {
        todo!()
    }
    /// Serves one accepted TCP connection until it ends: calls `on_connect` for each valid CONNECT (synchronously: it
    /// answers promptly and spawns what it needs). Other methods get 405, bad authorities 400, here.
    /// When `drain` starts: GOAWAY 2^31-1, a PING round trip, the real last id; returns when the streams have ended.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn serve<IO>(
        &self,
        _io: IO,
        _peer: SocketAddr,
        _drain: Drain,
        _on_connect: impl FnMut(Connect) + Send,
    ) -> Result<(), ServeError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        todo!()
    }
}
