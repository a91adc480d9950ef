//! Claims and request principals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{ClaimPattern, Claims, RequestPrincipal};
use crate::text::{Pattern, TextSet};
use serde_json::{Value, json};

fn claims(payload: Value) -> Claims {
    Claims::from_payload(payload.as_object().unwrap().clone())
}

fn holds(path: &[&str], value: &str, payload: Value) -> bool {
    let values = TextSet::new([Pattern::new(value)]);
    ClaimPattern {
        path: path.iter().map(|name| (*name).into()).collect(),
        values,
    }
    .matches(&claims(payload))
}

#[test]
fn strings_and_lists_of_strings_only() {
    assert!(holds(&["team"], "red", json!({"team": "red"})));
    assert!(holds(&["team"], "red", json!({"team": [7, "blue", "red"]})));
    assert!(holds(&["team"], "r*", json!({"team": ["red"]})));
    assert!(holds(&["org", "team"], "red", json!({"org": {"team": "red"}})));
    for other in [
        json!(true),
        json!(1),
        json!(null),
        json!({"red": 1}),
        json!([["red"]]),
        json!([]),
        json!(""),
    ] {
        for value in ["red", "*", "true", "1"] {
            assert!(
                !holds(&["team"], value, json!({"team": other.clone()})),
                "{other} as {value}"
            );
        }
    }
    assert!(!holds(&["org", "team"], "red", json!({"org": [{"team": "red"}]})));
    assert!(!holds(
        &["org", "team"],
        "red",
        json!({"org.team": "red", "team": "red"})
    ));
    assert!(!holds(&["team"], "red", json!({"team": "notred"})));
}

#[test]
fn a_principal_needs_issuer_and_subject() {
    assert_eq!(claims(json!({"iss": "i", "sub": "s"})).principal, "i/s");
    for lacking in [
        json!({"iss": "i"}),
        json!({"sub": "s"}),
        json!({"iss": "i", "sub": ""}),
        json!({}),
    ] {
        assert_eq!(claims(lacking).principal, "");
    }
}

#[test]
fn request_principals() {
    for (pattern, issuer, subject, matches) in [
        ("https://id.example/u", "https://id.example", "u", true),
        ("https://id.example/u", "https:", "/id.example/u", false),
        ("https://id.example/*", "https://id.example", "anyone", true),
        ("https://id.example/*", "https://id.example", "", false),
        ("https://id.example/*", "https://id.example/x", "y", false),
        ("https://id*", "https://id.example", "u", false),
        ("id*", "id.example", "u", true),
        ("id/ro*", "id", "root", true),
        ("id/ro*", "id", "aroot", false),
        ("*/root", "id", "root", true),
        ("*/root", "id", "aroot", false),
        ("*.example/root", "id.example", "root", true),
        ("*ot", "id", "root", true),
        ("*", "id", "root", true),
        ("*", "", "root", false),
        ("id/a*b", "id", "a*b", true),
        ("id/*a*", "id", "*ab", true),
        ("id", "id", "", true),
        ("id", "id", "u", false),
    ] {
        let claims = claims(json!({"iss": issuer, "sub": subject}));
        assert_eq!(
            RequestPrincipal::new(pattern).matches(&claims),
            matches,
            "{pattern} on {issuer} {subject}"
        );
    }
    assert!(!RequestPrincipal::new("*").matches(&claims(json!({"iss": "id", "sub": ["root"]}))));
}
