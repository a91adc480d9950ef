//! HTTP/2 with prior knowledge inside a tunnel: every stream is a request of its own.

use super::client::{Client, H2Client};
use super::exchange;
use super::extended_connect::Wish;
use super::quiet::{IDLE_TIMEOUT, Over, Quiet};
use super::tunnel::Tunnel;
use super::upgrade::Primed;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use hbone::TunnelStream;
use http::Request;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep;

/// From the first byte to the end of the preface and SETTINGS.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams at once.
const STREAMS: u32 = 100;
/// Request header bytes, as HPACK counts them.
const HEADER_LIST: u32 = 64 * 1024;
/// Flow-control windows: streams that an endpoint does not read, however many, leave the others their room. A limit;
/// nothing is allocated for it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;

type Io = Primed<TunnelStream>;

/// Serves the streams of one connection until it ends.
pub(crate) async fn serve(tunnel: Arc<Tunnel>, io: Io) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(64 * 1024)
        .max_concurrent_reset_streams(50)
        .max_pending_accept_reset_streams(50)
        .enable_connect_protocol();
    match tokio::time::timeout(PREFACE_TIMEOUT, builder.handshake::<_, Bytes>(io)).await {
        Ok(Ok(mut connection)) => run(&tunnel, &mut connection).await,
        Ok(Err(error)) => tracing::debug!(%error, "HTTP/2 preface"),
        Err(_) => tracing::debug!("HTTP/2 preface took too long"),
    }
}

async fn run(tunnel: &Arc<Tunnel>, connection: &mut Connection<Io, Bytes>) {
    let drains = [&tunnel.node.drain, &tunnel.leaving];
    let started = pin!(async {
        tokio::select! {
            () = tunnel.node.drain.started() => {}
            () = tunnel.leaving.started() => {}
        }
    });
    let idle = pin!(sleep(IDLE_TIMEOUT));
    let mut quiet = Quiet::new(&drains, started, idle);
    loop {
        let next = poll_fn(|cx| match connection.poll_accept(cx) {
            Poll::Ready(next) => Poll::Ready(Ok(next)),
            Poll::Pending => quiet.poll_over(cx).map(Err),
        });
        match next.await {
            Ok(Some(Ok((request, respond)))) => {
                quiet.used();
                serve_stream(tunnel, request, respond);
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "HTTP/2 connection ended");
                return;
            }
            Ok(None) => return,
            // Idle in the sense of "no new stream": streams that run keep it.
            Err(Over::Idle) if connection.has_streams() => {}
            Err(Over::Idle | Over::Leaving) => connection.graceful_shutdown(),
        }
    }
}

/// In a task of its own. What serves is made in there, and in a box: a task that holds several KiB is moved four times
/// before it runs, and once more when it ends.
fn serve_stream(tunnel: &Arc<Tunnel>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let tunnel = Arc::clone(tunnel);
    tokio::spawn(async move { Box::pin(serve_request(tunnel, request, respond)).await });
}

async fn serve_request(tunnel: Arc<Tunnel>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (mut parts, body) = request.into_parts();
    let wish = Wish::take(&mut parts);
    let mut client = Client::H2(Box::new(H2Client::new(&parts.headers, body, respond, wish)));
    let serving = pin!(exchange::serve(&tunnel, &mut client, parts));
    tunnel.node.changes.watched(serving).await;
}
