#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn replaced(pattern: &str, rewrite: &str, path: &str) -> String {
    let regex = RegexRewrite::new(pattern, rewrite, &RegexRoom::default()).unwrap();
    regex.replace(path).unwrap().into_owned()
}

#[test]
fn groups_and_every_match() {
    for (pattern, rewrite, path, wanted) in [
        (
            "^/service/([^/]+)(/.*)$",
            r"/customprefix/\2/\1",
            "/service/foo/v1/api",
            "/customprefix//v1/api/foo",
        ),
        ("a", "b", "/banana", "/bbnbnb"),
        ("x", "y", "/banana", "/banana"),
        ("^/", "", "/a", "/a"),
        (".*", "", "/a", "/"),
        ("(a)|(b)", r"<\1\2\0>", "/ab", "/<aa><bb>"),
        ("", "-", "/a", "/-/-a-"),
    ] {
        assert_eq!(replaced(pattern, rewrite, path), wanted, "{pattern} {rewrite}");
    }
}

#[test]
fn what_grows_without_end_is_refused() {
    let regex = RegexRewrite::new("", &"x".repeat(1_000), &RegexRoom::default()).unwrap();
    assert_eq!(regex.replace(&format!("/{}", "a".repeat(10_000))), Err(PathTooLong));
}

#[test]
fn rewrites_that_cannot_be() {
    for (pattern, rewrite) in [
        ("(", "/"),
        ("a", r"\1"),
        ("a", r"\x"),
        ("a", r"\"),
        ("(a{1000}){1000}", "/"),
    ] {
        assert!(
            RegexRewrite::new(pattern, rewrite, &RegexRoom::default()).is_err(),
            "{pattern} {rewrite}"
        );
    }
}
