//! What an application's connection runs on: a CONNECT stream, or TCP where somebody else does the tunnelling.

use bytes::{Bytes, BytesMut};
use hbone::TunnelStream;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// Read from TCP at once at most.
const READ_BYTES: usize = 64 * 1024;

/// The connection.
pub(crate) struct Wire {
    /// Read once and put back.
    unread: Bytes,
    by: By,
}

enum By {
    Tunnel(TunnelStream),
    Tcp(TcpStream),
}

impl From<TunnelStream> for Wire {
    fn from(tunnel: TunnelStream) -> Self {
        Self {
            unread: Bytes::new(),
            by: By::Tunnel(tunnel),
        }
    }
}

impl From<TcpStream> for Wire {
    fn from(socket: TcpStream) -> Self {
        Self {
            unread: Bytes::new(),
            by: By::Tcp(socket),
        }
    }
}

impl Wire {
    /// Puts back what was received last.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, mut data: Bytes) -> io::Result<()> {
        match &mut self.by {
            By::Tunnel(tunnel) => {
                while !data.is_empty() {
                    poll_fn(|cx| tunnel.poll_write_bytes(cx, &mut data)).await?;
                }
                Ok(())
            }
            By::Tcp(socket) => socket.write_all(&data).await,
        }
    }

    /// What has come; None is the end.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        if !self.unread.is_empty() {
            return Ok(Some(std::mem::take(&mut self.unread)));
        }
        match &mut self.by {
            By::Tunnel(tunnel) => poll_fn(|cx| tunnel.poll_read_bytes(cx)).await.transpose(),
            By::Tcp(socket) => {
                let mut buffer = BytesMut::with_capacity(READ_BYTES);
                let read = socket.read_buf(&mut buffer).await?;
                Ok((read > 0).then(|| buffer.freeze()))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !wire.unread.is_empty() {
            let taken = wire.unread.split_to(buf.remaining().min(wire.unread.len()));
            buf.put_slice(&taken);
            return Poll::Ready(Ok(()));
        }
        match &mut wire.by {
            By::Tunnel(tunnel) => Pin::new(tunnel).poll_read(cx, buf),
            By::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().by {
            By::Tunnel(tunnel) => Pin::new(tunnel).poll_write(cx, data),
            By::Tcp(socket) => Pin::new(socket).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().by {
            By::Tunnel(tunnel) => Pin::new(tunnel).poll_flush(cx),
            By::Tcp(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().by {
            By::Tunnel(tunnel) => Pin::new(tunnel).poll_shutdown(cx),
            By::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
