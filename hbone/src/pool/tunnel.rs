//! CONNECT: one stream on a pooled connection, until it is answered.

use super::connection::Conn;
use super::entry::Entry;
use crate::slots::Slot;
use crate::{DialError, TunnelStream};
use h2::Reason;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use std::sync::Arc;
use tokio::time::timeout;

/// How often a CONNECT is tried when connections refuse it or break under it. Nothing was sent through the tunnel yet,
/// so that trying again is safe.
const ATTEMPTS: usize = 4;

/// Never sent: the trace of a connection means nothing, and ztunnel dies of malformed ones; the rest is not allowed in
/// HTTP/2 (RFC 9113, 8.2.2) or says again what `:authority` says.
const DROPPED_HEADERS: [&str; 9] = [
    "traceparent",
    "tracestate",
    "host",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(super) async fn open(
    entry: &Arc<Entry>,
    authority: &str,
    mut headers: HeaderMap,
) -> Result<TunnelStream, DialError> {
    for name in DROPPED_HEADERS {
        headers.remove(name);
    }
    let uri = authority_form(authority)?;
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let (conn, slot) = entry.place(authority).await?;
        let request = connect_request(uri.clone(), headers.clone());
        let limit = entry.shared().config.answer_timeout;
        match timeout(limit, attempt(&conn, slot, request)).await {
            Ok(Ok(tunnel)) => return Ok(tunnel),
            Ok(Err(Failure::Answered(status))) => {
                entry.shared().events.dialled("refused");
                return Err(DialError::Refused {
                    authority: authority.to_owned(),
                    status: status.as_u16(),
                });
            }
            Ok(Err(Failure::Full(reason))) => {
                if !conn.was_refused() {
                    entry.remove(&conn);
                }
                last = reason;
            }
            Ok(Err(Failure::Gone(reason))) => {
                entry.remove(&conn);
                last = reason;
            }
            Ok(Err(Failure::Reset(reason))) => return Err(broken(authority, reason)),
            Err(_) => return Err(broken(authority, format!("CONNECT was not answered within {limit:?}"))),
        }
    }
    Err(broken(authority, format!("gave up after {ATTEMPTS} attempts: {last}")))
}

enum Failure {
    /// Not 2xx.
    Answered(StatusCode),
    /// REFUSED_STREAM: another connection may take it.
    Full(String),
    /// The connection is going away or has broken.
    Gone(String),
    /// The peer gave up on this stream alone.
    Reset(String),
}

async fn attempt(conn: &Conn, slot: Slot, request: Request<()>) -> Result<TunnelStream, Failure> {
    let mut sender = conn.send().ready().await.map_err(failure)?;
    let (response, send) = sender.send_request(request, false).map_err(failure)?;
    let response = response.await.map_err(failure)?;
    if !response.status().is_success() {
        return Err(Failure::Answered(response.status()));
    }
    Ok(TunnelStream::new(send, response.into_body(), slot))
}

fn failure(error: h2::Error) -> Failure {
    let reason = error.to_string();
    if error.reason() == Some(Reason::REFUSED_STREAM) {
        Failure::Full(reason)
    } else if error.is_reset() {
        Failure::Reset(reason)
    } else {
        Failure::Gone(reason)
    }
}

fn authority_form(authority: &str) -> Result<Uri, DialError> {
    Uri::builder()
        .authority(authority)
        .build()
        .map_err(|error| broken(authority, format!("expected host:port as the target: {error}")))
}

fn connect_request(uri: Uri, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}

fn broken(authority: &str, reason: String) -> DialError {
    DialError::Broken {
        authority: authority.to_owned(),
        reason,
    }
}
