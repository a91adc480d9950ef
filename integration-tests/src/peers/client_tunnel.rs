//! The source ztunnel's part: mTLS to the waypoint as some workload, one CONNECT stream per application connection.

use super::http_client::{HttpClient, Reply, get};
use super::mesh_world::Vip;
use super::pki::{Certs, Pki, spiffe};
use super::waiting::soon;
use hbone::{Destination, DialError, FileCerts, Pool, PoolConfig, PoolEvents, TunnelStream};
use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Tunnels of one workload to one waypoint.
pub struct ClientTunnel {
    pool: Arc<Pool>,
    waypoint: Destination,
    _certs: Certs,
}

/// A TCP port whose every connection goes into a tunnel of its own: what curl and gRPC libraries connect to.
pub struct LocalPort {
    /// Where to connect.
    pub address: SocketAddr,
    accept: JoinHandle<()>,
}

struct NoEvents;
impl PoolEvents for NoEvents {}

impl ClientTunnel {
    /// Tunnels as `namespace/service_account` to the waypoint of `waypoint_namespace` at `hbone`.
    pub fn new(hbone: SocketAddr, pki: &Pki, waypoint_namespace: &str, namespace: &str, service_account: &str) -> Self {
        let certs = pki.issue(namespace, service_account);
        Self::with_certs(hbone, pki, waypoint_namespace, certs)
    }

    /// The same with certificates at hand.
    pub fn with_certs(hbone: SocketAddr, pki: &Pki, waypoint_namespace: &str, certs: Certs) -> Self {
        hbone::install_crypto_provider();
        let source = FileCerts::load(certs.path()).unwrap_or_else(|e| panic!("client certificate: {e}"));
        let identity = spiffe(pki.trust_domain(), waypoint_namespace, "waypoint");
        let identity = request::SpiffeId::parse(&identity).unwrap();
        let pool = Pool::new(PoolConfig::default(), source, Arc::new(NoEvents));
        Self {
            pool,
            waypoint: Destination {
                address: hbone,
                identity,
            },
            _certs: certs,
        }
    }

    /// Opens a tunnel to `authority` (VIP:port).
    ///
    /// # Errors
    /// The waypoint refused it or could not be reached.
    pub async fn dial(&self, authority: &str, headers: HeaderMap) -> Result<TunnelStream, DialError> {
        soon("CONNECT", self.pool.dial(&self.waypoint, authority, headers)).await
    }

    /// A tunnel for raw bytes.
    pub async fn raw(&self, vip: &Vip) -> TunnelStream {
        self.dial(&vip.authority(), HeaderMap::new())
            .await
            .unwrap_or_else(|e| panic!("CONNECT {vip:?}: {e}"))
    }

    /// A tunnel with an HTTP/1.1 connection in it.
    pub async fn http1(&self, vip: &Vip) -> HttpClient {
        HttpClient::http1(self.raw(vip).await, &vip.host_port()).await.unwrap()
    }

    /// A tunnel with a prior-knowledge HTTP/2 connection in it.
    pub async fn http2(&self, vip: &Vip) -> HttpClient {
        soon(
            "HTTP/2 handshake",
            HttpClient::http2(self.raw(vip).await, &vip.host_port()),
        )
        .await
        .unwrap()
    }

    /// One GET in a tunnel of its own.
    pub async fn get(&self, vip: &Vip, path: &str) -> Reply {
        let mut client = self.http1(vip).await;
        soon(&format!("GET {path}"), client.send(get(path))).await
    }

    /// Opens a local port that leads to `vip`.
    pub async fn local_port(self: &Arc<Self>, vip: &Vip) -> LocalPort {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tunnels, authority) = (self.clone(), vip.authority());
        let accept = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                socket.set_nodelay(true).ok();
                let (tunnels, authority) = (tunnels.clone(), authority.clone());
                connections.spawn(async move {
                    // As ztunnel does: a refused CONNECT reaches the application as a closed connection.
                    let Ok(mut tunnel) = tunnels.dial(&authority, HeaderMap::new()).await else {
                        return;
                    };
                    copy_bidirectional(&mut socket, &mut tunnel).await.ok();
                });
                while connections.try_join_next().is_some() {}
            }
        });
        LocalPort { address, accept }
    }
}

impl LocalPort {
    /// `http://ADDRESS` and this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for LocalPort {
    fn drop(&mut self) {
        self.accept.abort();
    }
}
