//! The two halves of an HTTP/2 stream as the pump wants them: a source of frames and a sink with room.
//!
//! Both sides of the proxy use them: a client's stream and an upstream's are the same two halves.

use crate::http1::{Frame, strip_trailers};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

/// Bytes queued for sending before the sink says it has no room.
const SEND_HIGH_WATER: usize = 64 * 1024;

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    data_done: bool,
    done: bool,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream) -> Self {
        let done = stream.is_end_stream();
        Self {
            stream,
            data_done: done,
            done,
        }
    }

    /// Everything was received.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The next frame; `None` ends the body. The flow-control window is given back as frames are taken: the pump takes
    /// one only when the other side has room.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, h2::Error>>> {
        while !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only when the stream is gone, which the next poll tells.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if data.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(Frame::Data(data))));
                }
                Some(Err(error)) => {
                    self.data_done = true;
                    self.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.data_done = true,
            }
        }
        if self.done {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        self.done = true;
        match trailers {
            Ok(Some(mut trailers)) => {
                // Here, because HTTP/2 would carry any further: the HTTP/1 codec reads and writes none of these.
                strip_trailers(&mut trailers);
                Poll::Ready((!trailers.is_empty()).then_some(Ok(Frame::Trailers(trailers))))
            }
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// How the sending half is to end.
#[derive(Debug)]
enum End {
    Open,
    Wanted(Option<HeaderMap>),
    Sent,
}

/// The sending half. Data waits here until flow control lets it go, so that the last DATA frame carries END_STREAM.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: SendStream<Bytes>,
    queue: VecDeque<Bytes>,
    queued: usize,
    end: End,
}

impl Outgoing {
    pub(crate) fn new(stream: SendStream<Bytes>, ended: bool) -> Self {
        let end = if ended { End::Sent } else { End::Open };
        Self {
            stream,
            queue: VecDeque::new(),
            queued: 0,
            end,
        }
    }

    /// Resolves when there is room for more, or the stream is gone.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if self.queued < SEND_HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ if self.queued < SEND_HIGH_WATER => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.queued = self.queued.saturating_add(data.len());
            self.queue.push_back(data);
        }
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        if matches!(self.end, End::Open) {
            self.end = End::Wanted(trailers);
        }
    }

    /// Hands what flow control allows to h2. `Ready` when nothing waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while let Some(front) = self.queue.front_mut() {
            self.stream.reserve_capacity(front.len());
            let room = match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Err(Reason::CANCEL.into())),
            };
            let piece = front.split_to(room.min(front.len()));
            if piece.is_empty() {
                continue;
            }
            self.queued = self.queued.saturating_sub(piece.len());
            if front.is_empty() {
                self.queue.pop_front();
            }
            let last = self.queue.is_empty() && matches!(self.end, End::Wanted(None));
            self.stream.send_data(piece, last)?;
            if last {
                self.end = End::Sent;
            }
        }
        if matches!(self.end, End::Wanted(_))
            && let End::Wanted(trailers) = std::mem::replace(&mut self.end, End::Sent)
        {
            match trailers {
                Some(trailers) => self.stream.send_trailers(trailers)?,
                None => self.stream.send_data(Bytes::new(), true)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Resolves when the peer reset the stream.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(|_| ())
    }

    /// Aborts.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
        self.end = End::Sent;
        self.queue.clear();
    }
}
