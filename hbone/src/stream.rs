//! A CONNECT stream as a byte stream: end-to-end back-pressure, END_STREAM on shutdown and on drop.
//!
//! Bytes in flight per tunnel are bounded both ways. Received and unread: the stream window we announced (256 KiB by
//! default), given back chunk by chunk as the reader takes it. Written and unsent: what fits both the peer's window
//! and h2's send buffer ([`SEND_BUFFER_BYTES`]); a write beyond that waits.

use crate::slots::Slot;
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

mod linger;

/// Written and not yet on the wire, per tunnel.
pub(crate) const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// One tunnel. `AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static`.
///
/// `poll_write` waits for flow-control capacity and hands data to h2; `poll_shutdown` sends END_STREAM (a half-close);
/// Drop without shutdown still delivers what was written and ends the stream (within a Tokio runtime; the peer has a
/// short while to end its side before it is told to stop). RST NO_ERROR, and CANCEL after data, read as EOF.
pub struct TunnelStream {
    /// None only while being dropped.
    halves: Option<Halves>,
    /// What is being read, and how much of the window it holds: given back when it has been read whole.
    chunk: Bytes,
    held: usize,
    read: ReadState,
    write: WriteState,
}

struct Halves {
    send: SendStream<Bytes>,
    recv: RecvStream,
    _slot: Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadState {
    /// Nothing received yet.
    Fresh,
    /// Something was received.
    Open,
    /// The peer ended its side, cleanly or not.
    Ended,
}

#[derive(Debug)]
enum WriteState {
    Open,
    /// END_STREAM is queued; the receiver tells when it has been written.
    Ended(oneshot::Receiver<()>),
    /// Reset by us or by the peer: nothing more will go out.
    Broken,
}

impl TunnelStream {
    pub(crate) fn new(send: SendStream<Bytes>, recv: RecvStream, slot: Slot) -> Self {
        Self {
            halves: Some(Halves {
                send,
                recv,
                _slot: slot,
            }),
            chunk: Bytes::new(),
            held: 0,
            read: ReadState::Fresh,
            write: WriteState::Open,
        }
    }

    /// The next piece of data without a copy; `None` is the end. The sender may go on by as much at once: call it
    /// only for what can be used now.
    pub fn poll_read_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match ready!(self.poll_chunk(cx)) {
            Ok(()) if self.chunk.is_empty() => Poll::Ready(None),
            Ok(()) => {
                let chunk = std::mem::take(&mut self.chunk);
                self.release();
                Poll::Ready(Some(Ok(chunk)))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    /// Writes from the front of `data` without a copy, as much as may be in flight now; `data` keeps the rest.
    /// Returns how much was taken: 0 only when `data` is empty.
    ///
    /// # Errors
    /// `BrokenPipe` after shutdown or when the peer wants no more, `ConnectionReset` when the tunnel broke.
    pub fn poll_write_bytes(&mut self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx, data.len()))?.min(data.len());
        self.send(data.split_to(room))?;
        Poll::Ready(Ok(room))
    }

    /// Breaks the tunnel on purpose: the peer gets RST_STREAM with this reason, and loses what is not yet delivered.
    pub fn reset(&mut self, reason: Reason) {
        if let Some(halves) = &mut self.halves {
            halves.send.send_reset(reason);
        }
        self.write = WriteState::Broken;
    }

    /// Whether the peer has ended its side and everything was read.
    pub fn is_read_ended(&self) -> bool {
        self.chunk.is_empty()
            && (self.read == ReadState::Ended || self.halves.as_ref().is_none_or(|halves| halves.recv.is_end_stream()))
    }

