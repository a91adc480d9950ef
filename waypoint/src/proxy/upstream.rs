//! The endpoint's side of one attempt: HTTP/1.1 or HTTP/2, behind one face for the pump.

use super::client::content_length;
use super::extended_connect::WEBSOCKET;
use super::h2_half::{Incoming, Outgoing};
use super::transport::Transport;
use crate::http1::{BodyError, ClientConn, Frame, Framing, HeadError};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What went wrong on the endpoint's side of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// The endpoint had not looked at the request (REFUSED_STREAM, GOAWAY before it): always safe to retry.
    Refused,
    /// The connection ended or was reset.
    Reset,
    /// The answer is not HTTP.
    Malformed,
}

/// One attempt's endpoint.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// An HTTP/1.1 connection, taken from the pool or fresh.
    H1(Box<ClientConn<Transport>>),
    /// One stream of a shared connection.
    H2(Box<H2Upstream>),
}

/// One HTTP/2 stream.
#[derive(Debug)]
pub(crate) struct H2Upstream {
    response: Option<ResponseFuture>,
    incoming: Option<Incoming>,
    outgoing: Outgoing,
    framing: Framing,
    /// Counts the stream on its connection.
    _counted: Arc<()>,
}

/// The request head that goes upstream.
#[derive(Debug)]
pub(crate) struct RequestHead<'r> {
    pub(crate) method: &'r Method,
    /// Path and query.
    pub(crate) target: &'r str,
    pub(crate) host: &'r HeaderValue,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) framing: Framing,
    /// The `Upgrade` header, when the client asks for another protocol.
    pub(crate) upgrade: Option<&'r HeaderValue>,
    /// It asks over HTTP/2 (RFC 8441).
    pub(crate) extended: bool,
}

impl Upstream {
    /// Writes the head of a request to an HTTP/1.1 connection.
    pub(crate) fn start_h1(mut conn: Box<ClientConn<Transport>>, head: &RequestHead<'_>) -> Self {
        // Dropped before the pool has it back, it is cut: the endpoint must not go on for a client that has gone.
        conn.io_mut().cut_on_drop(true);
        conn.start_request(
            head.method,
            head.target,
            head.host,
            head.headers,
            head.framing,
            head.upgrade,
        );
        Self::H1(conn)
    }

    /// Opens a stream for a request. The sender must be ready.
    pub(crate) fn start_h2(
        sender: &mut h2::client::SendRequest<Bytes>,
        counted: Arc<()>,
        head: &RequestHead<'_>,
    ) -> Result<Self, UpstreamFault> {
        let request = h2_request(head).ok_or(UpstreamFault::Malformed)?;
        let ended = matches!(head.framing, Framing::None | Framing::Length(0)) && !head.extended;
        let (response, stream) = sender.send_request(request, ended).map_err(h2_fault)?;
        let outgoing = Outgoing::new(stream, ended);
        Ok(Self::H2(Box::new(H2Upstream {
            response: Some(response),
            incoming: None,
            outgoing,
            framing: Framing::None,
            _counted: counted,
        })))
    }

    /// A 1xx answer, or the final one.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
    ) -> Poll<Result<response::Parts, UpstreamFault>> {
        match self {
            Self::H1(conn) => conn.poll_response(cx).map_err(h1_head_fault),
            Self::H2(stream) => stream.poll_response(cx, method),
        }
    }

    /// Not a byte of the request has left: a pooled connection broke as it was taken. (A lost HTTP/2 stream tells itself.)
    pub(crate) fn nothing_sent(&self) -> bool {
        match self {
            Self::H1(conn) => conn.bytes_sent() == 0,
            Self::H2(_) => false,
        }
    }

    /// How the answer's body is delimited.
    pub(crate) fn response_framing(&self) -> Framing {
        match self {
            Self::H1(conn) => conn.response_framing(),
            Self::H2(stream) => stream.framing,
        }
    }

    /// The next frame of the answer's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, UpstreamFault>>> {
        match self {
            Self::H1(conn) => conn
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(h1_body_fault))),
            Self::H2(stream) => match stream.incoming.as_mut() {
                Some(incoming) => incoming
                    .poll_frame(cx)
                    .map(|frame| frame.map(|frame| frame.map_err(h2_fault))),
                None => Poll::Ready(None),
            },
        }
    }

    /// Resolves when there is room for more of the request's body.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFault>> {
        match self {
            Self::H1(conn) => conn.poll_ready(cx).map_err(|_| UpstreamFault::Reset),
            Self::H2(stream) => stream.outgoing.poll_ready(cx).map_err(h2_fault),
        }
    }

    /// Queues body bytes.
    pub(crate) fn push(&mut self, data: Bytes) {
        match self {
            Self::H1(conn) => conn.push(data),
            Self::H2(stream) => stream.outgoing.push(data),
        }
    }

    /// Ends the request.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        match self {
            Self::H1(conn) => conn.finish(trailers.as_ref()),
            Self::H2(stream) => stream.outgoing.finish(trailers),
        }
    }

    /// Sends what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFault>> {
        match self {
            Self::H1(conn) => conn.poll_flush(cx).map_err(|_| UpstreamFault::Reset),
            Self::H2(stream) => stream.outgoing.poll_flush(cx).map_err(h2_fault),
        }
    }
}

impl H2Upstream {
    fn poll_response(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<Result<response::Parts, UpstreamFault>> {
        let Some(future) = self.response.as_mut() else {
            return Poll::Ready(Err(UpstreamFault::Malformed));
        };
        if let Poll::Ready(Some(Ok(interim))) = future.poll_informational(cx) {
            if interim.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Err(UpstreamFault::Malformed));
            }
            return Poll::Ready(Ok(interim.into_parts().0));
        }
        let (parts, body) = match std::task::ready!(Pin::new(future).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => return Poll::Ready(Err(h2_fault(error))),
        };
        self.response = None;
        let incoming = Incoming::new(body);
        self.framing = response_framing(method, parts.status, &parts.headers, incoming.is_done());
        self.incoming = Some(incoming);
        Poll::Ready(Ok(parts))
    }
}

fn response_framing(method: &Method, status: StatusCode, headers: &HeaderMap, ended: bool) -> Framing {
    let bodiless = *method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if bodiless {
        return Framing::None;
    }
    if ended {
        return Framing::Length(0);
    }
    content_length(headers).map_or(Framing::Chunked, Framing::Length)
}

fn h2_request(head: &RequestHead<'_>) -> Option<http::Request<()>> {
    let uri = Uri::builder()
        .scheme(http::uri::Scheme::HTTP)
        .authority(head.host.as_bytes())
        .path_and_query(head.target)
        .build()
        .ok()?;
    let mut request = http::Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = head.headers.clone();
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    // The loop has answered it.
    headers.remove(EXPECT);
    match head.framing {
        Framing::Length(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        _ => {
            headers.remove(CONTENT_LENGTH);
        }
    }
    if head.extended {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
    }
    Some(request)
}

fn h2_fault(error: h2::Error) -> UpstreamFault {
    let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR));
    if refused {
        UpstreamFault::Refused
    } else {
        UpstreamFault::Reset
    }
}

fn h1_head_fault(error: HeadError) -> UpstreamFault {
    match error {
        HeadError::Io(_) | HeadError::Eof => UpstreamFault::Reset,
        _ => UpstreamFault::Malformed,
    }
}

fn h1_body_fault(error: BodyError) -> UpstreamFault {
    match error {
        BodyError::Malformed(_) => UpstreamFault::Malformed,
        _ => UpstreamFault::Reset,
    }
}
