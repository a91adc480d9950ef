//! What is to be written: heads and small pieces gathered in one buffer, large ones queued as they are.

use super::Framing;
use super::encode;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// The write queue of one connection, and the framing of the body that goes into it.
#[derive(Debug)]
pub(super) struct Outbound {
    /// Heads, chunk lines and small data, in order; the first `written` bytes are gone.
    small: Vec<u8>,
    written: usize,
    /// Large data, each after that many bytes of `small` since the one before.
    large: VecDeque<(usize, Bytes)>,
    /// Unwritten bytes of `small` that come before the last of `large`.
    small_before_large: usize,
    large_bytes: usize,
    high_water: usize,
    /// The transport has bytes it was not told to flush.
    unflushed: bool,
    body: Body,
    /// Bytes the transport has taken.
    pub(super) total: u64,
    failed: Option<(io::ErrorKind, &'static str)>,
}

/// The body being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Not begun.
    Before,
    /// There is none: data is dropped.
    None,
    Length(u64),
    Chunked,
    UntilClose,
    Complete,
    /// Ended short of its Content-Length, or ran over it: only closing tells the peer.
    Cut,
}

/// Data of this size is queued, not copied.
const LARGE: usize = 8 << 10;
/// A buffer above this is not kept while the connection is idle.
const KEPT_IDLE: usize = 2 << 10;
/// A buffer above this is not kept for the next message.
const KEPT: usize = 8 << 10;

impl Outbound {
    pub(super) fn new(high_water: usize) -> Self {
        Self {
            small: Vec::new(),
            written: 0,
            large: VecDeque::new(),
            small_before_large: 0,
            large_bytes: 0,
            high_water: high_water.max(1),
            unflushed: false,
            body: Body::Before,
            total: 0,
            failed: None,
        }
    }

    /// Begins a message: the head is to be appended to the returned buffer.
    pub(super) fn begin(&mut self, framing: Framing) -> &mut Vec<u8> {
        self.body = match framing {
            Framing::None => Body::None,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked,
            Framing::UntilClose => Body::UntilClose,
        };
        self.head()
    }

