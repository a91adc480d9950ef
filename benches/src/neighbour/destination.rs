//! The destination: ztunnel and application in one, answering straight into the tunnel.

use super::{Echo, NoEvents, Room, World};
use crate::fault::{During, Fault};
use crate::scenario::Speaks;
use crate::wire::Wire;
use hbone::{CertSource, Connect, Drain, Server, ServerConfig};
use http::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Several pods in one room. They end when dropped.
pub(crate) struct Destination {
    _room: Room<()>,
}

/// Where one pod takes tunnels, and what it does with them.
pub(crate) struct Tunnels {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) certs: Arc<dyn CertSource>,
    pub(crate) route: Arc<dyn Route>,
}

/// Whom a pod lets in, and where to: what ztunnel checks.
pub(crate) trait Route: Send + Sync {
    /// The application, or why not.
    fn find(&self, connect: &Connect) -> Result<Application, String>;
}

/// What a tunnel ends at.
#[derive(Clone)]
pub(crate) enum Application {
    Http(Echo),
    Bytes(Echo),
}

impl Destination {
    /// The pods of a world, each on its port 15008, on one thread.
    pub(crate) fn of_world(world: &World) -> Result<Self, Fault> {
        Self::of_threads(world, 1)
    }

    /// The same on several.
    pub(crate) fn of_threads(world: &World, threads: usize) -> Result<Self, Fault> {
        let client = world.proxy_identity()?;
        let mut pods = Vec::new();
        for pod in world.pods() {
            let route = Arc::new(OnePod {
                client: client.clone(),
                target: pod.application().to_string(),
                application: match world.holds().speaks {
                    Speaks::Http1 | Speaks::Http2 | Speaks::Grpc => Application::Http(pod.echo.clone()),
                    Speaks::Tcp => Application::Bytes(pod.echo.clone()),
                },
            });
            pods.push(Tunnels {
                listener: listen(pod.tunnels())?,
                certs: world.workload(pod.name)?,
                route,
            });
        }
        let room = Room::of_threads("destination", threads, async move {
            let mut running = JoinSet::new();
            for pod in pods {
                running.spawn(pod.serve());
            }
            running.join_all().await;
        })?;
        Ok(Self { _room: room })
    }
}

/// Listens for a runtime that will come.
pub(crate) fn listen(address: SocketAddr) -> Result<std::net::TcpListener, Fault> {
    let listener = std::net::TcpListener::bind(address).during(format_args!("listen on {address}"))?;
    listener.set_nonblocking(true).during("destination")?;
    Ok(listener)
}

/// The only client is the waypoint, the only target is the pod's application.
struct OnePod {
    client: request::SpiffeId,
    target: String,
    application: Application,
}

impl Route for OnePod {
    fn find(&self, connect: &Connect) -> Result<Application, String> {
        if connect.identity == self.client && connect.authority.as_str() == self.target {
            return Ok(self.application.clone());
        }
        Err(format!(
            "{connect:?}, expected {} for {}",
            self.client.as_str(),
            self.target
        ))
    }
}

impl Tunnels {
    /// Takes tunnels for ever.
    pub(crate) async fn serve(self) {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return eprintln!("destination: {error}"),
        };
        let server = Server::new(
            ServerConfig::default(),
            self.certs,
            Arc::new(|_| true),
            Arc::new(NoEvents),
        );
        while let Ok((socket, peer)) = listener.accept().await {
            let nodelay = socket.set_nodelay(true);
            let (server, route) = (Arc::clone(&server), Arc::clone(&self.route));
            tokio::spawn(async move {
                let served = server.serve(socket, peer, Drain::new(), |connect| join(connect, &*route));
                let served = served.await.map_err(|error| error.to_string());
                if let Err(error) = served.and(nodelay.map_err(|error| error.to_string())) {
                    eprintln!("destination: {peer}: {error}");
                }
            });
        }
    }
}

fn join(connect: Connect, route: &dyn Route) {
    match route.find(&connect) {
        Ok(application) => {
            if let Ok(tunnel) = connect.accept() {
                tokio::spawn(application.serve(tunnel.into()));
            }
        }
        Err(why) => {
            eprintln!("destination: {}: {why}", connect.peer);
            connect.refuse(StatusCode::BAD_REQUEST);
        }
    }
}

impl Application {
    /// One connection until it ends.
    pub(crate) async fn serve(self, wire: Wire) {
        match self {
            Self::Http(echo) => echo.serve_http(wire).await,
            Self::Bytes(echo) => echo.serve_bytes(wire).await,
        }
    }
}
