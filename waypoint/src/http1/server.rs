//! The downstream side: reads requests, writes responses.

use super::body::Decoder;
use super::encode;
use super::head::{self, Search};
use super::inbound::{Inbound, SMALL_READ};
use super::outbound::Outbound;
use super::{BodyError, Frame, Framing, HeadError, Limits};
use bytes::{Buf, Bytes, BytesMut};
use http::header::UPGRADE;
use http::{HeaderMap, Method, StatusCode, Version, request};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// One connection to a client.
///
/// The life of an exchange: [`poll_request`](Self::poll_request), then request frames and the response in any order
/// or at once, then `poll_request` again if [`reusable`](Self::reusable). After any error of reading one answer may
/// still be sent; it says `connection: close`.
#[derive(Debug)]
pub struct ServerConn<S> {
    io: S,
    inbound: Inbound,
    outbound: Outbound,
    limits: Limits,
    search: Search,
    skipped_empty_line: bool,
    stage: Stage,
    request: Decoder,
    framing: Framing,
    /// What of the current request decides how it is answered.
    old_version: bool,
    is_head: bool,
    expects_continue: bool,
    wants_upgrade: bool,
    keep_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before a request, or inside its head.
    Head,
    /// From a request's head to the end of its response.
    Exchange,
    /// A head was refused: it may be answered, nothing more is read.
    Refused,
    /// After 101: no longer HTTP.
    Raw,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ServerConn<S> {
    /// A connection on which `already_read` was read while its protocol was found out.
    pub fn new(io: S, already_read: BytesMut, limits: Limits) -> Self {
        Self {
            io,
            inbound: Inbound::new(already_read),
            outbound: Outbound::new(limits.write_buffer),
            limits,
            search: Search::default(),
            skipped_empty_line: false,
            stage: Stage::Head,
            request: Decoder::new(Framing::None),
            framing: Framing::None,
            old_version: false,
            is_head: false,
            expects_continue: false,
            wants_upgrade: false,
            keep_alive: true,
        }
    }

    /// The next request head; `Ok(None)` when the client closed between requests, or when nothing more may be
    /// read (see [`reusable`](Self::reusable)). Unsent response bytes are flushed meanwhile.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<request::Parts>, HeadError>> {
        if !self.outbound.is_flushed() {
            // Pending is no reason not to read; the waker is kept by the transport.
            if let Poll::Ready(Err(error)) = self.outbound.poll_flush(&mut self.io, cx) {
                return Poll::Ready(Err(self.refuse(error.into())));
            }
        }
        if self.stage != Stage::Head {
            if !self.reusable() {
                return Poll::Ready(Ok(None));
            }
            self.stage = Stage::Head;
            self.outbound.reset();
        }
        loop {
            match self.take_request() {
                Ok(None) if self.inbound.eof && self.inbound.buf.is_empty() => return Poll::Ready(Ok(None)),
                Ok(None) if self.inbound.eof => return Poll::Ready(Err(self.refuse(HeadError::Eof))),
                Ok(None) => {}
                Ok(Some(parts)) => return Poll::Ready(Ok(Some(parts))),
                Err(error) => return Poll::Ready(Err(self.refuse(error))),
            }
            match self.inbound.poll_fill(&mut self.io, cx, SMALL_READ) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.refuse(error.into()))),
                Poll::Pending => {
                    self.outbound.release();
                    return Poll::Pending;
                }
            }
        }
    }

    /// [`poll_request`](Self::poll_request) as a future; dropping it loses nothing.
    pub async fn read_request(&mut self) -> Result<Option<request::Parts>, HeadError> {
        std::future::poll_fn(|cx| self.poll_request(cx)).await
    }

    /// How the body of the current request is framed.
    pub fn request_framing(&self) -> Framing {
        self.framing
    }

    /// The client waits for `100 Continue`: no byte of its body has come yet, and neither 100 nor a response was queued.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue && self.inbound.buf.is_empty()
    }

    /// The client asks to switch protocols, to a single one that does not itself carry HTTP requests (h2c would let
    /// them past policy), in a request without a body. If it is not answered by 101, the connection closes.
    pub fn wants_upgrade(&self) -> bool {
        self.wants_upgrade
    }

    /// The next piece of the request body; `None` when it is complete.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(
            self.request
                .poll_frame(&mut self.inbound, &mut self.io, cx, &self.limits)
        );
        self.expects_continue = false;
        if matches!(frame, Some(Err(_))) {
            self.keep_alive = false;
        }
        Poll::Ready(frame)
    }

    /// The request is wholly read.
    pub fn request_done(&self) -> bool {
        self.request.is_done()
    }

    /// Resolves when the client has gone (end of its stream, or an error) while its answer is awaited. What comes of
    /// a next request is kept, up to [`Limits::read_ahead`] bytes; then, and while the request's body is not yet
    /// read ([`poll_frame`](Self::poll_frame) tells of the end), it stays pending.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.request.is_done() {
            if self.inbound.eof {
                return Poll::Ready(());
            }
            let room = self.limits.read_ahead.saturating_sub(self.inbound.buf.len());
            if room == 0 {
                break;
            }
            if ready!(self.inbound.poll_fill(&mut self.io, cx, room)).is_err() {
                self.keep_alive = false;
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Queues an interim response (100, 102, 103). Not sent to an HTTP/1.0 client, nor after the response's head.
    pub fn informational(&mut self, status: StatusCode, headers: &HeaderMap) {
        let switching = status == StatusCode::SWITCHING_PROTOCOLS;
        if !status.is_informational() || switching || self.old_version || self.outbound.begun() {
            return;
        }
        if status == StatusCode::CONTINUE {
            self.expects_continue = false;
        }
        let out = self.outbound.head();
        encode::status_line(out, status);
        encode::fields(out, headers, true);
        out.extend_from_slice(encode::CRLF);
    }

    /// Queues the head of the response. Does nothing if one is queued already.
    ///
    /// `body` is its length if known (`Some(0)`: none). Framing and Connection are written here; hop-by-hop fields,
    /// Content-Length and Transfer-Encoding of `headers` are not, but for the Content-Length of an answer to HEAD and
    /// of a 304, where it tells of a body that is not sent. For 101, `headers` must have Upgrade; from then on only
    /// [`poll_flush`](Self::poll_flush) and [`into_io`](Self::into_io) are of use.
    pub fn start_response(&mut self, status: StatusCode, headers: &HeaderMap, body: Option<u64>) {
        if self.outbound.begun() {
            return;
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch_protocols(headers);
        }
        if status.is_informational() {
            return self.informational(status, headers);
        }
        // A client that was never told to continue may or may not send its body; one that wanted to switch may have
        // begun to speak the other protocol.
        let doubtful = (self.expects_continue() && !self.request.is_done()) || self.wants_upgrade;
        let (framing, length) = self.response_framing(status, headers, body);
        self.keep_alive &= !doubtful && framing != Framing::UntilClose;
        self.expects_continue = false;
        let out = self.outbound.begin(framing);
        encode::status_line(out, status);
        encode::fields(out, headers, true);
        match (self.keep_alive, self.old_version) {
            (false, _) => out.extend_from_slice(encode::CLOSE),
            (true, true) => out.extend_from_slice(encode::KEEP_ALIVE),
            (true, false) => {}
        }
        if framing == Framing::Chunked {
            out.extend_from_slice(encode::CHUNKED);
        }
        if let Some(length) = length {
            encode::content_length(out, length);
        }
        out.extend_from_slice(encode::CRLF);
    }

    /// The final response's head has been queued.
    pub fn response_started(&self) -> bool {
        self.outbound.begun()
    }

    /// Room for more of the body below [`Limits::write_buffer`]; makes it by writing. Bytes below that mark move only
    /// by [`poll_flush`](Self::poll_flush).
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbound.poll_ready(&mut self.io, cx)
    }

    /// Queues response body. Never more than the announced length is sent, and nothing where there can be no body.
    pub fn push(&mut self, data: Bytes) {
        self.outbound.push(data);
    }

    /// Ends the response (needless when it can have no body). Trailers go only after a chunked body, less the fields that may not be any. A body that
    /// ended short of its length makes the connection unusable: close it, so that the client sees the cut.
    pub fn finish(&mut self, trailers: Option<&HeaderMap>) {
        self.outbound.finish(trailers);
    }

    /// Everything queued has been handed to the transport and flushed.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbound.poll_flush(&mut self.io, cx)
    }

    /// Flushes, then ends our side of the stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.keep_alive = false;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// No other request after this one: says `connection: close` if the response's head is not yet queued.
    pub fn close_after_response(&mut self) {
        self.keep_alive = false;
    }

    /// The response has begun, is not finished, and closing the stream in order would pass for its end: to tell the
    /// client that it was cut, break the stream.
    pub fn ends_by_closing(&self) -> bool {
        self.outbound.ends_by_closing()
    }

    /// Another request may be read: this one is wholly read and answered, and both sides keep the connection.
    pub fn reusable(&self) -> bool {
        match self.stage {
            Stage::Head => true,
            Stage::Exchange => self.keep_alive && self.request.is_done() && self.outbound.complete(),
            Stage::Refused | Stage::Raw => false,
        }
    }

    /// Between requests, with not a byte of the next one here.
    pub fn is_idle(&self) -> bool {
        self.inbound.buf.is_empty() && (self.stage == Stage::Head || self.reusable())
    }

    /// Bytes read but not yet used: the start of the next request, or of the body.
    pub fn buffered(&self) -> usize {
        self.inbound.buf.len()
    }

    /// The stream, and what was read of it but not used. Unsent output is lost: flush before.
    pub fn into_io(self) -> (S, BytesMut) {
        (self.io, self.inbound.buf)
    }

    /// After a flushed `101`: the stream, and what was read of it beyond the request.
    pub fn raw_parts(&mut self) -> (&mut S, BytesMut) {
        (&mut self.io, std::mem::take(&mut self.inbound.buf))
    }

    fn take_request(&mut self) -> Result<Option<request::Parts>, HeadError> {
        let buf = &mut self.inbound.buf;
        // One empty line before a request is forgiven (RFC 9112 section 2.2).
        if !self.skipped_empty_line {
            if buf.as_ref() == b"\r" {
                return Ok(None);
            }
            if buf.starts_with(encode::CRLF) {
                buf.advance(encode::CRLF.len());
                self.skipped_empty_line = true;
            }
        }
        if buf.is_empty() {
            return Ok(None);
        }
        let Some(head) = head::take_request(buf, &mut self.search, &self.limits)? else {
            return Ok(None);
        };
        self.skipped_empty_line = false;
        self.stage = Stage::Exchange;
        self.request = Decoder::new(head.framing);
        self.framing = head.framing;
        self.old_version = head.parts.version == Version::HTTP_10;
        self.is_head = head.parts.method == Method::HEAD;
        self.expects_continue = head.expects_continue;
        self.wants_upgrade = head.wants_upgrade;
        self.keep_alive &= head.keep_alive;
        Ok(Some(head.parts))
    }

    fn refuse(&mut self, error: HeadError) -> HeadError {
        self.stage = Stage::Refused;
        self.request = Decoder::new(Framing::None);
        self.framing = Framing::None;
        self.old_version = false;
        self.is_head = false;
        self.expects_continue = false;
        self.wants_upgrade = false;
        self.keep_alive = false;
        self.inbound.buf = BytesMut::new();
        error
    }

    /// The framing of the response's body, and the Content-Length to write.
    fn response_framing(&self, status: StatusCode, headers: &HeaderMap, body: Option<u64>) -> (Framing, Option<u64>) {
        if status == StatusCode::NO_CONTENT {
            return (Framing::None, None);
        }
        if self.is_head || status == StatusCode::NOT_MODIFIED {
            return (
                Framing::None,
                encode::said_length(headers).or(body.filter(|length| *length > 0)),
            );
        }
        match body {
            Some(length) => (Framing::Length(length), Some(length)),
            None if self.old_version => (Framing::UntilClose, None),
            None => (Framing::Chunked, None),
        }
    }

    fn switch_protocols(&mut self, headers: &HeaderMap) {
        self.stage = Stage::Raw;
        self.keep_alive = false;
        let out = self.outbound.begin(Framing::None);
        encode::status_line(out, StatusCode::SWITCHING_PROTOCOLS);
        encode::fields(out, headers, true);
        out.extend_from_slice(encode::UPGRADE);
        for value in headers.get_all(UPGRADE) {
            encode::field(out, &UPGRADE, value);
        }
        out.extend_from_slice(encode::CRLF);
    }
}

#[cfg(test)]
mod tests;