    /// Fills `self.chunk`, unless it holds something; empty afterwards means the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() && self.read != ReadState::Ended {
            let Some(halves) = &mut self.halves else { break };
            match ready!(halves.recv.poll_data(cx)) {
                Some(Ok(chunk)) => {
                    self.read = ReadState::Open;
                    self.held = chunk.len();
                    self.chunk = chunk;
                }
                Some(Err(error)) => {
                    let clean = self.is_clean_end(&error);
                    self.read = ReadState::Ended;
                    if error.is_reset() || !clean {
                        self.write = WriteState::Broken;
                    }
                    if !clean {
                        return Poll::Ready(Err(broken(error)));
                    }
                }
                None => self.read = ReadState::Ended,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A reset that only says "I want no more" is how some peers close.
    fn is_clean_end(&self, error: &h2::Error) -> bool {
        error.is_reset()
            && match error.reason() {
                Some(Reason::NO_ERROR) => true,
                Some(Reason::CANCEL) => self.read == ReadState::Open,
                _ => false,
            }
    }

    /// Gives flow-control capacity back: both the stream's and the connection's.
    fn release(&mut self) {
        let bytes = std::mem::take(&mut self.held);
        if let Some(halves) = &mut self.halves {
            // It fails only for more than was received.
            let _ = halves.recv.flow_control().release_capacity(bytes);
        }
    }

    /// How much of `wanted` may be sent now (at least 1).
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let (WriteState::Open, Some(halves)) = (&self.write, &mut self.halves) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        halves.send.reserve_capacity(wanted.min(SEND_BUFFER_BYTES));
        let room = halves.send.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        match ready!(halves.send.poll_capacity(cx)) {
            Some(Ok(room)) => Poll::Ready(Ok(room)),
            Some(Err(error)) => Poll::Ready(Err(self.broken_write(error))),
            None => {
                let reset = halves.send.poll_reset(cx);
                self.write = WriteState::Broken;
                Poll::Ready(Err(match reset {
                    Poll::Ready(Ok(reason)) => reset_error(reason),
                    Poll::Ready(Err(error)) => broken(error),
                    Poll::Pending => io::ErrorKind::BrokenPipe.into(),
                }))
            }
        }
    }

    fn send(&mut self, data: Bytes) -> io::Result<()> {
        let Some(halves) = &mut self.halves else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        halves
            .send
            .send_data(data, false)
            .map_err(|error| self.broken_write(error))
    }

    fn broken_write(&mut self, error: h2::Error) -> io::Error {
        self.write = WriteState::Broken;
        broken(error)
    }

    /// Queues END_STREAM behind what was written.
    fn end_write(&mut self) {
        let (WriteState::Open, Some(halves)) = (&self.write, &mut self.halves) else {
            return;
        };
        self.write = match linger::send_end(&mut halves.send) {
            Ok(written) => WriteState::Ended(written),
            Err(_) => WriteState::Broken,
        };
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_chunk(cx))?;
        let n = self.chunk.len().min(buf.remaining());
        buf.put_slice(self.chunk.get(..n).unwrap_or_default());
        self.chunk.advance(n);
        if self.chunk.is_empty() && n > 0 {
            self.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx, data.len()))?;
        let data = data.get(..room).unwrap_or(data);
        self.send(Bytes::copy_from_slice(data))?;
        Poll::Ready(Ok(data.len()))
    }

    /// Gathers the pieces into one DATA frame: they are copied here anyway.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = pieces.iter().map(|piece| piece.len()).sum();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(cx, wanted))?.min(wanted);
        let mut data = BytesMut::with_capacity(room);
        for piece in pieces {
            let left = room.saturating_sub(data.len());
            data.extend_from_slice(piece.get(..left).unwrap_or(piece));
        }
        self.send(data.freeze())?;
        Poll::Ready(Ok(room))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: the connection's task sends what was written as soon as it runs.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end_write();
        Poll::Ready(Ok(()))
    }
}

impl Drop for TunnelStream {
    fn drop(&mut self) {
        self.end_write();
        let Some(halves) = self.halves.take() else { return };
        let read_ended = self.read == ReadState::Ended || halves.recv.is_end_stream();
        // With both sides ended, h2 itself delivers what is queued. Otherwise dropping the handles would reset the
        // stream and throw it away.
        if let (WriteState::Ended(written), false) =
            (std::mem::replace(&mut self.write, WriteState::Broken), read_ended)
        {
            linger::spawn(halves, written);
        }
    }
}

impl fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.halves.as_ref().map(|halves| halves.send.stream_id().as_u32());
        f.debug_struct("TunnelStream")
            .field("id", &id)
            .field("read", &self.read)
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}

fn broken(error: h2::Error) -> io::Error {
    match error.reason() {
        Some(reason) if error.is_reset() => reset_error(reason),
        _ => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}

fn reset_error(reason: Reason) -> io::Error {
    let kind = match reason {
        Reason::NO_ERROR | Reason::CANCEL => io::ErrorKind::BrokenPipe,
        _ => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, h2::Error::from(reason))
}

#[cfg(test)]
mod tests;
