#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

const FOO: &str = "https://www.foo.com";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    pairs.iter().map(pair).collect()
}

fn cors(origins: &[&str], credentials: bool, listed: &[&str]) -> Cors {
    let listed = Listed::of(listed).unwrap();
    Cors {
        origins: origins.iter().map(|text| OriginPattern::parse(text).unwrap()).collect(),
        credentials,
        methods: listed.clone(),
        headers: listed.clone(),
        exposed: listed,
        max_age_seconds: Cors::DEFAULT_MAX_AGE_SECONDS,
        forwards_unmatched: false,
    }
}

fn preflight(cors: &Cors, origin: &'static str) -> HeaderMap {
    let request = headers(&[
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-a, x-b"),
    ]);
    cors.preflight(&Method::OPTIONS, &request).unwrap()
}

#[test]
fn origins_are_scheme_host_and_port() {
    for (pattern, matching, other) in [
        (
            FOO,
            &[FOO, "https://WWW.foo.com", "https://www.foo.com:443"][..],
            &[
                "http://www.foo.com",
                "https://foo.com",
                "https://www.foo.com:8443",
                "https://www.foo.com.evil.com",
                "https://www.foo.com/",
                "https://evil@www.foo.com",
                "null",
                "",
            ][..],
        ),
        (
            "https://*.bar.com",
            &["https://www.bar.com", "https://a.b.bar.com", "https://.bar.com.bar.com"],
            &[
                "https://bar.com",
                "https://.bar.com",
                "https://xbar.com",
                "https://a.bar.com:8443",
                "http://a.bar.com",
            ],
        ),
        (
            "http://*:8080",
            &["http://a:8080", "http://[::1]:8080"],
            &["http://a", "http://a:80", "http://:8080", "https://a:8080"],
        ),
        (
            "http://a:80",
            &["http://a", "http://a:80"],
            &["http://a:080x", "http://a:65616"],
        ),
        ("*", &[FOO, "http://a:1", "null"], &[]),
    ] {
        let parsed = OriginPattern::parse(pattern).unwrap();
        for origin in matching {
            assert!(parsed.matches(origin), "{pattern} {origin}");
        }
        for origin in other {
            assert!(!parsed.matches(origin), "{pattern} {origin}");
        }
    }
}

#[test]
fn what_is_no_origin_is_refused() {
    for text in [
        "",
        "**",
        "foo.com",
        "ftp://foo.com",
        "https://",
        "https://a.*.com",
        "https://*a.com",
        "https://a/",
        "https://a:0",
        "https://a:99999",
        "https://a b",
        "https://a..b",
        "https://*.",
    ] {
        assert!(OriginPattern::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn only_options_with_origin_and_method_is_a_preflight() {
    let cors = cors(&["*"], false, &["PUT"]);
    let whole = [("origin", FOO), ("access-control-request-method", "PUT")];
    assert!(cors.preflight(&Method::OPTIONS, &headers(&whole)).is_some());
    assert!(cors.preflight(&Method::GET, &headers(&whole)).is_none());
    assert!(cors.preflight(&Method::OPTIONS, &headers(&whole[..1])).is_none());
    assert!(cors.preflight(&Method::OPTIONS, &headers(&whole[1..])).is_none());
    let two = [("origin", FOO), ("origin", "https://evil.com"), whole[1]];
    assert!(cors.preflight(&Method::OPTIONS, &headers(&two)).is_none());
}

#[test]
fn a_preflight_from_an_allowed_origin_is_told_everything() {
    let answer = preflight(&cors(&[FOO], true, &["GET", "x-3"]), FOO);
    let wanted = headers(&[
        ("vary", "Origin"),
        ("access-control-allow-origin", FOO),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, x-3"),
        ("access-control-allow-headers", "GET, x-3"),
        ("access-control-expose-headers", "GET, x-3"),
        ("access-control-max-age", "5"),
    ]);
    assert_eq!(answer, wanted);
}

#[test]
fn a_preflight_from_another_origin_is_told_nothing() {
    let answer = preflight(&cors(&[FOO], true, &["*"]), "https://evil.com");
    assert_eq!(answer, headers(&[("vary", "Origin")]));
    assert_eq!(
        preflight(&cors(&[], false, &["*"]), FOO),
        headers(&[("vary", "Origin")])
    );
}

#[test]
fn a_star_is_never_sent_where_credentials_are_allowed() {
    let answer = preflight(&cors(&["*"], true, &["*"]), FOO);
    assert!(answer.values().all(|value| value != "*"), "{answer:?}");
    assert_eq!(answer["access-control-allow-origin"], FOO);
    assert_eq!(answer["access-control-allow-methods"], "PUT");
    assert_eq!(answer["access-control-allow-headers"], "x-a, x-b");

    let bare = headers(&[("origin", FOO), ("access-control-request-method", "no method")]);
    let answer = cors(&["*"], true, &["*"]).preflight(&Method::OPTIONS, &bare).unwrap();
    assert!(
        !answer.contains_key("access-control-allow-methods") && !answer.contains_key("access-control-allow-headers")
    );
}

#[test]
fn without_credentials_stars_are_for_all() {
    let answer = preflight(&cors(&["*"], false, &["*"]), FOO);
    assert_eq!(answer["access-control-allow-origin"], "*");
    assert_eq!(answer["access-control-expose-headers"], "*");
    assert_eq!(answer["access-control-allow-headers"], "x-a, x-b");
    assert!(!answer.contains_key("vary") && !answer.contains_key("access-control-allow-credentials"));
}

#[test]
fn what_is_not_listed_is_not_sent() {
    let answer = preflight(&cors(&[FOO], false, &[]), FOO);
    let wanted = headers(&[
        ("vary", "Origin"),
        ("access-control-allow-origin", FOO),
        ("access-control-max-age", "5"),
    ]);
    assert_eq!(answer, wanted);
}

#[test]
fn the_backends_cors_headers_are_replaced_and_its_others_stay() {
    let backend = headers(&[
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "99"),
        ("vary", "Accept, origin"),
        ("x-mine", "1"),
    ]);
    let cors = cors(&[FOO], false, &[]);
    let mut allowed = backend.clone();
    cors.apply(Some(&HeaderValue::from_static(FOO)), &mut allowed);
    let wanted = [
        ("access-control-allow-origin", FOO),
        ("vary", "Accept, origin"),
        ("x-mine", "1"),
    ];
    assert_eq!(allowed, headers(&wanted));
    for origin in [None, Some(&HeaderValue::from_static("https://evil.com"))] {
        let mut response = backend.clone();
        cors.apply(origin, &mut response);
        assert_eq!(response, headers(&wanted[1..]));
    }
}

#[test]
fn names_are_tokens() {
    assert_eq!(Listed::of(&[]), Ok(Listed::Nothing));
    assert_eq!(Listed::of(&["x-a", "*"]), Ok(Listed::Everything));
    assert!(Listed::of(&["x-a", "x b"]).is_err() && Listed::of(&[""]).is_err());
}
