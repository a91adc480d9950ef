//! Another protocol was granted: from here on, bytes.

use super::client::Client;
use super::extended_connect;
use super::forward::Sent;
use super::pump::{Body, Fault, Meter, stream_response};
use super::reason::Reason;
use super::transport::Transport;
use super::upstream::Upstream;
use crate::http1::{ClientConn, Framing, strip_hop_by_hop};
use bytes::BytesMut;
use hbone::TunnelStream;
use http::{HeaderMap, Method, StatusCode, response};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream whose first bytes were read already. It counts what goes through.
#[derive(Debug)]
pub(crate) struct Primed<S> {
    first: BytesMut,
    stream: S,
    through: Arc<Through>,
    ended: bool,
    broken: bool,
}

/// Bytes that went through, for whoever tells of them while they still do.
#[derive(Debug, Default)]
pub(crate) struct Through {
    read: AtomicU64,
    written: AtomicU64,
}

impl Through {
    /// Read and written so far.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.read.load(Relaxed), self.written.load(Relaxed))
    }
}

impl<S> Primed<S> {
    /// `first` is read before anything of `stream`.
    pub(crate) fn new(first: BytesMut, stream: S) -> Self {
        Self {
            first,
            stream,
            through: Arc::default(),
            ended: false,
            broken: false,
        }
    }

    /// The first bytes and the rest, to read more of it ahead.
    pub(crate) fn ahead(&mut self) -> (&mut BytesMut, &mut S) {
        (&mut self.first, &mut self.stream)
    }

    /// Reading or writing it failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes that were read of it, the first ones included.
    pub(crate) fn read(&self) -> u64 {
        self.through.bytes().0
    }

    /// Bytes that were written to it.
    pub(crate) fn written(&self) -> u64 {
        self.through.bytes().1
    }

    /// Both, while somebody else has the stream.
    pub(crate) fn through(&self) -> Arc<Through> {
        Arc::clone(&self.through)
    }
}

impl Primed<TunnelStream> {
    /// After a copy that broke: a client that was not told of an end must not take what came for the whole.
    pub(crate) fn cut(&mut self) {
        cut(&mut self.stream, self.ended);
    }
}

fn cut(stream: &mut TunnelStream, ended: bool) {
    if !ended {
        stream.reset(hbone::Reason::INTERNAL_ERROR);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Primed<S> {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.first.is_empty() {
            let read = std::task::ready!(std::pin::Pin::new(&mut this.stream).poll_read(cx, buf));
            this.broken |= read.is_err();
            read?;
        } else {
            let piece = this.first.split_to(this.first.len().min(buf.remaining()));
            buf.put_slice(&piece);
        }
        let read = buf.filled().len().saturating_sub(before);
        this.through.read.fetch_add(read as u64, Relaxed);
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Primed<S> {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = std::task::ready!(std::pin::Pin::new(&mut this.stream).poll_write(cx, buf));
        this.broken |= written.is_err();
        let written = written?;
        this.through.written.fetch_add(written as u64, Relaxed);
        std::task::Poll::Ready(Ok(written))
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
        let this = self.get_mut();
        this.ended = true;
        std::pin::Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// Answers that the other protocol is granted, and carries bytes both ways until both sides have ended, or `denied`
/// says why they must.
pub(crate) async fn carry(
    client: &mut Client<'_>,
    parts: response::Parts,
    upstream: Upstream,
    body: Body,
    denied: impl Future<Output = Reason> + Unpin,
    meter: &mut Meter,
) -> Sent {
    match upstream {
        Upstream::H1(server) if client.is_extended_connect() => bridge(client, parts, *server, denied, meter).await,
        Upstream::H1(server) => splice(client, parts, *server, denied, meter).await,
        Upstream::H2(_) => relay(client, parts, upstream, body, denied, meter).await,
    }
}

/// Bytes both ways; why they did not come whole.
async fn copy<A, B>(a: &mut A, b: &mut B, denied: impl Future<Output = Reason>) -> Result<(), Option<Reason>>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    tokio::select! {
        copied = tokio::io::copy_bidirectional(a, b) => copied.map(drop).map_err(|_| None),
        reason = denied => Err(Some(reason)),
    }
}

/// HTTP/1.1 on both sides: 101.
async fn splice(
    client: &mut Client<'_>,
    parts: response::Parts,
    server: ClientConn<Transport>,
    denied: impl Future<Output = Reason>,
    meter: &mut Meter,
) -> Sent {
    let Client::H1(conn) = client else {
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
    let copied = copy(&mut downstream, &mut server, denied).await;
    meter.request_bytes = downstream.read();
    meter.response_bytes = downstream.written();
    match copied {
        Ok(()) => Sent::Whole,
        // The endpoint's side is cut when it is dropped.
        Err(reason) => {
            let ended = downstream.ended;
            cut(downstream.stream, ended);
            Sent::Broken(reason.unwrap_or(Reason::Reset))
        }
    }
}

/// A stream of HTTP/2 to a connection of HTTP/1.1: 101 becomes 200 (RFC 8441 section 5).
async fn bridge(
    client: &mut Client<'_>,
    mut parts: response::Parts,
    server: ClientConn<Transport>,
    denied: impl Future<Output = Reason>,
    meter: &mut Meter,
) -> Sent {
    strip_hop_by_hop(&mut parts.headers);
    extended_connect::from_http1(&mut parts.headers);
    if let Err(broken) = grant(client, parts.headers).await {
        return broken;
    }
    let (server, first) = server.into_io();
    let mut server = Primed::new(first, server);
    let Some(mut bytes) = client.h2_bytes() else {
        return Sent::Broken(Reason::ClientGone);
    };
    let copied = copy(&mut bytes, &mut server, denied).await;
    meter.request_bytes = server.written();
    meter.response_bytes = server.read();
    match copied {
        Ok(()) => Sent::Whole,
        Err(Some(reason)) => Sent::Broken(reason),
        Err(None) if server.is_broken() => Sent::Broken(Reason::Reset),
        Err(None) => Sent::Broken(Reason::ClientGone),
    }
}

/// HTTP/2 on both sides: the frames of one stream are those of the other.
async fn relay(
    client: &mut Client<'_>,
    parts: response::Parts,
    mut upstream: Upstream,
    mut body: Body,
    denied: impl Future<Output = Reason>,
    meter: &mut Meter,
) -> Sent {
    if let Err(broken) = grant(client, parts.headers).await {
        return broken;
    }
    let streamed = tokio::select! {
        streamed = stream_response(client, &mut upstream, &mut body, meter) => streamed,
        reason = denied => return Sent::Broken(reason),
    };
    match streamed {
        Ok(()) => Sent::Whole,
        Err(Fault::Client(_)) => Sent::Broken(Reason::ClientGone),
        Err(Fault::Upstream(_)) => Sent::Broken(Reason::Reset),
    }
}

/// 200, and the stream stays open.
async fn grant(client: &mut Client<'_>, headers: HeaderMap) -> Result<(), Sent> {
    let gone = |_| Sent::Broken(Reason::ClientGone);
    client
        .start_response(&Method::GET, StatusCode::OK, headers, Framing::Chunked)
        .map_err(gone)?;
    poll_fn(|cx| client.poll_flush(cx)).await.map_err(gone)
}

#[cfg(test)]
mod tests;
