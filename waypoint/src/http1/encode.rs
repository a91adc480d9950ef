//! Heads as bytes, straight into the write buffer.

use super::hop::{self, EndToEnd};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub(super) fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' '); // even before an empty reason: RFC 9112 section 4
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(CRLF);
}

pub(super) fn request_line(out: &mut Vec<u8>, method: &Method, target: &str) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// The end-to-end fields of `headers`, without framing. `host`: Host is among them.
pub(super) fn fields(out: &mut Vec<u8>, headers: &HeaderMap, host: bool) {
    let end_to_end = EndToEnd::of(headers);
    for (name, value) in headers {
        if end_to_end.keeps(name) && (host || *name != HOST) {
            field(out, name, value);
        }
    }
}

/// Trailers, less those that may not be any.
pub(super) fn trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    for (name, value) in trailers {
        if !is_forbidden_in_trailers(name) {
            field(out, name, value);
        }
    }
}

/// Removes the fields that may not be trailers, for what the HTTP/1 codec does not write itself.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let names: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_forbidden_in_trailers(name))
        .cloned()
        .collect();
    for name in names {
        trailers.remove(name);
    }
}

/// Fields that frame, route, authenticate or describe the content of a message mean nothing in trailers, but a
/// receiver that merges trailers into headers may believe them (RFC 9110 section 6.5.1).
pub(super) fn is_forbidden_in_trailers(name: &HeaderName) -> bool {
    const EXACT: [&str; 24] = [
        "age",
        "authorization",
        "cache-control",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "vary",
        "via",
        "warning",
        "www-authenticate",
    ];
    const PREFIX: [&str; 4] = ["content-", "if-", "x-forwarded-", "x-envoy-"];
    let text = name.as_str();
    hop::is_ours(name) || EXACT.contains(&text) || PREFIX.iter().any(|prefix| text.starts_with(prefix))
}

pub(super) fn field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(CRLF);
}

pub(super) fn content_length(out: &mut Vec<u8>, length: u64) {
    if length == 0 {
        return out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"content-length: ");
    number(out, length, 10);
    out.extend_from_slice(CRLF);
}

pub(super) fn chunk_size(out: &mut Vec<u8>, size: usize) {
    number(out, size as u64, 16);
    out.extend_from_slice(CRLF);
}

/// The Content-Length among `headers` if it is one plain number: what a HEAD or 304 answer says of a body it has not.
pub(super) fn said_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let value = values
        .next()
        .filter(|value| value.as_bytes().iter().all(u8::is_ascii_digit))?;
    if values.next().is_some() {
        None
    } else {
        value.to_str().ok()?.parse().ok()
    }
}

pub(super) const CRLF: &[u8] = b"\r\n";
pub(super) const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";
pub(super) const CLOSE: &[u8] = b"connection: close\r\n";
pub(super) const KEEP_ALIVE: &[u8] = b"connection: keep-alive\r\n";
pub(super) const UPGRADE: &[u8] = b"connection: upgrade\r\n";
pub(super) const TE_TRAILERS: &[u8] = b"te: trailers\r\nconnection: te\r\n";
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n";

fn number(out: &mut Vec<u8>, mut number: u64, radix: u64) {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        let digit = (number % radix) as u8;
        *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        used += 1;
        number /= radix;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests;
