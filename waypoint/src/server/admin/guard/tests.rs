//! Names and origins that may ask, and those that may not.

#![allow(clippy::unwrap_used)]

use super::refusal;
use http::{HeaderMap, HeaderName, HeaderValue};

fn refused(headers: &[(&str, &str)]) -> bool {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        );
    }
    refusal(&map).is_some()
}

#[test]
fn curl_and_the_page_itself_may_ask() {
    for host in [
        "127.0.0.1:15000",
        "[::1]:15000",
        "localhost:15000",
        "localhost",
        "10.1.2.3",
    ] {
        assert!(!refused(&[("host", host)]), "{host}");
        assert!(
            !refused(&[("host", host), ("origin", &format!("http://{host}"))]),
            "{host}"
        );
    }
    assert!(!refused(&[]));
}

#[test]
fn other_pages_may_not() {
    for host in ["evil.example:15000", "127.0.0.1.evil.example", "", "a b"] {
        assert!(refused(&[("host", host)]), "{host}");
    }
    for origin in [
        "http://evil.example",
        "null",
        "https://127.0.0.1:15000",
        "http://127.0.0.1:1",
        "http://localhost:15000",
    ] {
        assert!(refused(&[("host", "127.0.0.1:15000"), ("origin", origin)]), "{origin}");
    }
}
