//! The upstream side: writes requests, reads responses.

use super::body::Decoder;
use super::head::{self, Search};
use super::inbound::{Inbound, SMALL_READ};
use super::outbound::Outbound;
use super::{BodyError, Frame, Framing, HeadError, Limits};
use super::{encode, hop};
use bytes::{Bytes, BytesMut};
use http::header::{HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// One connection to a server.
///
/// The life of an exchange: [`start_request`](Self::start_request), then the request's body and the response in any
/// order or at once, then `start_request` again if [`reusable`](Self::reusable).
#[derive(Debug)]
pub struct ClientConn<S> {
    io: S,
    inbound: Inbound,
    outbound: Outbound,
    limits: Limits,
    search: Search,
    stage: Stage,
    response: Decoder,
    framing: Framing,
    method: Method,
    asked_upgrade: bool,
    interim_responses: usize,
    keep_alive: bool,
    /// Totals when the current request was started.
    received_before: u64,
    sent_before: u64,
    requests: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request yet.
    Fresh,
    /// The final response's head is awaited.
    Head,
    /// It has come.
    Body,
    /// After 101: no longer HTTP.
    Raw,
    /// Nothing more can be understood.
    Failed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientConn<S> {
    /// A fresh connection.
    pub fn new(io: S, limits: Limits) -> Self {
        Self {
            io,
            inbound: Inbound::new(BytesMut::new()),
            outbound: Outbound::new(limits.write_buffer),
            limits,
            search: Search::default(),
            stage: Stage::Fresh,
            response: Decoder::new(Framing::None),
            framing: Framing::None,
            method: Method::GET,
            asked_upgrade: false,
            interim_responses: 0,
            keep_alive: true,
            received_before: 0,
            sent_before: 0,
            requests: 0,
        }
    }

    /// Queues a request head, on a connection that is fresh or [`reusable`](Self::reusable); on any other, and for a
    /// target with white space or control bytes, everything fails with `InvalidInput` and nothing is sent.
    ///
    /// `target` is the request target as it is to be written. Host comes first, from `host`. Hop-by-hop fields,
    /// Content-Length, Transfer-Encoding and Host of `headers` are not written, but for `te: trailers`. A method that
    /// usually has a body says `content-length: 0` when it has none. `framing` is never `UntilClose`, which is taken
    /// for `Chunked`. `upgrade` is the protocol asked for.
    pub fn start_request(
        &mut self,
        method: &Method,
        target: &str,
        host: &HeaderValue,
        headers: &HeaderMap,
        framing: Framing,
        upgrade: Option<&HeaderValue>,
    ) {
        if !self.reusable() {
            return self.outbound.refuse("a request on a connection that is not free");
        }
        if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return self.outbound.refuse("a request target that cannot be written");
        }
        let framing = if framing == Framing::UntilClose {
            Framing::Chunked
        } else {
            framing
        };
        self.stage = Stage::Head;
        self.requests = self.requests.saturating_add(1);
        self.method = method.clone();
        self.asked_upgrade = upgrade.is_some();
        self.interim_responses = 0;
        self.received_before = self.inbound.total;
        self.sent_before = self.outbound.total;
        let out = self.outbound.begin(framing);
        encode::request_line(out, method, target);
        encode::field(out, &HOST, host);
        encode::fields(out, headers, false);
        if let Some(protocol) = upgrade {
            out.extend_from_slice(encode::UPGRADE);
            encode::field(out, &UPGRADE, protocol);
        } else if hop::takes_trailers(headers) {
            out.extend_from_slice(encode::TE_TRAILERS);
        }
        match framing {
            Framing::Length(length) => encode::content_length(out, length),
            Framing::None if [Method::POST, Method::PUT, Method::PATCH].contains(method) => {
                encode::content_length(out, 0);
            }
            Framing::None => {}
            Framing::Chunked | Framing::UntilClose => out.extend_from_slice(encode::CHUNKED),
        }
        out.extend_from_slice(encode::CRLF);
    }

    /// Room for more of the body below [`Limits::write_buffer`]; makes it by writing. Bytes below that mark move only
    /// by [`poll_flush`](Self::poll_flush).
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbound.poll_ready(&mut self.io, cx)
    }

    /// Queues request body. Never more than the announced length is sent.
    pub fn push(&mut self, data: Bytes) {
        self.outbound.push(data);
    }

    /// Ends the request (needless when its framing says that it has no body). Trailers go only after a chunked body,
    /// less the fields that may not be any.
    pub fn finish(&mut self, trailers: Option<&HeaderMap>) {
        self.outbound.finish(trailers);
    }

    /// Everything queued has been handed to the transport and flushed.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbound.poll_flush(&mut self.io, cx)
    }

    /// The next response head: interim ones (1xx), then the final one; 101 only if an upgrade was asked for.
    ///
    /// Any error but `Io` and `Eof` means that the server is not to be trusted with another byte: answer 502.
    /// Write and flush independently: a response may come before the request is wholly sent.
    pub fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, HeadError>> {
        if self.stage != Stage::Head {
            return Poll::Ready(Err(HeadError::Malformed("no response is due")));
        }
        loop {
            match self.take_response() {
                Ok(Some(parts)) => return Poll::Ready(Ok(parts)),
                Ok(None) if self.inbound.eof => return Poll::Ready(Err(self.fail(HeadError::Eof))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(self.fail(error))),
            }
            if let Err(error) = ready!(self.inbound.poll_fill(&mut self.io, cx, SMALL_READ)) {
                return Poll::Ready(Err(self.fail(error.into())));
            }
        }
    }

    /// How the body of the response is framed.
    pub fn response_framing(&self) -> Framing {
        self.framing
    }

    /// The next piece of the response body; `None` when it is complete.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.stage {
            Stage::Body => self
                .response
                .poll_frame(&mut self.inbound, &mut self.io, cx, &self.limits),
            _ => Poll::Ready(Some(Err(BodyError::Malformed("no response body is due")))),
        }
    }

    /// The response is wholly read.
    pub fn response_done(&self) -> bool {
        self.stage == Stage::Body && self.response.is_done()
    }

    /// Another request may be sent: this one is wholly sent and answered, both sides keep the connection, and not a
    /// byte has come after the answer.
    pub fn reusable(&self) -> bool {
        let quiet = self.inbound.buf.is_empty() && !self.inbound.eof && self.outbound.is_flushed();
        quiet
            && match self.stage {
                Stage::Fresh => true,
                Stage::Body => self.keep_alive && self.response.is_done() && self.outbound.complete(),
                Stage::Head | Stage::Raw | Stage::Failed => false,
            }
    }

    /// For a pooled connection: resolves when it is no longer usable (the peer closed, or sent bytes nobody asked for).
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.outbound.release();
        if self.reusable() {
            // Bytes and end alike make it unusable.
            if ready!(self.inbound.poll_fill(&mut self.io, cx, 1)).is_err() {
                self.stage = Stage::Failed;
            }
        }
        Poll::Ready(())
    }

    /// Bytes received since the current request was started.
    pub fn bytes_received(&self) -> u64 {
        self.inbound.total - self.received_before
    }

    /// Requests begun on this connection.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Bytes of the current request handed to the transport.
    pub fn bytes_sent(&self) -> u64 {
        self.outbound.total - self.sent_before
    }

    /// Something of the response has come: the request must have been seen.
    pub fn any_response_byte(&self) -> bool {
        self.bytes_received() > 0
    }

    /// The stream itself.
    pub fn io_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// The stream, and what was read of it but not used (after a 101: the first raw bytes). Flush before.
    pub fn into_io(self) -> (S, BytesMut) {
        (self.io, self.inbound.buf)
    }

    fn take_response(&mut self) -> Result<Option<response::Parts>, HeadError> {
        if self.inbound.buf.is_empty() {
            return Ok(None);
        }
        if self.bytes_sent() == 0 {
            return Err(HeadError::Malformed("a response before its request"));
        }
        let head = head::take_response(&mut self.inbound.buf, &mut self.search, &self.limits, &self.method)?;
        let Some(head) = head else { return Ok(None) };
        let status = head.parts.status;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if !self.asked_upgrade || !self.outbound.complete() {
                return Err(HeadError::Malformed("101 without being asked"));
            }
            self.stage = Stage::Raw;
        } else if status.is_informational() {
            self.interim_responses += 1;
            if self.interim_responses > self.limits.interim_responses {
                return Err(HeadError::TooLarge("interim responses"));
            }
        } else {
            self.stage = Stage::Body;
            self.response = Decoder::new(head.framing);
            self.framing = head.framing;
        }
        self.keep_alive &= head.keep_alive;
        Ok(Some(head.parts))
    }

    fn fail(&mut self, error: HeadError) -> HeadError {
        self.stage = Stage::Failed;
        self.inbound.buf = BytesMut::new();
        error
    }
}

#[cfg(test)]
mod tests;
