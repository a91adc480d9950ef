//! HTTP/1.1 inside a tunnel: requests one after the other, until one side is done.

use super::client::Client;
use super::exchange;
use super::quiet::{IDLE_TIMEOUT, Quiet};
use super::reason::Reason as Refusal;
use super::tunnel::Tunnel;
use crate::http1::{HeadError, ServerConn};
use bytes::BytesMut;
use hbone::{Reason, TunnelStream};
use http::request;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// From the first byte of a head to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// An unread request body is read away for this long, to keep the connection; then it is closed.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// ... and this far.
const DRAIN_BYTES: u64 = 256 * 1024;
/// A closing connection waits this long for the client to take what is queued.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// Serves the requests of one connection. `first` was read while the protocol was told.
pub(crate) async fn serve(tunnel: &Tunnel, stream: TunnelStream, first: BytesMut) {
    let mut conn = ServerConn::new(stream, first, tunnel.node.limits);
    let drain = &tunnel.node.drain;
    // Not its age: one that is idle is not closed for that, as a request might be on its way.
    let drains = [drain];
    let (started, idle) = (pin!(drain.started()), pin!(sleep(IDLE_TIMEOUT)));
    let mut quiet = Quiet::new(&drains, started, idle);
    while let Some(parts) = next_head(tunnel, &mut conn, &mut quiet).await {
        if drain.is_started() || tunnel.leaving.is_started() {
            conn.close_after_response();
        }
        // Boxed: a connection between its requests would carry the room for one.
        Box::pin(exchange::serve(tunnel, &mut Client::H1(&mut conn), parts)).await;
        if !finish(&mut conn).await {
            break;
        }
    }
    if conn.ends_by_closing() {
        // Closing in order would pass for the end of an answer that was cut.
        conn.into_io().0.reset(Reason::INTERNAL_ERROR);
        return;
    }
    // A client that does not read its last bytes must not hold the tunnel.
    let _ = timeout(CLOSE_TIME, poll_fn(|cx| conn.poll_shutdown(cx))).await;
}

/// The next request's head; `None` when the connection is to be closed.
async fn next_head(
    tunnel: &Tunnel,
    conn: &mut ServerConn<TunnelStream>,
    quiet: &mut Quiet<'_>,
) -> Option<request::Parts> {
    let head = match poll_fn(|cx| poll_begun(cx, conn, quiet)).await? {
        Some(head) => Ok(head),
        None => timeout(HEAD_TIMEOUT, conn.read_request()).await,
    };
    let reason = match head {
        Ok(Ok(head)) => return head,
        Ok(Err(error)) => head_reason(&error)?,
        Err(_) => Refusal::SlowClient,
    };
    conn.close_after_response();
    Box::pin(exchange::refuse_unread(tunnel, &mut Client::H1(conn), reason)).await;
    None
}

type Head = Result<Option<request::Parts>, HeadError>;

/// Waits for the first byte of a request, and takes the whole head if it has come. `None` when nothing will come.
fn poll_begun(
    cx: &mut Context<'_>,
    conn: &mut ServerConn<TunnelStream>,
    quiet: &mut Quiet<'_>,
) -> Poll<Option<Option<Head>>> {
    let begun = match conn.poll_request(cx) {
        Poll::Ready(head) => Some(head),
        Poll::Pending if conn.buffered() > 0 => None,
        Poll::Pending => return quiet.poll_over(cx).map(|_| None),
    };
    quiet.used();
    Poll::Ready(Some(begun))
}

/// How a head that could not be read is answered; `None`: nobody is there.
pub(crate) fn head_reason(error: &HeadError) -> Option<Refusal> {
    match error {
        HeadError::Malformed(why) => Some(Refusal::BadRequest(why)),
        HeadError::TooLarge(_) | HeadError::UriTooLong => Some(Refusal::HeadersTooLarge),
        HeadError::Version => Some(Refusal::Version),
        HeadError::NotImplemented(_) => Some(Refusal::NotImplemented),
        HeadError::Eof | HeadError::Io(_) => None,
    }
}

/// Reads away what is left of the request; true when the connection can carry another.
async fn finish(conn: &mut ServerConn<TunnelStream>) -> bool {
    if !conn.request_done() {
        let drained = timeout(DRAIN_TIME, drain_body(conn)).await;
        if !matches!(drained, Ok(true)) {
            return false;
        }
    }
    conn.reusable()
}

async fn drain_body(conn: &mut ServerConn<TunnelStream>) -> bool {
    let mut read = 0_u64;
    poll_fn(|cx| {
        while read < DRAIN_BYTES {
            match conn.poll_frame(cx) {
                Poll::Ready(Some(Ok(crate::http1::Frame::Data(data)))) => read = read.saturating_add(data.len() as u64),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(false)
    })
    .await
}
