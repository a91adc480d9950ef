//! The bytes towards an endpoint: a tunnel through HBONE, or TCP to what is outside the mesh; with TLS of its own over
//! either where a policy asks for it.

use hbone::{OriginatedStream, Reason, TunnelStream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection to an endpoint.
#[derive(Debug)]
pub(crate) struct Transport {
    bytes: Bytes,
    cut_on_drop: bool,
}

#[derive(Debug)]
enum Bytes {
    /// As they are.
    Plain(Plain),
    /// Inside TLS.
    Tls(Box<OriginatedStream<Plain>>),
}

/// What is below any TLS.
#[derive(Debug)]
pub(crate) enum Plain {
    /// CONNECT through the destination's tunnel.
    Tunnel(TunnelStream),
    /// A connection of our own.
    Tcp(TcpStream),
}

impl Transport {
    pub(crate) fn plain(plain: Plain) -> Self {
        Self {
            bytes: Bytes::Plain(plain),
            cut_on_drop: false,
        }
    }

    pub(crate) fn tls(stream: OriginatedStream<Plain>) -> Self {
        Self {
            bytes: Bytes::Tls(Box::new(stream)),
            cut_on_drop: false,
        }
    }

    /// Whether a drop resets the tunnel at once. Otherwise it ends in order, which lets the other side go on for a while.
    pub(crate) fn cut_on_drop(&mut self, cut: bool) {
        self.cut_on_drop = cut;
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if !self.cut_on_drop {
            return;
        }
        let plain = match &mut self.bytes {
            Bytes::Plain(plain) => plain,
            Bytes::Tls(stream) => stream.stream_mut(),
        };
        if let Plain::Tunnel(stream) = plain {
            stream.reset(Reason::CANCEL);
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Bytes::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Our side ends in order: what was written arrives.
        this.cut_on_drop = false;
        match &mut this.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tunnel(stream) => Pin::new(stream).poll_read(cx, buf),
            Plain::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tunnel(stream) => Pin::new(stream).poll_write(cx, buf),
            Plain::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tunnel(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Plain::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tunnel(stream) => Pin::new(stream).poll_flush(cx),
            Plain::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tunnel(stream) => Pin::new(stream).poll_shutdown(cx),
            Plain::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
