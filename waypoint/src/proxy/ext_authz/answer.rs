//! What an authoriser answers: changes of headers, or what the client is told instead.

use super::Changes;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// An answer, understood.
#[derive(Debug)]
pub(super) enum Verdict {
    Allow(Changes),
    Deny(Denial),
}

/// The answer that the client gets in place of a backend's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One change of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderChange {
    pub(crate) name: HeaderName,
    pub(crate) how: How,
}

/// How a header is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A field more.
    Append(HeaderValue),
    /// Only where there is none.
    AddIfAbsent(HeaderValue),
    /// In place of what there is.
    Set(HeaderValue),
    /// In place of what there is, if anything.
    Replace(HeaderValue),
    /// Away.
    Remove,
}

/// Makes changes, in order.
pub(crate) fn apply(changes: &[HeaderChange], headers: &mut HeaderMap) {
    for HeaderChange { name, how } in changes {
        match how {
            How::Append(value) => {
                headers.append(name.clone(), value.clone());
            }
            How::AddIfAbsent(value) => {
                headers.entry(name.clone()).or_insert_with(|| value.clone());
            }
            How::Set(value) => {
                headers.insert(name.clone(), value.clone());
            }
            How::Replace(value) => {
                if headers.contains_key(name) {
                    headers.insert(name.clone(), value.clone());
                }
            }
            How::Remove => {
                headers.remove(name);
            }
        }
    }
}

/// Whether an authoriser may touch this header: those that frame a message or name its target are the proxy's own.
pub(super) fn is_changeable(name: &HeaderName) -> bool {
    const OWN: [HeaderName; 6] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TE, TRAILER, UPGRADE];
    !OWN.contains(name) && !matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection")
}

/// A status that can end an exchange; what is none becomes 403, Envoy's default.
pub(super) fn final_status(status: u16) -> StatusCode {
    let status = Some(status).filter(|status| (200..600).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    status.unwrap_or(StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests;
