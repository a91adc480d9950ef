//! A pool that dials into pipes.

#![allow(clippy::unwrap_used)]

use super::connector::Connector;
use super::{Destination, Pool, PoolConfig, PoolEvents};
use crate::testing::{Seen, id};
use crate::{CertSource, DialError, TunnelStream};
use http::HeaderMap;
use request::SpiffeId;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::DuplexStream;

pub(crate) struct PipePool {
    pub(crate) pool: Arc<Pool>,
    pub(crate) seen: Arc<Seen>,
}

impl PoolEvents for Seen {
    fn dialled(&self, result: &'static str) {
        self.push(result);
    }
    fn connections(&self, delta: i64) {
        self.push(format!("{delta:+}"));
    }
}

impl PipePool {
    pub(crate) fn new(
        config: PoolConfig,
        certs: Arc<dyn CertSource>,
        peer: impl Fn(DuplexStream) + Send + Sync + 'static,
    ) -> Self {
        Self::connecting(config, certs, move |_| {
            let (near, far) = tokio::io::duplex(64 * 1024);
            peer(far);
            Ok(near)
        })
    }

    pub(crate) fn connecting(
        config: PoolConfig,
        certs: Arc<dyn CertSource>,
        connect: impl Fn(SocketAddr) -> std::io::Result<DuplexStream> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Seen>::default();
        let events = Arc::clone(&seen) as Arc<dyn PoolEvents>;
        Self {
            pool: Pool::with_connector(config, certs, events, Connector::Pipe(Box::new(connect))),
            seen,
        }
    }

    /// A tunnel to service account `server`.
    pub(crate) async fn dial(&self) -> Result<TunnelStream, DialError> {
        self.dial_as("server").await
    }

    pub(crate) async fn dial_as(&self, account: &str) -> Result<TunnelStream, DialError> {
        self.pool
            .dial(&destination(account), "10.0.0.1:80", HeaderMap::new())
            .await
    }
}

pub(crate) fn destination(account: &str) -> Destination {
    Destination {
        address: "10.0.0.1:15008".parse().unwrap(),
        identity: SpiffeId::parse(&id(account)).unwrap(),
    }
}
