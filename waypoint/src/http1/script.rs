//! For tests: a stream that plays a script, one poll at a time, and keeps what is written to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the peer does when its script is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Eof,
    Silence,
    Reset,
}

#[derive(Debug)]
pub(super) struct Script {
    pub(super) reads: VecDeque<Bytes>,
    pub(super) then: Then,
    pub(super) written: Vec<u8>,
    /// Bytes taken by each write.
    pub(super) write_most: usize,
    /// Bytes taken until writes are pending.
    pub(super) write_room: usize,
    /// `write_room` after each flush, if that is more.
    pub(super) room_by_flush: usize,
    pub(super) vectored: bool,
    pub(super) writes: usize,
    pub(super) flushed: usize,
}

impl Script {
    pub(super) fn new<B: Into<Vec<u8>>>(reads: impl IntoIterator<Item = B>, then: Then) -> Self {
        Self {
            reads: reads.into_iter().map(|piece| Bytes::from(piece.into())).collect(),
            then,
            written: Vec::new(),
            write_most: usize::MAX,
            write_room: usize::MAX,
            room_by_flush: 0,
            vectored: false,
            writes: 0,
            flushed: 0,
        }
    }

    /// The bytes in one read, then silence.
    pub(super) fn once(bytes: impl AsRef<[u8]>) -> Self {
        Self::new([bytes.as_ref()], Then::Silence)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    fn take(&mut self, data: &[u8]) -> usize {
        let most = data.len().min(self.write_most).min(self.write_room);
        self.write_room -= most;
        self.written.extend_from_slice(&data[..most]);
        most
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.reads.pop_front() else {
            return match self.then {
                Then::Eof => Poll::Ready(Ok(())),
                Then::Silence => Poll::Pending,
                Then::Reset => {
                    // After an error many transports say "end", which must not be believed.
                    self.then = Then::Eof;
                    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
                }
            };
        };
        buf.put_slice(&piece.split_to(piece.len().min(buf.remaining())));
        if !piece.is_empty() {
            self.reads.push_front(piece);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_room == 0 {
            return Poll::Pending;
        }
        self.writes += 1;
        Poll::Ready(Ok(self.take(data)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_room == 0 {
            return Poll::Pending;
        }
        self.writes += 1;
        let mut taken = 0;
        for slice in slices {
            let most = self.write_most.saturating_sub(taken).min(slice.len());
            let now = self.take(&slice[..most]);
            taken += now;
            if now < slice.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.written.len();
        self.write_room = self.write_room.max(self.room_by_flush);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls once.
pub(super) fn now<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once something that is to be ready.
pub(super) fn ready<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    match pin!(poll_fn(&mut poll))
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}

/// `bytes` cut at `cuts`, which are taken modulo its length.
pub(super) fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.dedup();
    at.windows(2).map(|w| bytes[w[0]..w[1]].to_vec()).collect()
}
