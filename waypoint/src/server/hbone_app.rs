//! Port 15008: hands Pingora's accepted connections to `hbone`, and what it unwraps to the proxy loop.

use crate::proxy::{Node, on_connect};
use async_trait::async_trait;
use hbone::{ServeError, Server};
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use std::net::SocketAddr;
use std::sync::Arc;

/// The HBONE listener's application.
pub(crate) struct HboneApp {
    pub(crate) server: Arc<Server>,
    pub(crate) node: Arc<Node>,
}

#[async_trait]
impl ServerApp for HboneApp {
    async fn process_new(self: &Arc<Self>, session: Stream, _shutdown: &ShutdownWatch) -> Option<Stream> {
        let Some(peer) = peer(&session) else {
            tracing::warn!("a connection without a peer address was dropped");
            return None;
        };
        let (server, node) = (Arc::clone(&self.server), Arc::clone(&self.node));
        // A task of its own: Pingora's would hold what it needs for other protocols as long as the connection lives.
        tokio::spawn(async move {
            let drain = node.drain.clone();
            let served = server.serve(session, peer, drain, move |connect| on_connect(&node, connect));
            tell(peer, served.await);
        });
        None
    }
}

/// How a connection ended, to the log.
fn tell(peer: SocketAddr, served: Result<(), ServeError>) {
    match served {
        Ok(()) => {}
        Err(error @ (ServeError::Handshake(_) | ServeError::Peer(_) | ServeError::Timeout(_))) => {
            tracing::info!(%peer, %error, "HBONE connection refused");
        }
        Err(error) => tracing::debug!(%peer, %error, "HBONE connection ended"),
    }
}

/// IPv4 peers of a dual-stack listener are told by their IPv4 address.
fn peer(session: &Stream) -> Option<SocketAddr> {
    let digest = session.get_socket_digest()?;
    let address = digest.peer_addr()?.as_inet()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
