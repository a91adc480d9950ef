//! A client's HTTP/2 stream as bytes, once it carries another protocol.

use super::h2_half::{Incoming, Outgoing};
use crate::http1::Frame;
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest piece that is copied at once.
const PIECE: usize = 16 * 1024;

/// Both halves of the stream.
#[derive(Debug)]
pub(crate) struct H2Bytes<'s> {
    incoming: &'s mut Incoming,
    outgoing: &'s mut Outgoing,
    /// Received and not read yet.
    left: Bytes,
}

impl<'s> H2Bytes<'s> {
    pub(crate) fn new(incoming: &'s mut Incoming, outgoing: &'s mut Outgoing) -> Self {
        Self {
            incoming,
            outgoing,
            left: Bytes::new(),
        }
    }
}

impl AsyncRead for H2Bytes<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.left.is_empty() {
            match ready!(this.incoming.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) => this.left = data,
                // Bytes have no trailers.
                Some(Ok(Frame::Trailers(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let piece = this.left.split_to(this.left.len().min(buf.remaining()));
        buf.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Bytes<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.outgoing.poll_ready(cx)).map_err(io::Error::other)?;
        let piece = buf.get(..PIECE).unwrap_or(buf);
        this.outgoing.push(Bytes::copy_from_slice(piece));
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outgoing.poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.outgoing.finish(None);
        this.outgoing.poll_flush(cx).map_err(io::Error::other)
    }
}
