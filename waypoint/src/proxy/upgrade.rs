//! `101 Switching Protocols`: from here on, bytes.

use super::client::Client;
use super::forward::Sent;
use super::pump::Meter;
use super::reason::Reason;
use super::upstream::Upstream;
use bytes::BytesMut;
use http::response;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(crate) struct Primed<S> {
    first: BytesMut,
    stream: S,
}

impl<S> Primed<S> {
    /// `first` is read before anything of `stream`.
    pub(crate) fn new(first: BytesMut, stream: S) -> Self {
        Self { first, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Primed<S> {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return std::pin::Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let piece = this.first.split_to(this.first.len().min(buf.remaining()));
        buf.put_slice(&piece);
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Primed<S> {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Answers 101 and carries bytes both ways until both sides have ended.
pub(crate) async fn splice(
    client: &mut Client<'_>,
    parts: response::Parts,
    upstream: Upstream,
    meter: &mut Meter,
) -> Sent {
    let (Client::H1(conn), Upstream::H1(server)) = (client, upstream) else {
        return Sent::Broken(Reason::BadAnswer);
    };
    conn.start_response(parts.status, &parts.headers, None);
    if poll_fn(|cx| conn.poll_flush(cx)).await.is_err() {
        return Sent::Broken(Reason::ClientGone);
    }
    let (server, first) = server.into_io();
    let mut server = Primed::new(first, server);
    let (stream, first) = conn.raw_parts();
    let mut downstream = Primed::new(first, stream);
    // An error on either side ends both; what was carried is counted by the copy itself.
    match tokio::io::copy_bidirectional(&mut downstream, &mut server).await {
        Ok((up, down)) => {
            meter.request_bytes = up;
            meter.response_bytes = down;
            Sent::Whole
        }
        Err(_) => {
            // The side that is still there must see an end.
            let _ = server.shutdown().await;
            Sent::Broken(Reason::Reset)
        }
    }
}
