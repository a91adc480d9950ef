//! The destination: ztunnel and application in one, answering straight into the tunnel.

use super::{NoEvents, Room, World};
use crate::fault::{During, Fault};
use bytes::Bytes;
use hbone::{Connect, Drain, FileCerts, Server, ServerConfig, TunnelStream};
use http::StatusCode;
use request::SpiffeId;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Bytes of every answer's body.
pub(crate) const BODY_BYTES: usize = 1024;

/// The running destination. It ends when dropped.
pub(crate) struct Destination {
    _room: Room<()>,
}

impl Destination {
    /// Listens on the pod's port 15008.
    pub(crate) fn start(world: &World) -> Result<Self, Fault> {
        let address = world.destination_address();
        let listener = std::net::TcpListener::bind(address).during(format_args!("listen on {address}"))?;
        listener.set_nonblocking(true).during("destination")?;
        let admit = Admit {
            client: world.proxy_identity()?,
            target: world.application().to_string(),
        };
        let certs = world.workload("echo")?;
        let room = Room::open("destination", async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, certs, Arc::new(admit)).await,
                Err(error) => eprintln!("destination: {error}"),
            }
        })?;
        Ok(Self { _room: room })
    }
}

/// Whom it lets in, and where to: what ztunnel checks.
struct Admit {
    client: SpiffeId,
    target: String,
}

async fn accept(listener: TcpListener, certs: Arc<FileCerts>, admit: Arc<Admit>) {
    let server = Server::new(ServerConfig::default(), certs, Arc::new(|_| true), Arc::new(NoEvents));
    let answer = answer();
    while let Ok((socket, peer)) = listener.accept().await {
        let nodelay = socket.set_nodelay(true);
        let (server, admit, answer) = (Arc::clone(&server), Arc::clone(&admit), answer.clone());
        tokio::spawn(async move {
            let on_connect = |connect| admit.serve(connect, answer.clone());
            let served = server.serve(socket, peer, Drain::new(), on_connect).await;
            if let Err(error) = served
                .map_err(|error| error.to_string())
                .and(nodelay.map_err(|e| e.to_string()))
            {
                report(peer, &error);
            }
        });
    }
}

fn report(peer: SocketAddr, error: &str) {
    eprintln!("destination: {peer}: {error}");
}

impl Admit {
    fn serve(&self, connect: Connect, answer: Bytes) {
        if connect.identity != self.client || connect.authority.as_str() != self.target {
            report(
                connect.peer,
                &format!("{connect:?}, expected {} for {}", self.client.as_str(), self.target),
            );
            connect.refuse(StatusCode::BAD_REQUEST);
            return;
        }
        if let Ok(tunnel) = connect.accept() {
            tokio::spawn(respond(tunnel, answer));
        }
    }
}

/// Answers every request head with the same bytes, until either side ends.
async fn respond(mut tunnel: TunnelStream, answer: Bytes) {
    let mut heads = Heads::default();
    while let Some(Ok(chunk)) = poll_fn(|cx| tunnel.poll_read_bytes(cx)).await {
        for _ in 0..heads.ended_in(&chunk) {
            let mut data = answer.clone();
            while !data.is_empty() {
                if poll_fn(|cx| tunnel.poll_write_bytes(cx, &mut data)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Counts the ends of heads of requests without bodies.
#[derive(Default)]
struct Heads {
    /// Bytes of CR LF CR LF seen last.
    matched: usize,
}

impl Heads {
    fn ended_in(&mut self, chunk: &[u8]) -> usize {
        let mut ended = 0;
        for byte in chunk {
            self.matched = match (byte, self.matched) {
                (b'\r', 0 | 2) | (b'\n', 1) => self.matched.saturating_add(1),
                (b'\n', 3) => {
                    ended += 1;
                    0
                }
                (b'\r', _) => 1,
                _ => 0,
            };
        }
        ended
    }
}

fn answer() -> Bytes {
    let body = "0123456789abcdef".repeat(BODY_BYTES / 16);
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: echo\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         content-length: {BODY_BYTES}\r\n\r\n{body}"
    )
    .into()
}

#[cfg(test)]
mod tests;
