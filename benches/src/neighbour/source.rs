//! The client's side: mTLS connections to the proxy under test, CONNECT streams on them; or plain connections to a
//! Service, where the node's own tunnel does the rest.

use super::{NoEvents, World};
use crate::fault::{During, Fault};
use crate::wire::Wire;
use hbone::{CertSource, Destination, Pool, PoolConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use request::SpiffeId;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Who asks, and by which way.
#[derive(Clone)]
pub(crate) enum Source {
    Tunnels(Arc<Tunnels>),
    /// TCP to this `host:port`.
    Plain(Arc<str>),
}

/// Tunnels to a waypoint.
pub(crate) struct Tunnels {
    certs: Arc<dyn CertSource>,
    proxy: Destination,
    /// What CONNECT asks for.
    authority: Arc<str>,
    headers: HeaderMap,
    config: PoolConfig,
}

impl Source {
    /// The workload `client` of a world, which wants its Service, by way of `proxy`.
    pub(crate) fn of_world(world: &World, proxy: SocketAddr) -> Result<Self, Fault> {
        let proxy = Destination {
            address: proxy,
            identity: world.proxy_identity()?,
        };
        let certs = world.workload("client")?;
        Ok(Self::tunnels(certs, proxy, &world.vip().authority()))
    }

    /// Tunnels by `proxy` to `authority`.
    pub(crate) fn tunnels(certs: Arc<dyn CertSource>, proxy: Destination, authority: &str) -> Self {
        let baggage = baggage(&certs.current().id);
        let baggage = baggage.map(|baggage| (HeaderName::from_static("baggage"), baggage));
        Self::Tunnels(Arc::new(Tunnels {
            certs,
            proxy,
            authority: authority.into(),
            headers: HeaderMap::from_iter(baggage),
            config: PoolConfig {
                // What ztunnel and the waypoints announce.
                max_streams: 100,
                ..PoolConfig::default()
            },
        }))
    }

    /// A connection that is not open yet.
    pub(crate) fn connection(&self) -> Connection {
        match self {
            Self::Tunnels(tunnels) => {
                let (config, certs) = (tunnels.config.clone(), Arc::clone(&tunnels.certs));
                Connection::Tunnels {
                    tunnels: Arc::clone(tunnels),
                    pool: Pool::new(config, certs, Arc::new(NoEvents)),
                }
            }
            Self::Plain(address) => Connection::Plain(Arc::clone(address)),
        }
    }

    /// Opens `connections` with `streams` spread over them. Connections live as long as one of their streams.
    pub(crate) async fn dial(&self, connections: u64, streams: u64) -> Result<Vec<Wire>, Fault> {
        let all: Vec<_> = (0..connections.max(1)).map(|_| self.connection()).collect();
        let mut wires = Vec::new();
        for (connection, _) in all.iter().cycle().zip(0..streams) {
            wires.push(connection.open().await?);
        }
        Ok(wires)
    }

    /// Opens a connection on which no stream is left. It is kept for as long as what is returned lives.
    pub(crate) async fn connect(&self) -> Result<Connection, Fault> {
        let connection = self.connection();
        drop(connection.open().await?);
        Ok(connection)
    }
}

/// What ztunnel tells of a workload, for telemetry; of ours there is no more than its identity. None when that has what
/// no header can have.
fn baggage(id: &SpiffeId) -> Option<HeaderValue> {
    let (namespace, account) = (id.namespace(), id.service_account());
    let told = format!(
        "k8s.cluster.name=Kubernetes,k8s.namespace.name={namespace},k8s.deployment.name={account},service.name={account},\
         service.version=v1"
    );
    HeaderValue::try_from(told).ok()
}

/// One mTLS connection, opened by its first stream; in clear, where streams have their own, only a place to dial.
pub(crate) enum Connection {
    /// A pool keeps to one connection as long as that has room.
    Tunnels {
        tunnels: Arc<Tunnels>,
        pool: Arc<Pool>,
    },
    Plain(Arc<str>),
}

impl Connection {
    /// A stream on it.
    pub(crate) async fn open(&self) -> Result<Wire, Fault> {
        match self {
            Self::Tunnels { tunnels, pool } => {
                let headers = tunnels.headers.clone();
                let dialled = pool.dial(&tunnels.proxy, &tunnels.authority, headers).await;
                dialled.map(Wire::from).during("client tunnel")
            }
            Self::Plain(address) => {
                let socket = TcpStream::connect(&**address).await.during(address)?;
                socket.set_nodelay(true).during("TCP_NODELAY")?;
                Ok(socket.into())
            }
        }
    }

    /// Whether the other side has not closed it.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Tunnels { pool, .. } => pool.connections() > 0,
            Self::Plain(_) => true,
        }
    }
}

#[cfg(test)]
mod tests;
