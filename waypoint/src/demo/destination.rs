//! The destination's part: a pod's tunnel end (ztunnel there) and the application behind it.
//!
//! It lets in nobody but the waypoint, and nothing but its own address. The application's HTTP runs right on the
//! tunnel's stream.

use super::error::{DemoError, doing};
use super::ids;
use bytes::Bytes;
use hbone::{CertSource, Connect, Drain, Server, ServerConfig, ServerEvents, TunnelStream};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use request::SpiffeId;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Which version answered.
pub(super) const VERSION: HeaderName = HeaderName::from_static("x-reviews-version");
/// The `traceparent` that reached the application.
pub(super) const SEEN_TRACEPARENT: HeaderName = HeaderName::from_static("x-seen-traceparent");

/// The application's port, as in `00-mesh.yaml`.
const APP_PORT: u16 = 9080;
/// ztunnel's port.
const HBONE_PORT: u16 = 15008;

/// A pod of `00-mesh.yaml`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod {
    pub(super) version: &'static str,
    address: Ipv4Addr,
}

/// One pod for each version.
pub(super) const PODS: [Pod; 2] = [
    Pod {
        version: "v1",
        address: Ipv4Addr::new(127, 10, 0, 11),
    },
    Pod {
        version: "v2",
        address: Ipv4Addr::new(127, 10, 0, 12),
    },
];

impl Pod {
    /// Where its tunnel ends.
    pub(super) fn hbone(&self) -> SocketAddr {
        (self.address, HBONE_PORT).into()
    }

    /// Where its application is: only through the tunnel.
    pub(super) fn app(&self) -> SocketAddr {
        (self.address, APP_PORT).into()
    }
}

/// A running pod. It stops when dropped.
pub(super) struct Destination {
    accepting: JoinHandle<()>,
}

struct NoEvents;
impl ServerEvents for NoEvents {}

impl Destination {
    /// Listens on the pod's tunnel port.
    pub(super) async fn start(pod: Pod, certs: Arc<dyn CertSource>, waypoint: SpiffeId) -> Result<Self, DemoError> {
        let listener = TcpListener::bind(pod.hbone())
            .await
            .map_err(|error| cannot_bind(pod, error))?;
        let trusts = Arc::new(|domain: &str| domain == ids::TRUST_DOMAIN);
        let server = Server::new(ServerConfig::default(), certs, trusts, Arc::new(NoEvents));
        let accepting = tokio::spawn(accept(listener, server, pod, waypoint));
        Ok(Self { accepting })
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn cannot_bind(pod: Pod, error: io::Error) -> DemoError {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => " (is another demo running?)".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                " (here loopback is one address only; on macOS: sudo ifconfig lo0 alias {})",
                pod.address
            )
        }
        _ => String::new(),
    };
    doing(format!(
        "listen on {} as pod reviews-{}{hint}",
        pod.hbone(),
        pod.version
    ))(error)
}

async fn accept(listener: TcpListener, server: Arc<Server>, pod: Pod, waypoint: SpiffeId) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, peer)) = accepted else { continue };
                connections.spawn(serve(socket, peer, Arc::clone(&server), pod, waypoint.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One mTLS connection of the waypoint, with all its tunnels.
async fn serve(socket: TcpStream, peer: SocketAddr, server: Arc<Server>, pod: Pod, waypoint: SpiffeId) {
    // Without it small answers wait for acknowledgements; it is no reason to refuse.
    let _ = socket.set_nodelay(true);
    let on_connect = |connect: Connect| {
        if connect.identity != waypoint {
            return connect.refuse(StatusCode::UNAUTHORIZED);
        }
        if connect.authority.as_str() != pod.app().to_string() {
            return connect.refuse(StatusCode::BAD_REQUEST);
        }
        if let Ok(tunnel) = connect.accept() {
            tokio::spawn(application(tunnel, pod));
        }
    };
    // How it ends does not matter: the client's side tells what went wrong with a request.
    let _ = server.serve(socket, peer, Drain::new(), on_connect).await;
}

async fn application(tunnel: TunnelStream, pod: Pod) {
    let service = service_fn(move |request| answer(request, pod));
    // As above.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(tunnel), service)
        .await;
}

/// Says who answers, and what reached it.
async fn answer(request: Request<Incoming>, pod: Pod) -> hyper::Result<Response<Full<Bytes>>> {
    let text = format!(
        "reviews {} at {}: {} {}\n",
        pod.version,
        pod.app(),
        request.method(),
        request.uri().path()
    );
    let traceparent = request.headers().get("traceparent").cloned();
    request.into_body().collect().await?;
    let mut response = Response::new(Full::from(text));
    response
        .headers_mut()
        .insert(VERSION, HeaderValue::from_static(pod.version));
    if let Some(traceparent) = traceparent {
        response.headers_mut().insert(SEEN_TRACEPARENT, traceparent);
    }
    Ok(response)
}
