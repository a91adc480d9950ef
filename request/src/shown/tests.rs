//! What is shown, cut, and never shown.

#![allow(clippy::unwrap_used)]

use super::{is_secret, shown, shown_header};
use http::HeaderName;

#[test]
fn plain_values_are_quoted() {
    assert_eq!(shown("yes"), "\"yes\"");
    assert_eq!(shown("a \"b\"\n"), "\"a \\\"b\\\"\\n\"");
    assert_eq!(shown_header(&HeaderName::from_static("x-canary"), "1"), "\"1\"");
}

#[test]
fn long_values_are_cut_between_characters() {
    let text = "é".repeat(201);
    assert_eq!(shown(&text), format!("{:?} and 2 bytes more", "é".repeat(200)));
}

#[test]
fn credentials_are_never_shown() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln";
    for value in [token, &format!("Bearer {token}"), &format!("a=1;jwt={token}")] {
        assert!(!shown(value).contains("eyJ"), "{value}");
    }
    for name in [
        "authorization",
        "cookie",
        "set-cookie",
        "proxy-authorization",
        "x-api-key",
        "x-amz-security-token",
    ] {
        let name = HeaderName::try_from(name).unwrap();
        assert!(is_secret(&name));
        assert!(!shown_header(&name, "hunter2").contains("hunter2"));
    }
}
