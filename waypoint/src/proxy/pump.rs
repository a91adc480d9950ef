//! Moves bodies between a client and an endpoint, both ways at once, in one task.
//!
//! Nothing is split, locked or spawned: each poll takes a frame only when the other side has room, so back-pressure
//! runs from end to end and memory does not grow with bodies. What the request's body must also reach (a replay for
//! a retry, mirrors) hangs on [`Body`].

use super::client::{Client, ClientFault};
use super::early::{Early, Unread};
use super::grpc::MessageCounter;
use super::headers::strip_untrusted;
use super::mirror::Tee;
use super::upstream::{Upstream, UpstreamFault};
use crate::http1::{Frame, strip_hop_by_hop};
use http::{HeaderMap, Method, response};
use std::future::poll_fn;
use std::task::{Context, Poll};

/// Frames moved in one direction before other tasks get a turn.
const FRAMES_PER_POLL: usize = 32;
/// Bytes of a request's body kept for a retry. A longer body cannot be sent again.
const HELD_BYTES: usize = 64 * 1024;
/// ... and frames: an HTTP/2 client may send its body byte by byte.
const HELD_FRAMES: usize = 1024;

/// Why a pump stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client's side.
    Client(ClientFault),
    /// The endpoint's side.
    Upstream(UpstreamFault),
}

/// What went through, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) request_messages: MessageCounter,
    pub(crate) response_messages: MessageCounter,
    /// `grpc-status` of the answer's trailers.
    pub(crate) grpc_status: Option<u32>,
}

/// The request's body: what the client still sends, what is held to be sent again, and who else gets it.
#[derive(Debug)]
pub(crate) struct Body {
    held: Vec<Frame>,
    /// What the client has sent so far, held or not.
    read_bytes: usize,
    read_frames: usize,
    /// Frames of `held` that this attempt has sent.
    position: usize,
    /// False once the body outgrew what is held, or no retry can follow.
    holding: bool,
    /// The client's part is complete.
    read: bool,
    /// This attempt has sent all of it.
    sent: bool,
    /// What was read before this request had anywhere to go.
    early: Early,
    tee: Tee,
    /// Count gRPC messages.
    grpc: bool,
}

impl Body {
    pub(crate) fn new(hold: bool, early: Early, tee: Tee, grpc: bool) -> Self {
        Self {
            held: Vec::new(),
            read_bytes: 0,
            read_frames: 0,
            position: 0,
            holding: hold,
            read: false,
            sent: false,
            early,
            tee,
            grpc,
        }
    }

    /// What the client sends is none of the request's: it is left for what follows the answer.
    pub(crate) fn leave(&mut self) {
        self.read = true;
        self.tee.end();
    }

    /// Makes the next attempt send the body from its beginning. False when that is not possible any more.
    pub(crate) fn rewind(&mut self) -> bool {
        if !self.holding && (self.read || self.read_frames > 0) {
            return false;
        }
        self.position = 0;
        self.sent = false;
        true
    }

    /// No further attempt will follow: what is held may go, once this attempt has sent it.
    pub(crate) fn release(&mut self) {
        self.holding = false;
        self.drop_sent();
    }

    fn drop_sent(&mut self) {
        if !self.holding && self.position >= self.held.len() {
            self.held = Vec::new();
            self.position = 0;
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client<'_>,
        meter: &mut Meter,
    ) -> Poll<Option<Result<Frame, ClientFault>>> {
        if let Some(frame) = self.held.get(self.position) {
            let frame = frame.clone();
            self.position = self.position.saturating_add(1);
            self.drop_sent();
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.read {
            return Poll::Ready(None);
        }
        let next = match self.early.next() {
            Ok(frame) => frame.map(Ok),
            Err(Unread) => std::task::ready!(client.poll_frame(cx)),
        };
        let frame = match next {
            Some(Ok(Frame::Trailers(mut trailers))) => {
                strip_untrusted(&mut trailers);
                Frame::Trailers(trailers)
            }
            Some(Ok(frame)) => frame,
            Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
            None => {
                self.read = true;
                self.tee.end();
                return Poll::Ready(None);
            }
        };
        if let Frame::Data(data) = &frame {
            meter.request_bytes = meter.request_bytes.saturating_add(data.len() as u64);
            if self.grpc {
                meter.request_messages.count(data);
            }
        }
        self.tee.frame(&frame);
        self.hold(&frame);
        Poll::Ready(Some(Ok(frame)))
    }

    fn hold(&mut self, frame: &Frame) {
        let size = match frame {
            Frame::Data(data) => data.len(),
            Frame::Trailers(_) => 0,
        };
        self.read_bytes = self.read_bytes.saturating_add(size);
        self.read_frames = self.read_frames.saturating_add(1);
        if !self.holding {
            return;
        }
        if self.read_bytes > HELD_BYTES || self.read_frames > HELD_FRAMES {
            self.release();
            return;
        }
        self.held.push(frame.clone());
        self.position = self.held.len();
    }
}

/// Moves request frames to the endpoint until one side has to wait.
fn pump_request(
    cx: &mut Context<'_>,
    client: &mut Client<'_>,
    upstream: &mut Upstream,
    body: &mut Body,
    meter: &mut Meter,
) -> Result<(), Fault> {
    for _ in 0..FRAMES_PER_POLL {
        if body.sent {
            break;
        }
        match upstream.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            // The endpoint may have answered already and closed its reading side: its answer, or the lack of one, decides.
            Poll::Ready(Err(_)) => {
                body.sent = true;
                return Ok(());
            }
            Poll::Pending => return flush_request(cx, upstream, body),
        }
        match body.poll_frame(cx, client, meter) {
            Poll::Ready(Some(Ok(Frame::Data(data)))) => upstream.push(data),
            Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                body.sent = true;
                body.read = true;
                body.tee.end();
                upstream.finish(Some(trailers));
            }
            Poll::Ready(None) => {
                body.sent = true;
                upstream.finish(None);
            }
            Poll::Ready(Some(Err(fault))) => return Err(Fault::Client(fault)),
            Poll::Pending => return flush_request(cx, upstream, body),
        }
    }
    if !body.sent {
        cx.waker().wake_by_ref();
    }
    flush_request(cx, upstream, body)
}

