//! WebSocket over HTTP/2 (RFC 8441): CONNECT with `:protocol`.
//!
//! Routes and policies see it as the same wish over HTTP/1.1, a GET with that path: a rule that is for GET, or denies it,
//! holds for both, as in Envoy. Towards an HTTP/1.1 endpoint it becomes an upgrade; towards HTTP/2 it stays what it is,
//! where the endpoint offers it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use rand::Rng;

/// The only protocol that is carried.
pub(super) const WEBSOCKET: &str = "websocket";

/// What a stream of HTTP/2 asks for beside an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Answer,
    /// WebSocket.
    WebSocket,
    /// A protocol that is not carried: 501 (RFC 9220 section 3).
    Unknown,
}

impl Wish {
    /// Takes the wish out of a head, which is that of a GET then.
    pub(super) fn take(parts: &mut Parts) -> Self {
        // h2 lets `:protocol` through with CONNECT only.
        let Some(protocol) = parts.extensions.remove::<Protocol>() else {
            return Self::Answer;
        };
        parts.method = Method::GET;
        // A length would be one of frames that are none of a body.
        parts.headers.remove(CONTENT_LENGTH);
        if protocol.as_str().eq_ignore_ascii_case(WEBSOCKET) {
            Self::WebSocket
        } else {
            Self::Unknown
        }
    }
}

/// Adds what a handshake over HTTP/1.1 has and one over HTTP/2 has not (RFC 8441 section 5). The endpoint's proof that
/// it read the key is not checked: who speaks HTTP/1.1 to WebSocket by mistake does not answer 101.
pub(super) fn to_http1(headers: &mut HeaderMap) {
    let nonce: [u8; 16] = rand::rng().random();
    if let Ok(key) = HeaderValue::try_from(BASE64_STANDARD.encode(nonce)) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
}

/// Takes it away from the answer.
pub(super) fn from_http1(headers: &mut HeaderMap) {
    headers.remove(SEC_WEBSOCKET_ACCEPT);
}
