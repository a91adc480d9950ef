//! Keys of conditions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Attribute, attribute};

#[test]
fn nested_claims() {
    let claim = |key: &str| match attribute(key) {
        Ok(Attribute::Claim(path)) => Some(path.join("|")),
        _ => None,
    };
    for (key, path) in [
        ("request.auth.claims[a]", Some("a")),
        ("request.auth.claims[a][b-c][d]", Some("a|b-c|d")),
        ("request.auth.claims[https://x/y]", Some("https://x/y")),
        ("request.auth.claims[a[b]", Some("a[b")),
        ("request.auth.claims[a]b]", Some("a]b")),
        ("request.auth.claims[]", None),
        ("request.auth.claims", None),
        ("request.auth.claims[a", None),
        ("request.auth.claimsa]", None),
    ] {
        assert_eq!(claim(key).as_deref(), path, "{key}");
    }
}

#[test]
fn header_names_ignore_case() {
    assert_eq!(
        attribute("request.headers[X-Env]"),
        Ok(Attribute::Header("x-env".to_owned()))
    );
    assert!(attribute("request.headers").is_err());
    assert!(attribute("request.header[x]").is_err());
}
