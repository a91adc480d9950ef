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
    let (mut headers, body) = match reason {
        Reason::Denied(denied) => (denied.denial.headers.clone(), denied.denial.body.clone()),
        _ => (HeaderMap::with_capacity(4), Bytes::from_static(refusal.body.as_bytes())),
    };
    if asked.grpc {
        headers.extend(trailers_only(refusal.grpc, &body));
        asked.share(&mut headers);
        send(client, asked.method, StatusCode::OK, headers, Bytes::new()).await?;
        return Ok((StatusCode::OK, Some(refusal.grpc)));
    }
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
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
    send(client, asked.method, refusal.status, headers, body).await?;
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
pub(super) fn trailers_only(status: u32, message: impl AsRef<[u8]>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(status));
    let message = percent_encoded(message.as_ref());
    if let (false, Ok(message)) = (message.is_empty(), HeaderValue::try_from(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    headers
}

/// As `grpc-message` wants it: what is not printable ASCII, and `%`, as `%XX`. A long text is cut.
fn percent_encoded(text: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let text = text.get(..MESSAGE_BYTES).unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
            continue;
        }
        out.push('%');
        for nibble in [byte >> 4, byte & 0xf] {
            out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
    out
}
