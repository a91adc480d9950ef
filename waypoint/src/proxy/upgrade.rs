//! `101 Switching Protocols`: from here on, bytes.

use super::client::Client;
use super::forward::Sent;
use super::pump::Meter;
use super::reason::Reason;
use super::upstream::Upstream;
use bytes::BytesMut;
use hbone::TunnelStream;
use http::response;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream whose first bytes were read already. It counts what goes through.
#[derive(Debug)]
pub(crate) struct Primed<S> {
    first: BytesMut,
    stream: S,
    read: u64,
    written: u64,
    ended: bool,
    broken: bool,
}

impl<S> Primed<S> {
    /// `first` is read before anything of `stream`.
    pub(crate) fn new(first: BytesMut, stream: S) -> Self {
        Self {
            first,
            stream,
            read: 0,
            written: 0,
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
        self.read
    }

    /// Bytes that were written to it.
    pub(crate) fn written(&self) -> u64 {
        self.written
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
        this.read = this.read.saturating_add(read as u64);
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
        this.written = this.written.saturating_add(written as u64);
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
    let copied = tokio::io::copy_bidirectional(&mut downstream, &mut server).await;
    meter.request_bytes = downstream.read();
    meter.response_bytes = downstream.written();
    match copied {
        Ok(_) => Sent::Whole,
        // The endpoint's side is cut when it is dropped.
        Err(_) => {
            let ended = downstream.ended;
            cut(downstream.stream, ended);
            Sent::Broken(Reason::Reset)
        }
    }
}

#[cfg(test)]
mod tests;
