//! Who may ask the admin port: it listens on loopback, where any page in a browser on the same machine can reach it. A page
//! comes by a name of its own (DNS rebinding) or tells its origin; both are refused.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use request::Authority;

/// Why a request is refused, or `None`.
pub(super) fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"))
    };
    let host = text(HOST);
    if let Some(host) = host {
        let local = Authority::parse(host).is_ok_and(|host| host.ip().is_some() || host.host() == "localhost");
        if !local {
            return Some("Host must be an address or localhost: a page that came by another name may not ask");
        }
    }
    let own = |origin: &str| host.is_some_and(|host| origin.strip_prefix("http://") == Some(host));
    match text(ORIGIN) {
        Some(origin) if !own(origin) => Some("Origin must be the admin page itself: another page may not ask"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
