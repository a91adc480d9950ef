//! The bytes towards an endpoint: a tunnel through HBONE, or TCP in clear to a pod outside the mesh.

use hbone::{Reason, TunnelStream};
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
    /// CONNECT through the destination's tunnel.
    Tunnel(TunnelStream),
    /// In clear.
    Tcp(TcpStream),
}

impl Transport {
    pub(crate) fn tunnel(stream: TunnelStream) -> Self {
        Self {
            bytes: Bytes::Tunnel(stream),
            cut_on_drop: false,
        }
    }

    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self {
            bytes: Bytes::Tcp(stream),
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
        if let (true, Bytes::Tunnel(stream)) = (self.cut_on_drop, &mut self.bytes) {
            stream.reset(Reason::CANCEL);
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Tunnel(stream) => Pin::new(stream).poll_read(cx, buf),
            Bytes::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().bytes {
            Bytes::Tunnel(stream) => Pin::new(stream).poll_write(cx, buf),
            Bytes::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().bytes {
            Bytes::Tunnel(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Bytes::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Tunnel(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Our side ends in order: what was written arrives.
        this.cut_on_drop = false;
        match &mut this.bytes {
            Bytes::Tunnel(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
