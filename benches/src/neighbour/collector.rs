//! A trace collector that takes whatever comes over OTLP/gRPC, counts the batches, and keeps nothing: it must not be what
//! a tracing proxy waits for.

use super::Room;
use crate::fault::{During, Fault};
use crate::http2::{WINDOW_BYTES, drain, send};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::net::{TcpListener, TcpStream};

/// The collector. It ends when dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    taken_bytes: Arc<AtomicU64>,
    _room: Room<()>,
}

impl Collector {
    /// On a free port.
    pub(crate) fn start() -> Result<Self, Fault> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").during("collector")?;
        listener.set_nonblocking(true).during("collector")?;
        let address = listener.local_addr().during("collector")?;
        let taken_bytes = Arc::<AtomicU64>::default();
        let taken = Arc::clone(&taken_bytes);
        let room = Room::open("collector", async move {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&taken)));
            }
        })?;
        Ok(Self {
            address,
            taken_bytes,
            _room: room,
        })
    }

    /// Bytes of spans taken so far.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Relaxed)
    }
}

async fn serve(socket: TcpStream, taken: Arc<AtomicU64>) {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES.saturating_mul(4));
    let Ok(mut connection) = builder.handshake(socket).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let taken = Arc::clone(&taken);
        // A call that was reset needs no answer.
        tokio::spawn(async move { drop(answer(request, respond, &taken).await) });
    }
}

/// An empty message: everything was taken.
async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    taken: &AtomicU64,
) -> Result<(), h2::Error> {
    let length = drain(&mut request.into_body()).await?;
    taken.fetch_add(length, Relaxed);
    let mut response = Response::new(());
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    let mut stream = respond.send_response(response, false)?;
    send(&mut stream, Bytes::from_static(&[0; 5]), false).await?;
    let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    stream.send_trailers(HeaderMap::from_iter([status]))
}
