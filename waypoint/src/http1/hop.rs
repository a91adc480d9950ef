//! Which fields are for the next hop only (RFC 9110 section 7.6.1).
//!
//! Connection can name further fields, and so could make a proxy drop what another one relied upon (identity,
//! tokens, the client's address). What is meant for every recipient stays, whoever names it.

use http::header::{self, CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Removes the fields that are for one connection only: Connection and what it names, Keep-Alive, Proxy-Connection,
/// Transfer-Encoding, Upgrade, and TE but for `trailers`, which this proxy honours itself.
///
/// Trailer stays, as trailers are forwarded. Proxy-Authenticate and Proxy-Authorization stay: a waypoint is no
/// proxy to its clients, so they belong to somebody behind it. One pass over the names when there is nothing to do.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let mut hop_by_hop = false;
    let mut te = false;
    for name in headers.keys() {
        hop_by_hop |= is_hop_by_hop(name);
        te |= *name == TE;
    }
    if te {
        let trailers = takes_trailers(headers);
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    if !hop_by_hop {
        return;
    }
    for value in headers.get_all(CONNECTION).iter().cloned().collect::<Vec<_>>() {
        for option in options(&value) {
            if let Ok(name) = HeaderName::from_bytes(option)
                && !is_for_everyone(&name)
                && name != TE
            {
                headers.remove(name);
            }
        }
    }
    for name in [
        &CONNECTION,
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &TRANSFER_ENCODING,
        &UPGRADE,
    ] {
        headers.remove(name);
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The comma-separated members of a Connection, TE or Upgrade value, without white space and empty ones.
pub(super) fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|b| *b == b',')
        .map(|option| option.trim_ascii())
        .filter(|option| !option.is_empty())
}

/// TE lists `trailers`.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .any(|value| options(value).any(|o| o.eq_ignore_ascii_case(b"trailers")))
}

/// What a codec writes itself or must not write: hop-by-hop fields and body framing, but for TE.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || *name == CONTENT_LENGTH || *name == TE
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Lengths first: most names differ from all five in that.
    match name.as_str().len() {
        7 => *name == UPGRADE,
        10 => *name == CONNECTION || *name == KEEP_ALIVE,
        16 => *name == PROXY_CONNECTION,
        17 => *name == TRANSFER_ENCODING,
        _ => false,
    }
}

/// Which of `headers` may be written to another connection.
pub(super) struct EndToEnd<'a> {
    /// Set when there is a Connection field, whose options must be looked at.
    named_by: Option<&'a HeaderMap>,
}

impl<'a> EndToEnd<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        Self {
            named_by: headers.contains_key(CONNECTION).then_some(headers),
        }
    }

    pub(super) fn keeps(&self, name: &HeaderName) -> bool {
        !is_ours(name)
            && self
                .named_by
                .is_none_or(|headers| is_for_everyone(name) || !names(headers, name))
    }
}

fn names(headers: &HeaderMap, name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| options(value).any(|option| option.eq_ignore_ascii_case(name)))
}

/// Fields that Connection may not name ("intended for all recipients"): taking them away would change what the
/// message means, who sent it, or how it is traced.
fn is_for_everyone(name: &HeaderName) -> bool {
    const STANDARD: [HeaderName; 14] = [
        header::HOST,
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::CACHE_CONTROL,
        header::DATE,
        header::LOCATION,
        header::ORIGIN,
        header::RANGE,
        header::TRAILER,
        header::VIA,
        header::FORWARDED,
        header::EXPECT,
    ];
    let text = name.as_str();
    STANDARD.contains(name)
        || ["traceparent", "tracestate", "baggage", "b3", "x-request-id"].contains(&text)
        || ["content-", "x-forwarded-", "x-b3-"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests;
