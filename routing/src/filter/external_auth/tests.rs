//! Sets of header names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn names(patterns: &[&str]) -> HeaderNames {
    HeaderNames::Only(
        patterns
            .iter()
            .map(|text| HeaderPattern::parse(text).unwrap())
            .collect(),
    )
}

#[test]
fn names_prefixes_and_suffixes_ignore_case() {
    let set = names(&["X-User", "x-Auth-*", "*-Token"]);
    for (name, wanted) in [
        ("x-user", true),
        ("x-user-id", false),
        ("x-auth-", true),
        ("x-auth-request", true),
        ("x-aut", false),
        ("csrf-token", true),
        ("token", false),
    ] {
        assert_eq!(set.contain(&HeaderName::from_static(name)), wanted, "{name}");
    }
    let any = HeaderName::from_static("any");
    assert!(HeaderNames::All.contain(&any) && !HeaderNames::NONE.contain(&any));
}

#[test]
fn what_can_name_no_header_is_no_pattern() {
    for text in ["", "*", "**", "a b", "*x*", ":path", "x\n"] {
        assert_eq!(HeaderPattern::parse(text), None, "{text:?}");
    }
}
