//! The client's side of one request: HTTP/1.1 or HTTP/2, behind one face for the pump.

use super::extended_connect::{WEBSOCKET, Wish};
use super::h2_bytes::H2Bytes;
use super::h2_half::{Incoming, Outgoing};
use super::reason::Reason;
use crate::http1::{BodyError, Frame, Framing, ServerConn};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use hbone::TunnelStream;
use http::header::{CONTENT_LENGTH, EXPECT, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::task::{Context, Poll};

/// What went wrong on the client's side of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// It closed, reset, or its connection broke.
    Gone,
    /// It sent a body that is not one.
    Malformed(&'static str),
    /// Trailers or chunk extensions beyond the limits.
    TooLarge,
}

/// One request's client.
#[derive(Debug)]
pub(crate) enum Client<'c> {
    /// A connection that carries requests one after the other.
    H1(&'c mut ServerConn<TunnelStream>),
    /// One stream.
    H2(Box<H2Client>),
}

/// One HTTP/2 stream.
#[derive(Debug)]
pub(crate) struct H2Client {
    incoming: Incoming,
    respond: SendResponse<Bytes>,
    outgoing: Option<Outgoing>,
    wish: Wish,
    /// It waits for `100 Continue`, and nothing of its body has come.
    expects_continue: bool,
}

impl H2Client {
    pub(crate) fn new(headers: &HeaderMap, body: RecvStream, respond: SendResponse<Bytes>, wish: Wish) -> Self {
        let incoming = Incoming::new(body);
        let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        Self {
            expects_continue: !incoming.is_done() && headers.get(EXPECT).is_some_and(expects),
            incoming,
            respond,
            outgoing: None,
            wish,
        }
    }
}

impl Client<'_> {
    /// How the request's body is delimited.
    pub(crate) fn request_framing(&self, headers: &HeaderMap) -> Framing {
        match self {
            Self::H1(conn) => conn.request_framing(),
            Self::H2(stream) if stream.incoming.is_done() => Framing::None,
            // What it sends is not a request's body.
            Self::H2(stream) if stream.wish != Wish::Answer => Framing::None,
            Self::H2(_) => content_length(headers).map_or(Framing::Chunked, Framing::Length),
        }
    }

    /// The other protocol that the request asks for. A wish over HTTP/2 is refused here when it cannot be granted.
    pub(crate) fn upgrade(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Reason> {
        match self {
            Self::H1(conn) if conn.wants_upgrade() => Ok(headers.get(UPGRADE).cloned()),
            Self::H1(_) => Ok(None),
            Self::H2(stream) => match stream.wish {
                Wish::Answer => Ok(None),
                Wish::WebSocket => Ok(Some(HeaderValue::from_static(WEBSOCKET))),
                Wish::Unknown => Err(Reason::Protocol),
            },
        }
    }

    /// True for a wish over HTTP/2.
    pub(crate) fn is_extended_connect(&self) -> bool {
        matches!(self, Self::H2(stream) if stream.wish == Wish::WebSocket)
    }

    /// The stream as bytes, after the answer that granted the wish.
    pub(crate) fn h2_bytes(&mut self) -> Option<H2Bytes<'_>> {
        match self {
            Self::H2(stream) => Some(H2Bytes::new(&mut stream.incoming, stream.outgoing.as_mut()?)),
            Self::H1(_) => None,
        }
    }

    /// True when the client waits for `100 Continue`.
    pub(crate) fn expects_continue(&self) -> bool {
        match self {
            Self::H1(conn) => conn.expects_continue(),
            Self::H2(stream) => stream.expects_continue,
        }
    }

    /// The next frame of the request's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, ClientFault>>> {
        match self {
            Self::H1(conn) => conn
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(h1_fault))),
            Self::H2(stream) => {
                let frame = std::task::ready!(stream.incoming.poll_frame(cx));
                stream.expects_continue = false;
                Poll::Ready(frame.map(|frame| frame.map_err(h2_fault)))
            }
        }
    }

    /// Resolves when the client has gone while its answer is awaited.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::H1(conn) => conn.poll_closed(cx),
            Self::H2(stream) => match stream.outgoing.as_mut() {
                Some(outgoing) => outgoing.poll_reset(cx),
                None => stream.respond.poll_reset(cx).map(|_| ()),
            },
        }
    }

    /// Sends a 1xx answer.
    pub(crate) fn informational(&mut self, status: StatusCode, headers: HeaderMap) {
        match self {
            Self::H1(conn) => conn.informational(status, &headers),
            Self::H2(stream) => {
                stream.expects_continue &= status != StatusCode::CONTINUE;
                let mut response = Response::new(());
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                // Fails only when the stream is gone, which the pump sees next.
                let _ = stream.respond.send_informational(response);
            }
        }
    }

    /// Begins the final answer. `headers` carry no hop-by-hop header.
    pub(crate) fn start_response(
        &mut self,
        method: &Method,
        status: StatusCode,
        mut headers: HeaderMap,
        framing: Framing,
    ) -> Result<(), ClientFault> {
        match self {
            Self::H1(conn) => {
                conn.start_response(status, &headers, body_length(framing));
                Ok(())
            }
            Self::H2(stream) => {
                let end = matches!(framing, Framing::None | Framing::Length(0)) || *method == Method::HEAD;
                if matches!(framing, Framing::Chunked | Framing::UntilClose) {
                    headers.remove(CONTENT_LENGTH);
                }
                let mut response = Response::new(());
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                let sender = stream.respond.send_response(response, end).map_err(h2_fault)?;
                stream.outgoing = Some(Outgoing::new(sender, end));
                Ok(())
            }
        }
    }

    /// Resolves when there is room for more of the answer's body.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        match self {
            Self::H1(conn) => conn.poll_ready(cx).map_err(|_| ClientFault::Gone),
            Self::H2(stream) => match stream.outgoing.as_mut() {
                Some(outgoing) => outgoing.poll_ready(cx).map_err(h2_fault),
                None => Poll::Ready(Ok(())),
            },
        }
    }

    /// Queues body bytes.
    pub(crate) fn push(&mut self, data: Bytes) {
        match self {
            Self::H1(conn) => conn.push(data),
            Self::H2(stream) => {
                if let Some(outgoing) = stream.outgoing.as_mut() {
                    outgoing.push(data);
                }
            }
        }
    }

    /// Ends the answer.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        match self {
            Self::H1(conn) => conn.finish(trailers.as_ref()),
            Self::H2(stream) => {
                if let Some(outgoing) = stream.outgoing.as_mut() {
                    outgoing.finish(trailers);
                }
            }
        }
    }

    /// Sends what is queued; `Ready` when nothing is left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        match self {
            Self::H1(conn) => conn.poll_flush(cx).map_err(|_| ClientFault::Gone),
            Self::H2(stream) => match stream.outgoing.as_mut() {
                Some(outgoing) => outgoing.poll_flush(cx).map_err(h2_fault),
                None => Poll::Ready(Ok(())),
            },
        }
    }

    /// Breaks an answer that has begun and cannot be completed: the client must not take it for a whole one.
    pub(crate) fn abort(&mut self) {
        match self {
            // The connection is not reusable now: its owner closes it without the end of the body.
            Self::H1(conn) => conn.close_after_response(),
            Self::H2(stream) => match stream.outgoing.as_mut() {
                Some(outgoing) => outgoing.reset(h2::Reason::INTERNAL_ERROR),
                None => stream.respond.send_reset(h2::Reason::INTERNAL_ERROR),
            },
        }
    }
}

/// `Content-Length` of an HTTP/2 message (h2 has checked it against the data it sees).
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn body_length(framing: Framing) -> Option<u64> {
    match framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

fn h1_fault(error: BodyError) -> ClientFault {
    match error {
        BodyError::Malformed(why) => ClientFault::Malformed(why),
        BodyError::TooLarge(_) => ClientFault::TooLarge,
        _ => ClientFault::Gone,
    }
}

fn h2_fault(_: h2::Error) -> ClientFault {
    ClientFault::Gone
}