    /// For an interim head, which begins nothing.
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        self.small.reserve(512);
        &mut self.small
    }

    /// Makes ready for the next message.
    pub(super) fn reset(&mut self) {
        self.body = Body::Before;
    }

    pub(super) fn push(&mut self, mut data: Bytes) {
        match &mut self.body {
            Body::Length(left) => {
                let room = usize::try_from(*left).unwrap_or(usize::MAX);
                *left = left.saturating_sub(data.len() as u64);
                if data.len() > room {
                    // Never a byte more than announced: it would be read as the next message.
                    data.truncate(room);
                    self.body = Body::Cut;
                }
                self.append(data);
            }
            Body::UntilClose => self.append(data),
            Body::Chunked if !data.is_empty() => {
                encode::chunk_size(&mut self.small, data.len());
                self.append(data);
                self.small.extend_from_slice(encode::CRLF);
            }
            Body::Chunked | Body::Before | Body::None | Body::Complete | Body::Cut => {}
        }
    }

    pub(super) fn finish(&mut self, trailers: Option<&HeaderMap>) {
        self.body = match self.body {
            Body::Length(left) if left > 0 => Body::Cut,
            Body::Cut => Body::Cut,
            Body::Before => Body::Before,
            Body::Chunked => {
                self.small.extend_from_slice(encode::LAST_CHUNK);
                if let Some(trailers) = trailers {
                    encode::trailers(&mut self.small, trailers);
                }
                self.small.extend_from_slice(encode::CRLF);
                Body::Complete
            }
            Body::None | Body::Length(_) | Body::UntilClose | Body::Complete => Body::Complete,
        };
    }

    /// A message has been begun.
    pub(super) fn begun(&self) -> bool {
        self.body != Body::Before
    }

    /// The message has been queued to its end, in full.
    pub(super) fn complete(&self) -> bool {
        matches!(self.body, Body::Complete | Body::None | Body::Length(0))
    }

    /// A body that only closing ends has been begun and not ended.
    pub(super) fn ends_by_closing(&self) -> bool {
        self.body == Body::UntilClose
    }

    /// Nothing is left to write or to flush, and nothing went wrong.
    pub(super) fn is_flushed(&self) -> bool {
        self.pending() == 0 && !self.unflushed && self.failed.is_none()
    }

    /// Refuses everything from now on: what would be written must not be.
    pub(super) fn refuse(&mut self, why: &'static str) {
        self.failed = Some((io::ErrorKind::InvalidInput, why));
    }

    /// Waits, writing, until there is room for more.
    pub(super) fn poll_ready<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        while self.pending() >= self.high_water {
            ready!(self.poll_write_once(io, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        while self.pending() > 0 {
            ready!(self.poll_write_once(io, cx))?;
        }
        self.poll_flush_io(io, cx)
    }

    /// Drops the memory of an empty buffer, for a wait of unknown length. A small one stays: the next head needs it.
    pub(super) fn release(&mut self) {
        if self.pending() == 0 && self.small.capacity() > KEPT_IDLE {
            self.small = Vec::new();
            self.large = VecDeque::new();
        }
    }

    /// Memory held while nothing is to be written.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.small.capacity() + self.large.capacity()
    }

    fn pending(&self) -> usize {
        self.small.len() - self.written + self.large_bytes
    }

    fn append(&mut self, data: Bytes) {
        if data.len() < LARGE {
            return self.small.extend_from_slice(&data);
        }
        if self.written > KEPT {
            self.small.drain(..self.written);
            self.written = 0;
        }
        let before = self.small.len() - self.written - self.small_before_large;
        self.small_before_large += before;
        self.large_bytes += data.len();
        self.large.push_back((before, data));
    }

    fn check(&self) -> io::Result<()> {
        match self.failed {
            None => Ok(()),
            Some((kind, "")) => Err(kind.into()),
            Some((kind, why)) => Err(io::Error::new(kind, why)),
        }
    }

    /// A transport that failed once is not written to again.
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.failed = Some((error.kind(), ""));
        }
        result
    }

    /// Writes something. A transport may take no more until it is flushed.
    fn poll_write_once<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(written) = self.poll_try_write(io, cx) {
            return Poll::Ready(written);
        }
        if !self.unflushed {
            return Poll::Pending;
        }
        ready!(self.poll_flush_io(io, cx))?;
        self.poll_try_write(io, cx)
    }

    fn poll_flush_io<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            let flushed = ready!(Pin::new(io).poll_flush(cx));
            self.unflushed = false;
            self.note(flushed)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_try_write<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        const MOST_SLICES: usize = 16;
        let io = Pin::new(io);
        let small = self.small.get(self.written..).unwrap_or_default();
        let written = match self.large.front() {
            None => io.poll_write(cx, small),
            Some(_) if io.is_write_vectored() => {
                let mut slices = [IoSlice::new(&[]); MOST_SLICES];
                let used = gather(&mut slices, small, &self.large);
                io.poll_write_vectored(cx, slices.get(..used).unwrap_or_default())
            }
            Some((0, data)) => io.poll_write(cx, data),
            Some((before, _)) => io.poll_write(cx, small.get(..*before).unwrap_or_default()),
        };
        let written = match ready!(written) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        };
        let written = self.note(written)?;
        self.unflushed = true;
        self.total += written as u64;
        self.consume(written);
        Poll::Ready(Ok(()))
    }

    fn consume(&mut self, mut written: usize) {
        while let Some((before, data)) = self.large.front_mut() {
            let small = written.min(*before);
            *before -= small;
            self.small_before_large -= small;
            self.written += small;
            written -= small;
            let large = written.min(data.len());
            data.advance(large);
            self.large_bytes -= large;
            written -= large;
            if !data.is_empty() {
                return;
            }
            self.large.pop_front();
        }
        self.written = (self.written + written).min(self.small.len());
        if self.written == self.small.len() {
            self.written = 0;
            if self.small.capacity() > KEPT {
                self.small = Vec::new()
            } else {
                self.small.clear()
            }
        }
    }
}

/// Fills `slices` from the front of the queue; returns how many.
fn gather<'a>(slices: &mut [IoSlice<'a>], mut small: &'a [u8], large: &'a VecDeque<(usize, Bytes)>) -> usize {
    let most = slices.len() / 2;
    let mut free = slices.iter_mut();
    let mut used = 0;
    let mut put = |piece: &'a [u8]| {
        if !piece.is_empty()
            && let Some(slot) = free.next()
        {
            *slot = IoSlice::new(piece);
            used += 1;
        }
    };
    for (before, data) in large.iter().take(most) {
        let (head, rest) = small.split_at_checked(*before).unwrap_or((small, &[]));
        small = rest;
        put(head);
        put(data);
    }
    if large.len() < most {
        put(small);
    }
    used
}

#[cfg(test)]
mod tests;
