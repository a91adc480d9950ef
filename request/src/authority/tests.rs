#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;

#[test]
fn accepted_forms() {
    for (text, host, port, ip) in [
        ("reviews", "reviews", None, None),
        ("Reviews.Default:9080", "reviews.default", Some(9080), None),
        ("svc.example.", "svc.example", None, None),
        ("svc.example.:80", "svc.example", Some(80), None),
        ("a_b.example:65535", "a_b.example", Some(65535), None),
        ("xn--svc-.example", "xn--svc-.example", None, None),
        ("reviews.2024", "reviews.2024", None, None),
        ("10.0.0.1:1", "10.0.0.1", Some(1), Some("10.0.0.1")),
        ("[::1]:80", "[::1]", Some(80), Some("::1")),
        ("[FD00:0:0::1]", "[fd00::1]", None, Some("fd00::1")),
        ("svc.example:10000", "svc.example", Some(10000), None),
        ("svc.example:10", "svc.example", Some(10), None),
    ] {
        let parsed = Authority::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((parsed.host(), parsed.port()), (host, port), "{text}");
        assert_eq!(parsed.ip(), ip.map(|ip| ip.parse().unwrap()), "{text}");
        let whole = port.map_or(host.to_owned(), |port| format!("{host}:{port}"));
        assert_eq!(parsed.as_str(), whole, "{text}");
    }
}

#[test]
fn refused_forms() {
    for text in [
        "",
        ".",
        "..",
        ":80",
        "a..b",
        ".a",
        "a.:",
        "a:",
        "a:0",
        "a:080",
        "a:65536",
        "a:100000",
        "a:-1",
        "a:+80",
        "a:http",
        "a:80:81",
        "a b",
        " a",
        "a ",
        "a\t",
        "a\0",
        "a\r\nb",
        "user@a",
        "a/x",
        "a#x",
        "a?x",
        "a\\b",
        "a,b",
        "a%65",
        "*",
        "*.example",
        "é",
        "svc。example",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::1]x",
        "[::1]80",
        "[fe80::1%25eth0]",
        "[10.0.0.1]",
        "10.1",
        "10.0.0.256",
        "010.0.0.1",
        "1",
    ] {
        assert!(Authority::parse(text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn limits() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{label}");
    assert_eq!(Authority::parse(&format!("{name}:65535")).unwrap().host(), name);
    assert!(Authority::parse(&format!("a{name}")).is_err());
    assert!(Authority::parse(&"a".repeat(64)).is_err());
    assert!(Authority::parse(&"a.".repeat(200)).is_err());
}

#[test]
fn an_unwritten_port_is_the_default_one() {
    let parse = |text| Authority::parse(text).unwrap();
    assert!(parse("a:80").agrees_with(&parse("A"), 80));
    assert!(!parse("a:80").agrees_with(&parse("a"), 443));
    assert!(!parse("a").agrees_with(&parse("b"), 80));
}

proptest! {
    #[test]
    fn parsing_is_idempotent_and_total(text in "(\\PC{0,12}|[a-zA-Z0-9.:\\[\\]@%-]{0,16})") {
        if let Ok(once) = Authority::parse(&text) {
            prop_assert_eq!(Authority::parse(once.as_str()), Ok(once.clone()));
            prop_assert!(!once.as_str().bytes().any(|b| b.is_ascii_uppercase()));
        }
    }
}
