//! The client's part: a local TCP port whose every connection goes to the waypoint in a tunnel of its own.
//!
//! This is what ztunnel does for a pod: the application (curl, or the demo's own load) speaks plain HTTP and knows
//! of nothing.

use super::error::{DemoError, doing};
use super::ids;
use hbone::{CertSource, Destination, Pool, PoolConfig, PoolEvents, splice};
use http::{HeaderMap, HeaderValue};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What ztunnel tells of the source workload, for telemetry.
const BAGGAGE: HeaderValue = HeaderValue::from_static(
    "k8s.cluster.name=Kubernetes,k8s.namespace.name=demo,k8s.deployment.name=curl,service.name=curl,service.version=v1",
);

/// The open port. It closes when dropped.
pub(super) struct LocalPort {
    pub(super) address: SocketAddr,
    accepting: JoinHandle<()>,
}

struct NoEvents;
impl PoolEvents for NoEvents {}

impl LocalPort {
    /// Opens `wanted`, or any free port when that one is taken.
    pub(super) async fn open(
        wanted: SocketAddr,
        waypoint: SocketAddr,
        certs: Arc<dyn CertSource>,
    ) -> Result<Self, DemoError> {
        let listener = bind(wanted).await.map_err(doing(format!("listen on {wanted}")))?;
        let address = listener
            .local_addr()
            .map_err(doing("read the address of the local port"))?;
        let tunnels = Tunnels {
            pool: Pool::new(PoolConfig::default(), certs, Arc::new(NoEvents)),
            waypoint: Destination {
                address: waypoint,
                identity: ids::spiffe(ids::WAYPOINT)?,
            },
        };
        let accepting = tokio::spawn(accept(listener, Arc::new(tunnels)));
        Ok(Self { address, accepting })
    }
}

impl Drop for LocalPort {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn bind(wanted: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(wanted).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => TcpListener::bind((wanted.ip(), 0)).await,
        bound => bound,
    }
}

async fn accept(listener: TcpListener, tunnels: Arc<Tunnels>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let tunnels = Arc::clone(&tunnels);
                connections.spawn(async move { tunnels.forward(socket).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Tunnels {
    pool: Arc<Pool>,
    waypoint: Destination,
}

impl Tunnels {
    async fn forward(&self, socket: TcpStream) {
        // Without it small requests wait for acknowledgements; it is no reason to refuse.
        let _ = socket.set_nodelay(true);
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("baggage"), BAGGAGE)]);
        // As with ztunnel, a tunnel that cannot be had reaches the application as a closed connection.
        if let Ok(tunnel) = self.pool.dial(&self.waypoint, ids::SERVICE_VIP, headers).await {
            let _ = splice(socket, tunnel).await;
        }
    }
}
