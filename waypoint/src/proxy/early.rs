//! The beginning of a request's body, read before the request has anywhere to go: an external authoriser looks at it.
//!
//! It is held within bounds: so many bytes for one request, so many for all of them together.

use super::client::{Client, ClientFault};
use crate::http1::Frame;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

/// Bytes held for all requests of the process together.
const ALL_BYTES: usize = 64 * 1024 * 1024;
/// A client that takes longer to send what is wanted is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is held in the whole process.
pub(crate) type EarlyLoad = Arc<AtomicUsize>;

/// What was read of a body. Given on to the backend before the rest.
#[derive(Debug, Default)]
pub(crate) struct Early {
    data: BytesMut,
    frozen: Bytes,
    trailers: Option<HeaderMap>,
    ended: bool,
    room: Option<Room>,
}

/// The rest of the body is still the client's to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread;

/// Why a body is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EarlyFault {
    /// The client's side.
    Client(ClientFault),
    /// It was too slow.
    Slow,
    /// Longer than one may be.
    TooLong,
    /// The process holds too much already.
    Full,
}

impl Early {
    /// Reads until the end, or until `most` bytes are here; where a part is not enough, a longer body is a fault.
    pub(crate) async fn fill(
        &mut self,
        client: &mut Client<'_>,
        most: usize,
        partial: bool,
        load: &EarlyLoad,
    ) -> Result<(), EarlyFault> {
        if client.expects_continue() && !self.ended {
            client.informational(StatusCode::CONTINUE, HeaderMap::new());
            // A client that has gone is seen by the next read.
            let _ = poll_fn(|cx| client.poll_flush(cx)).await;
        }
        self.data = BytesMut::from(std::mem::take(&mut self.frozen));
        let reading = self.read(client, most, partial, load);
        let read = tokio::time::timeout(PATIENCE, reading)
            .await
            .unwrap_or(Err(EarlyFault::Slow));
        self.frozen = std::mem::take(&mut self.data).freeze();
        read
    }

    /// The bytes that are here.
    pub(crate) fn data(&self) -> &Bytes {
        &self.frozen
    }

    /// That was all.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended
    }

    /// The next frame of what was read; `Ok(None)`: the body ends here.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Unread> {
        if !self.frozen.is_empty() {
            self.room = None;
            return Ok(Some(Frame::Data(std::mem::take(&mut self.frozen))));
        }
        match self.trailers.take() {
            Some(trailers) => Ok(Some(Frame::Trailers(trailers))),
            None if self.ended => Ok(None),
            None => Err(Unread),
        }
    }

    async fn read(
        &mut self,
        client: &mut Client<'_>,
        most: usize,
        partial: bool,
        load: &EarlyLoad,
    ) -> Result<(), EarlyFault> {
        let room = self.room.get_or_insert_with(|| Room::new(load));
        let (data, ended, trailers) = (&mut self.data, &mut self.ended, &mut self.trailers);
        poll_fn(|cx| {
            while !*ended {
                if data.len() > most && !partial {
                    return Poll::Ready(Err(EarlyFault::TooLong));
                }
                if data.len() >= most && partial {
                    return Poll::Ready(Ok(()));
                }
                match ready!(client.poll_frame(cx)) {
                    Some(Ok(Frame::Data(piece))) if room.grow(piece.len()) => data.extend_from_slice(&piece),
                    Some(Ok(Frame::Data(_))) => return Poll::Ready(Err(EarlyFault::Full)),
                    Some(Ok(Frame::Trailers(last))) => {
                        *trailers = Some(last);
                        *ended = true;
                    }
                    Some(Err(fault)) => return Poll::Ready(Err(EarlyFault::Client(fault))),
                    None => *ended = true,
                }
            }
            let too_long = data.len() > most && !partial;
            Poll::Ready(if too_long { Err(EarlyFault::TooLong) } else { Ok(()) })
        })
        .await
    }
}

/// A share of the process's bytes.
#[derive(Debug)]
struct Room {
    load: EarlyLoad,
    bytes: usize,
}

impl Room {
    fn new(load: &EarlyLoad) -> Self {
        Self {
            load: Arc::clone(load),
            bytes: 0,
        }
    }

    /// False when that is too much.
    fn grow(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        self.load.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= ALL_BYTES
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.load.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
