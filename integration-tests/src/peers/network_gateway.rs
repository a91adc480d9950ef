//! The gateway of another network: ends HBONE, lets only the waypoint in, and passes the bytes of a tunnel on to whomever
//! serves the host it asks for, without looking into them.

use super::pki::{Certs, Pki, spiffe};
use hbone::{Connect, Drain, FileCerts, Server, ServerConfig, ServerEvents};
use http::StatusCode;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running gateway. It stops when dropped.
pub struct NetworkGateway {
    desk: Arc<Desk>,
    accept: JoinHandle<()>,
    _certs: Certs,
}

#[derive(Default)]
struct Desk {
    /// Who serves a host and port.
    behind: BTreeMap<String, SocketAddr>,
    asked: Mutex<Vec<String>>,
    refusals: Mutex<Vec<String>>,
}

struct NoEvents;
impl ServerEvents for NoEvents {}

impl NetworkGateway {
    /// Listens on `address` as `istio-system/eastwest`. `behind` says which tunnel endpoint serves which `host:port`.
    pub async fn start(
        pki: &Pki,
        address: (Ipv4Addr, u16),
        waypoint_namespace: &str,
        behind: &[(&str, SocketAddr)],
    ) -> Self {
        hbone::install_crypto_provider();
        let certs = pki.issue("istio-system", "eastwest");
        let source = FileCerts::load(certs.path()).unwrap_or_else(|e| panic!("gateway certificate: {e}"));
        let trust_domain = pki.trust_domain().to_owned();
        let trusts = Arc::new(move |domain: &str| domain == trust_domain);
        let server = Server::new(ServerConfig::default(), source, trusts, Arc::new(NoEvents));
        let waypoint: Arc<str> = spiffe(pki.trust_domain(), waypoint_namespace, "waypoint").into();
        let listener = TcpListener::bind(address).await.unwrap();
        let behind = behind.iter().map(|(host, at)| ((*host).to_owned(), *at)).collect();
        let desk = Arc::new(Desk {
            behind,
            ..Desk::default()
        });
        let accept = tokio::spawn(accept(listener, server, waypoint, Arc::clone(&desk)));
        Self {
            desk,
            accept,
            _certs: certs,
        }
    }

    /// What tunnels asked for.
    pub fn asked(&self) -> Vec<String> {
        self.desk.asked.lock().unwrap().clone()
    }

    /// Tunnels refused, and why: empty when the waypoint behaves.
    pub fn refusals(&self) -> Vec<String> {
        self.desk.refusals.lock().unwrap().clone()
    }
}

impl Drop for NetworkGateway {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>, waypoint: Arc<str>, desk: Arc<Desk>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, peer)) = listener.accept().await {
        socket.set_nodelay(true).ok();
        let (server, waypoint, desk) = (server.clone(), waypoint.clone(), desk.clone());
        connections.spawn(async move {
            let on_connect = |connect: Connect| {
                let authority = connect.authority.to_string();
                desk.asked.lock().unwrap().push(authority.clone());
                let target = desk.behind.get(&authority).copied();
                match target.filter(|_| connect.identity.as_str() == &*waypoint) {
                    Some(target) => drop(tokio::spawn(splice(connect, target))),
                    None => {
                        let why = format!("{} asks for {authority}", connect.identity.as_str());
                        desk.refusals.lock().unwrap().push(why);
                        connect.refuse(StatusCode::BAD_REQUEST);
                    }
                }
            };
            if let Err(e) = server.serve(socket, peer, Drain::new(), on_connect).await {
                tracing::debug!(%peer, "gateway: {e}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn splice(connect: Connect, target: SocketAddr) {
    match TcpStream::connect(target).await {
        Ok(mut behind) => {
            behind.set_nodelay(true).ok();
            let Ok(mut tunnel) = connect.accept() else { return };
            copy_bidirectional(&mut tunnel, &mut behind).await.ok();
        }
        Err(_) => connect.refuse(StatusCode::SERVICE_UNAVAILABLE),
    }
}
