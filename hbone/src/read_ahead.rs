//! The socket as TLS should see it: rustls asks it for 4 KiB at a time, and gets them out of what one read has brought.
//!
//! Tokio's `BufReader` does the same and holds its buffer, zeroed and so in memory, for as long as the connection lives.
//! Here an idle connection holds none.

use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// What one read takes at most.
const READ_BYTES: usize = 32 * 1024;

/// Reads ahead; writes pass.
#[derive(Debug)]
pub(crate) struct ReadAhead<S> {
    stream: S,
    /// Read and not yet taken.
    ahead: BytesMut,
}

impl<S> ReadAhead<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: BytesMut::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, ahead } = &mut *self;
        if ahead.is_empty() {
            if buf.remaining() >= READ_BYTES {
                return Pin::new(stream).poll_read(cx, buf);
            }
            ahead.reserve(READ_BYTES);
            match poll_read_buf(Pin::new(stream), cx, ahead) {
                Poll::Ready(read) => {
                    read?;
                }
                Poll::Pending => {
                    *ahead = BytesMut::new();
                    return Poll::Pending;
                }
            }
        }
        let taken = ahead.len().min(buf.remaining());
        buf.put_slice(ahead.get(..taken).unwrap_or_default());
        ahead.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
