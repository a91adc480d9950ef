//! What has been read of a connection and not yet been used.

use bytes::{Buf, BufMut, BytesMut};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// The read buffer. It holds no memory while it is empty and the peer is silent, and little for small messages:
/// those are read by way of the stack and kept in their own size. Bodies that keep filling it get larger reads.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) buf: BytesMut,
    /// The peer has ended its side.
    pub(super) eof: bool,
    /// Bytes read so far.
    pub(super) total: u64,
    read_size: usize,
}

/// The first read of a message, and every read of a head: what follows a head is copied when the head is taken.
pub(super) const SMALL_READ: usize = 8 << 10;
const LARGE_READ: usize = 64 << 10;

impl Inbound {
    pub(super) fn new(buf: BytesMut) -> Self {
        Self {
            eof: false,
            total: 0,
            read_size: SMALL_READ,
            buf,
        }
    }

    /// Reads once, at most `most` bytes. Sets `eof` when there is no more.
    pub(super) fn poll_fill<S>(&mut self, io: &mut S, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        let size = self.read_size.min(most);
        let read = if size <= SMALL_READ {
            let mut stack = [const { MaybeUninit::uninit() }; SMALL_READ];
            let mut stack = ReadBuf::uninit(stack.get_mut(..size).unwrap_or_default());
            ready!(Pin::new(io).poll_read(cx, &mut stack))?;
            self.buf.extend_from_slice(stack.filled());
            stack.filled().len()
        } else {
            if self.buf.capacity() - self.buf.len() < size / 4 {
                self.buf.reserve(size);
            }
            ready!(pin!(io.read_buf(&mut (&mut self.buf).limit(size))).poll(cx))?
        };
        self.eof = read == 0;
        self.total += read as u64;
        if read >= size && size == self.read_size {
            self.read_size = (size * 2).min(LARGE_READ);
        } else if read < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(SMALL_READ);
        }
        Poll::Ready(Ok(()))
    }

    /// Drops a large buffer at the end of a message: what is left of it belongs to the next one.
    pub(super) fn settle(&mut self) {
        self.read_size = SMALL_READ;
        self.buf = if self.buf.is_empty() {
            BytesMut::new()
        } else {
            BytesMut::from(self.buf.chunk())
        };
    }
}
