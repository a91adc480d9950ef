//! What the waypoint itself changes in a request's headers: what a client may never set goes, what Istio adds comes.

use http::HeaderMap;
use http::header::{COOKIE, EXPECT, HeaderName, HeaderValue};
use mesh::{ClientCert, Topology};
use rand::Rng;
use std::net::IpAddr;
use telemetry::TraceContext;

/// `x-forwarded-for`.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-request-id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const HTTP: HeaderValue = HeaderValue::from_static("http");
/// W3C trace context, section 3.3.1.5: at least 512 bytes are to be carried; 3.3.1.1: 32 members at most.
const TRACESTATE_BYTES: usize = 512;
const TRACESTATE_MEMBERS: usize = 32;

/// Removes what a client may never set for itself: identity (XFCC), and Envoy's control headers, which would choose
/// upstream addresses, retries, time-outs or telemetry names.
pub(crate) fn strip_untrusted(headers: &mut HeaderMap) {
    headers.remove(FORWARDED_CLIENT_CERT);
    if headers.keys().any(is_control) {
        let names: Vec<HeaderName> = headers.keys().filter(|name| is_control(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// `x-forwarded-client-cert` as the Gateway wants it; `client` makes the client's element.
pub(crate) fn tell_client<'c>(
    headers: &mut HeaderMap,
    sent: Vec<HeaderValue>,
    rule: ClientCert,
    client: impl FnOnce() -> Option<&'c HeaderValue>,
) {
    if matches!(rule, ClientCert::Forward | ClientCert::Append) {
        for value in sent {
            headers.append(FORWARDED_CLIENT_CERT, value);
        }
    }
    if matches!(rule, ClientCert::Set | ClientCert::Append)
        && let Some(client) = client()
    {
        // Fields of one name are one list (RFC 9110 section 5.3).
        headers.append(FORWARDED_CLIENT_CERT, client.clone());
    }
}

/// What the client itself sent as `x-forwarded-client-cert`.
pub(crate) fn sent_client_cert(headers: &HeaderMap, rule: ClientCert) -> Vec<HeaderValue> {
    match rule {
        ClientCert::Remove | ClientCert::Set => Vec::new(),
        ClientCert::Forward | ClientCert::Append => headers.get_all(FORWARDED_CLIENT_CERT).iter().cloned().collect(),
    }
}

/// The client's address at the end of `x-forwarded-for` and `forwarded`, where the Gateway wants it there.
pub(crate) fn tell_address(headers: &mut HeaderMap, topology: Topology, client: IpAddr, host: &str) {
    if topology.tell_forwarded_for {
        append(headers, &FORWARDED_FOR, &client.to_string());
    }
    if topology.tell_forwarded {
        // RFC 7239 section 6: the address of IPv6 in brackets; section 4: quoted, as what follows may hold a colon.
        let node = match client {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("\"[{ip}]\""),
        };
        append(headers, &FORWARDED, &format!("for={node};host=\"{host}\";proto=http"));
    }
}

/// Adds an element to a list, in one field: many endpoints read the first field only.
fn append(headers: &mut HeaderMap, name: &HeaderName, element: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    // Never fails: valid values, an address and a parsed authority.
    if let Ok(list) = HeaderValue::try_from(list) {
        headers.insert(name, list);
    }
}

/// One Cookie field: HTTP/2 may send it in crumbs, which HTTP/1.1 has not (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let mut joined = Vec::new();
    for crumb in headers.get_all(COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Never fails: valid values and a separator make a valid value.
    if let Ok(joined) = HeaderValue::try_from(joined) {
        headers.insert(COOKIE, joined);
    }
}

fn is_control(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-envoy-")
}

/// The client's address as Istio's waypoint reads it: the right-most `x-forwarded-for` entry before those of `proxies`
/// trusted proxies; the peer where there is no such entry, or it is no address.
pub(crate) fn remote_ip(headers: &HeaderMap, peer: IpAddr, proxies: usize) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let entry = entries.nth(proxies).and_then(|entry| entry.trim().parse().ok());
    entry.unwrap_or(peer)
}

/// What every upstream request carries, whatever the client sent. `trace` is `None` when nothing is traced here:
/// the client's own context passes then, if it is one.
pub(crate) fn finish_request(headers: &mut HeaderMap, trace: Option<&TraceContext>, keep_expect: bool) {
    headers.insert(FORWARDED_PROTO, HTTP);
    name_request(headers);
    if !keep_expect {
        headers.remove(EXPECT);
    }
    let continued = match trace {
        Some(trace) => trace.parent.is_some(),
        None => TraceContext::extract(headers).is_some(),
    };
    if trace.is_none() && !continued {
        headers.remove(TRACEPARENT);
    }
    if !continued || !is_bounded_tracestate(headers) {
        headers.remove(TRACESTATE);
    }
}

/// Gives a request an id, if it has none.
pub(crate) fn name_request(headers: &mut HeaderMap) {
    if !headers.contains_key(REQUEST_ID) {
        headers.insert(REQUEST_ID, request_id());
    }
}

fn is_bounded_tracestate(headers: &HeaderMap) -> bool {
    let (mut bytes, mut members) = (0_usize, 0_usize);
    for value in headers.get_all(TRACESTATE) {
        bytes = bytes.saturating_add(value.len());
        members = members.saturating_add(value.as_bytes().split(|byte| *byte == b',').count());
    }
    bytes <= TRACESTATE_BYTES && members <= TRACESTATE_MEMBERS
}

/// A random (version 4) UUID, as Envoy gives requests without an id.
fn request_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let random: u128 = rand::rng().random();
    // Version 4, variant 10.
    let id = (random & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
    let mut text = String::with_capacity(36);
    for (index, byte) in id.to_be_bytes().iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
    HeaderValue::try_from(text).unwrap_or(HTTP)
}

#[cfg(test)]
mod tests;
