#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use request::{Head, Mode};

fn location(redirect: &Redirect, target: &str, scheme: &str, service_port: u16, prefix: Option<&str>) -> String {
    let request = http::Request::builder()
        .uri(target)
        .header("host", "reviews.ns:9080")
        .body(())
        .unwrap();
    let head = Head::parse(&request.into_parts().0, Mode::Base).unwrap();
    redirect.location(&head, scheme, service_port, prefix)
}

const NOTHING: Redirect = Redirect {
    scheme: None,
    hostname: None,
    port: RedirectPort::OrImplied(None),
    path: None,
    status: 302,
};

#[test]
fn ports_and_schemes() {
    // (filter's scheme, filter's port, request's scheme, service port, wanted)
    for (scheme, port, from, service_port, wanted) in [
        (None, None, "http", 80, "http://example.org/a?b"),
        (None, None, "http", 8080, "http://example.org:8080/a?b"),
        (None, None, "https", 443, "https://example.org/a?b"),
        (None, None, "https", 8443, "https://example.org:8443/a?b"),
        (None, Some(80), "http", 8080, "http://example.org/a?b"),
        (None, Some(443), "https", 8443, "https://example.org/a?b"),
        (None, Some(8080), "http", 80, "http://example.org:8080/a?b"),
        (None, Some(443), "http", 80, "http://example.org:443/a?b"),
        (Some("https"), None, "http", 8080, "https://example.org/a?b"),
        (Some("https"), Some(443), "http", 80, "https://example.org/a?b"),
        (Some("https"), Some(8443), "http", 80, "https://example.org:8443/a?b"),
        (Some("https"), Some(80), "http", 80, "https://example.org:80/a?b"),
        (Some("http"), None, "https", 8443, "http://example.org/a?b"),
        (Some("http"), Some(8080), "https", 443, "http://example.org:8080/a?b"),
        (Some("gopher"), None, "http", 80, "gopher://example.org:80/a?b"),
    ] {
        let redirect = Redirect {
            scheme: scheme.map(str::to_owned),
            hostname: Some("example.org".to_owned()),
            port: RedirectPort::OrImplied(port),
            ..NOTHING
        };
        assert_eq!(
            location(&redirect, "/a?b", from, service_port, None),
            wanted,
            "{scheme:?} {port:?}"
        );
    }
}

#[test]
fn host_and_path() {
    // Without a hostname the request's is kept, but never its port.
    assert_eq!(
        location(&NOTHING, "/a/../b?c", "http", 80, None),
        "http://reviews.ns/b?c"
    );
    let full = Redirect {
        path: Some(PathRewrite::Full("/new".to_owned())),
        ..NOTHING
    };
    assert_eq!(
        location(&full, "/a?b", "http", 80, Some("/a")),
        "http://reviews.ns/new?b"
    );
    let prefix = Redirect {
        path: Some(PathRewrite::Prefix("/".to_owned())),
        ..NOTHING
    };
    assert_eq!(location(&prefix, "/a", "http", 80, Some("/a")), "http://reviews.ns/");
    assert_eq!(
        location(&prefix, "/a//evil.example", "http", 80, Some("/a")),
        "http://reviews.ns/evil.example"
    );
}

/// What Envoy answers for a VirtualService: nothing is left out, nothing is made up.
#[test]
fn a_virtual_service_keeps_what_is_written() {
    for (scheme, authority, port, wanted) in [
        (None, None, None, "http://reviews.ns:9080/a?b"),
        (None, None, Some(80), "http://reviews.ns:80/a?b"),
        (None, Some("example.org:81"), None, "http://example.org:81/a?b"),
        (Some("https"), None, None, "https://reviews.ns:9080/a?b"),
        (
            Some("https"),
            Some("example.org"),
            Some(8443),
            "https://example.org:8443/a?b",
        ),
    ] {
        let redirect = Redirect {
            scheme: scheme.map(str::to_owned),
            hostname: authority.map(str::to_owned),
            port: RedirectPort::OrWritten(port),
            ..NOTHING
        };
        assert_eq!(location(&redirect, "/a?b", "http", 9080, None), wanted);
    }
}