fn flush_request(cx: &mut Context<'_>, upstream: &mut Upstream, body: &mut Body) -> Result<(), Fault> {
    if let Poll::Ready(Err(_)) = upstream.poll_flush(cx) {
        body.sent = true;
    }
    Ok(())
}

/// Sends the request's body and waits for the head of the final answer. 1xx answers pass through.
pub(crate) async fn await_response(
    client: &mut Client<'_>,
    upstream: &mut Upstream,
    body: &mut Body,
    method: &Method,
    meter: &mut Meter,
) -> Result<response::Parts, Fault> {
    // A 1xx that the client has not wholly taken.
    let mut interim = false;
    poll_fn(|cx| {
        pump_request(cx, client, upstream, body, meter)?;
        loop {
            match upstream.poll_response(cx, method) {
                Poll::Ready(Ok(mut parts)) if parts.status.is_informational() && parts.status.as_u16() != 101 => {
                    strip_hop_by_hop(&mut parts.headers);
                    client.informational(parts.status, parts.headers);
                    interim = true;
                }
                Poll::Ready(Ok(parts)) => return Poll::Ready(Ok(parts)),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Fault::Upstream(fault))),
                Poll::Pending => break,
            }
        }
        if interim && let Poll::Ready(flushed) = client.poll_flush(cx) {
            flushed.map_err(Fault::Client)?;
            interim = false;
        }
        if client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Fault::Client(ClientFault::Gone)));
        }
        Poll::Pending
    })
    .await
}

/// Sends the answer's body to the client, while the rest of the request's still goes up.
pub(crate) async fn stream_response(
    client: &mut Client<'_>,
    upstream: &mut Upstream,
    body: &mut Body,
    meter: &mut Meter,
) -> Result<(), Fault> {
    let mut done = false;
    poll_fn(|cx| {
        // Even when all was queued: flow control may hold the end of it back.
        pump_request(cx, client, upstream, body, meter)?;
        if !done {
            done = pump_response(cx, client, upstream, body.grpc, meter)?;
        }
        match client.poll_flush(cx) {
            Poll::Ready(Ok(())) if done => return Poll::Ready(Ok(())),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(Fault::Client(fault))),
            _ => {}
        }
        if !done && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Fault::Client(ClientFault::Gone)));
        }
        Poll::Pending
    })
    .await
}

/// Moves answer frames until one side has to wait; true at the end of the answer.
fn pump_response(
    cx: &mut Context<'_>,
    client: &mut Client<'_>,
    upstream: &mut Upstream,
    grpc: bool,
    meter: &mut Meter,
) -> Result<bool, Fault> {
    for _ in 0..FRAMES_PER_POLL {
        match client.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(fault)) => return Err(Fault::Client(fault)),
            Poll::Pending => return Ok(false),
        }
        match upstream.poll_frame(cx) {
            Poll::Ready(Some(Ok(Frame::Data(data)))) => {
                meter.response_bytes = meter.response_bytes.saturating_add(data.len() as u64);
                if grpc {
                    meter.response_messages.count(&data);
                }
                client.push(data);
            }
            Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                meter.grpc_status = grpc_status(&trailers).or(meter.grpc_status);
                client.finish(Some(trailers));
                return Ok(true);
            }
            Poll::Ready(None) => {
                client.finish(None);
                return Ok(true);
            }
            Poll::Ready(Some(Err(fault))) => return Err(Fault::Upstream(fault)),
            Poll::Pending => return Ok(false),
        }
    }
    cx.waker().wake_by_ref();
    Ok(false)
}

/// `grpc-status` of a head or of trailers.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
