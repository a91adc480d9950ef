//! The client's side: mTLS connections to the proxy under test, CONNECT streams on them; or plain connections to a
//! Service, where the node's own tunnel does the rest.

use super::{NoEvents, World};
use crate::fault::{During, Fault};
use crate::wire::Wire;
use hbone::{CertSource, Destination, Pool, PoolConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// What the workload says of itself.
const BAGGAGE: &str = "k8s.cluster.name=Kubernetes,k8s.namespace.name=demo,k8s.deployment.name=client,service.name=client,service.version=v1";

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
        let baggage = (HeaderName::from_static("baggage"), HeaderValue::from_static(BAGGAGE));
        Self::Tunnels(Arc::new(Tunnels {
            certs,
            proxy,
            authority: authority.into(),
            headers: HeaderMap::from_iter([baggage]),
            config: PoolConfig {
                // What ztunnel and the waypoints announce.
                max_streams: 100,
                ..PoolConfig::default()
            },
        }))
    }

    /// Opens `connections` with `streams` spread over them. Connections live as long as one of their streams.
    pub(crate) async fn dial(&self, connections: u64, streams: u64) -> Result<Vec<Wire>, Fault> {
        let mut wires = Vec::new();
        match self {
            Self::Tunnels(tunnels) => {
                let pools: Vec<_> = (0..connections.max(1)).map(|_| tunnels.pool()).collect();
                for (pool, _) in pools.iter().cycle().zip(0..streams) {
                    wires.push(tunnels.open(pool).await?);
                }
            }
            Self::Plain(address) => {
                for _ in 0..streams {
                    let socket = TcpStream::connect(&**address).await.during(address)?;
                    socket.set_nodelay(true).during("TCP_NODELAY")?;
                    wires.push(socket.into());
                }
            }
        }
        Ok(wires)
    }

    /// Opens connections on which no stream is left, and keeps them for as long as what is returned lives.
    pub(crate) async fn idle(&self, connections: u64) -> Result<Vec<Arc<Pool>>, Fault> {
        let Self::Tunnels(tunnels) = self else {
            return Err(Fault::new("plain connections have no tunnels"));
        };
        let mut pools = Vec::new();
        for _ in 0..connections {
            let pool = tunnels.pool();
            drop(tunnels.open(&pool).await?);
            pools.push(pool);
        }
        Ok(pools)
    }
}

impl Tunnels {
    /// A pool keeps to one connection as long as that has room.
    fn pool(&self) -> Arc<Pool> {
        Pool::new(self.config.clone(), Arc::clone(&self.certs), Arc::new(NoEvents))
    }

    async fn open(&self, pool: &Arc<Pool>) -> Result<Wire, Fault> {
        let dialled = pool.dial(&self.proxy, &self.authority, self.headers.clone()).await;
        dialled.map(Wire::from).during("client tunnel")
    }
}
