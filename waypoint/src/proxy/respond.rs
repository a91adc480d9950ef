//! The one place that turns a [`Reason`] into an answer on the wire.

use super::client::{Client, ClientFault};
use super::filters::Direct;
use super::reason::Reason;
use crate::http1::Framing;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use routing::Cors;
use std::future::poll_fn;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// Longer messages could break a client's limit of headers.
const MESSAGE_BYTES: usize = 1_024;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// What a refusal must know of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r Method,
    pub(crate) grpc: bool,
    /// `http://host/path`, the realm of a 401.
    pub(crate) realm: Option<&'r str>,
    /// The CORS filter of its rule: a page may read refusals as it may read answers.
    pub(crate) cors: Option<&'r Cors>,
    /// For `cors`.
    pub(crate) origin: Option<&'r HeaderValue>,
}

/// Answers with a refusal; gives the HTTP status and the gRPC status sent.
pub(crate) async fn refuse(
    client: &mut Client<'_>,
    asked: Asked<'_>,
    reason: &Reason,
) -> Result<(StatusCode, Option<u32>), ClientFault> {
    let refusal = reason.refusal();
    if asked.grpc {
        let mut headers = trailers_only(refusal.grpc, refusal.body);
        asked.share(&mut headers);
        send(client, asked.method, StatusCode::OK, headers, "").await?;
        return Ok((StatusCode::OK, Some(refusal.grpc)));
    }
    let mut headers = HeaderMap::with_capacity(4);
    if !refusal.body.is_empty() {
        headers.insert(CONTENT_TYPE, TEXT);
    }
    let challenge = match reason {
        Reason::Token(error) => error.challenge(asked.realm.unwrap_or_default()),
        _ => None,
    };
    if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::try_from(challenge).ok()) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    asked.share(&mut headers);
    send(client, asked.method, refusal.status, headers, refusal.body).await?;
    Ok((refusal.status, None))
}

/// Gives an answer that needs no backend.
pub(crate) async fn direct(client: &mut Client<'_>, method: &Method, answer: Direct) -> Result<(), ClientFault> {
    send(client, method, answer.status, answer.headers, answer.body).await
}

impl Asked<'_> {
    fn share(&self, headers: &mut HeaderMap) {
        if let Some(cors) = self.cors {
            cors.apply(self.origin, headers);
        }
    }
}

async fn send(
    client: &mut Client<'_>,
    method: &Method,
    status: StatusCode,
    headers: HeaderMap,
    body: impl Into<Bytes>,
) -> Result<(), ClientFault> {
    let body = body.into();
    let length = body.len() as u64;
    client.start_response(method, status, headers, Framing::Length(length))?;
    if *method != Method::HEAD {
        client.push(body);
    }
    client.finish(None);
    poll_fn(|cx| client.poll_flush(cx)).await
}

/// A gRPC answer that is only a status (gRPC over HTTP/2, "Trailers-Only").
///
/// A message that would have to be escaped is left out.
pub(super) fn trailers_only(status: u32, message: impl AsRef<[u8]>) -> HeaderMap {
    let message = message.as_ref();
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(status));
    let is_plain = message.iter().all(|b| (b' '..=b'~').contains(b) && *b != b'%') && message.len() <= MESSAGE_BYTES;
    if let (false, true, Ok(value)) = (message.is_empty(), is_plain, HeaderValue::from_bytes(message)) {
        headers.insert(GRPC_MESSAGE, value);
    }
    headers
}
