//! The destination ztunnel's part: takes HBONE on the pod's address, lets only the waypoint in, and hands the bytes
//! to the application on the same address.

use super::pki::{Certs, Pki, spiffe};
use hbone::{Connect, Drain, FileCerts, Server, ServerConfig, ServerEvents};
use http::StatusCode;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The port that HBONE fixes.
pub const HBONE_PORT: u16 = 15008;

/// A pod's tunnel endpoint. It stops when dropped.
pub struct DestinationTunnel {
    seen: Arc<Seen>,
    accept: JoinHandle<()>,
    _certs: Certs,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    tunnels: AtomicU64,
    refusals: Mutex<Vec<String>>,
    headers: Mutex<http::HeaderMap>,
}

struct NoEvents;
impl ServerEvents for NoEvents {}

impl DestinationTunnel {
    /// Listens on `pod:15008` as `namespace/service_account`; lets in the waypoint of `waypoint_namespace` only.
    pub async fn start(
        pki: &Pki,
        pod: Ipv4Addr,
        namespace: &str,
        service_account: &str,
        waypoint_namespace: &str,
    ) -> Self {
        let certs = pki.issue(namespace, service_account);
        Self::with_certs(pki, pod, waypoint_namespace, certs).await
    }

    /// The same for tunnels that ask for the host of a Service, `host:port`, in place of the pod's address: those that come
    /// through a gateway. They lead to this port.
    pub async fn start_for_host(
        pki: &Pki,
        (pod, port): (Ipv4Addr, u16),
        service_account: &str,
        namespace: &str,
        host: &str,
    ) -> Self {
        let certs = pki.issue(namespace, service_account);
        let host = Some((host.to_owned(), SocketAddr::from((pod, port))));
        Self::serve(pki, (pod, host), namespace, certs).await
    }

    /// The same as whoever these certificates are of.
    pub async fn with_certs(pki: &Pki, pod: Ipv4Addr, waypoint_namespace: &str, certs: Certs) -> Self {
        Self::serve(pki, (pod, None), waypoint_namespace, certs).await
    }

    async fn serve(pki: &Pki, (pod, host): Served, waypoint_namespace: &str, certs: Certs) -> Self {
        hbone::install_crypto_provider();
        let source = FileCerts::load(certs.path()).unwrap_or_else(|e| panic!("destination certificate: {e}"));
        let trust_domain = pki.trust_domain().to_owned();
        let trusts = Arc::new(move |domain: &str| domain == trust_domain);
        let server = Server::new(ServerConfig::default(), source, trusts, Arc::new(NoEvents));
        let waypoint: Arc<str> = spiffe(pki.trust_domain(), waypoint_namespace, "waypoint").into();
        let listener = TcpListener::bind((pod, HBONE_PORT))
            .await
            .unwrap_or_else(|e| panic!("{pod}:15008: {e}"));
        let seen = Arc::<Seen>::default();
        let accept = tokio::spawn(accept(listener, server, (pod, host), waypoint, seen.clone()));
        Self {
            seen,
            accept,
            _certs: certs,
        }
    }

    /// HBONE connections accepted.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// CONNECT streams accepted.
    pub fn tunnels(&self) -> u64 {
        self.seen.tunnels.load(Ordering::Relaxed)
    }

    /// CONNECT requests refused, and why: empty when the waypoint behaves.
    pub fn refusals(&self) -> Vec<String> {
        self.seen.refusals.lock().unwrap().clone()
    }

    /// Headers of the latest CONNECT.
    pub fn connect_headers(&self) -> http::HeaderMap {
        self.seen.headers.lock().unwrap().clone()
    }
}

impl Drop for DestinationTunnel {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// The pod, and the host that it is asked for, with where that leads.
type Served = (Ipv4Addr, Option<(String, SocketAddr)>);

async fn accept(listener: TcpListener, server: Arc<Server>, served: Served, waypoint: Arc<str>, seen: Arc<Seen>) {
    let served = Arc::new(served);
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, peer)) = listener.accept().await {
        socket.set_nodelay(true).ok();
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let (server, waypoint, seen, served) = (server.clone(), waypoint.clone(), seen.clone(), served.clone());
        connections.spawn(async move {
            let on_connect = |connect: Connect| match admit(&connect, &served, &waypoint) {
                Ok(target) => {
                    seen.tunnels.fetch_add(1, Ordering::Relaxed);
                    *seen.headers.lock().unwrap() = connect.headers.clone();
                    tokio::spawn(splice(connect, target));
                }
                Err((status, why)) => {
                    seen.refusals.lock().unwrap().push(why);
                    connect.refuse(status);
                }
            };
            if let Err(e) = server.serve(socket, peer, Drain::new(), on_connect).await {
                tracing::debug!(%peer, "destination tunnel: {e}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What ztunnel checks: the peer is the waypoint, the target is this pod.
fn admit(connect: &Connect, (pod, host): &Served, waypoint: &str) -> Result<SocketAddr, (StatusCode, String)> {
    let identity = connect.identity.as_str();
    if identity != waypoint {
        return Err((
            StatusCode::UNAUTHORIZED,
            format!("client is {identity}, wanted {waypoint}"),
        ));
    }
    let authority = connect.authority.to_string();
    if let Some((_, target)) = host.as_ref().filter(|(host, _)| *host == authority) {
        return Ok(*target);
    }
    match authority.parse::<SocketAddr>() {
        Ok(target) if target.ip() == *pod && host.is_none() => Ok(target),
        _ => Err((
            StatusCode::BAD_REQUEST,
            format!("CONNECT {authority}, but the pod is {pod}"),
        )),
    }
}

async fn splice(connect: Connect, target: SocketAddr) {
    match TcpStream::connect(target).await {
        Ok(mut app) => {
            app.set_nodelay(true).ok();
            let Ok(mut tunnel) = connect.accept() else { return };
            copy_bidirectional(&mut tunnel, &mut app).await.ok();
        }
        Err(_) => connect.refuse(StatusCode::SERVICE_UNAVAILABLE),
    }
}
