#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;
use request::{Head, Mode};

fn head(target: &str) -> Head {
    let request = http::Request::builder()
        .uri(target)
        .header("host", "reviews")
        .body(())
        .unwrap();
    Head::parse(&request.into_parts().0, Mode::None).unwrap()
}

fn rewritten(target: &str, path: PathRewrite, prefix: Option<&str>) -> String {
    Rewrite {
        hostname: None,
        path: Some(path),
    }
    .path_and_query(&head(target), prefix)
    .unwrap()
    .unwrap()
}

/// The table in the Gateway API's HTTPPathModifier, and more.
#[test]
fn replace_prefix_match() {
    for (target, prefix, replacement, wanted) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo?q=/foo", "/foo", "/", "/?q=/foo"),
        ("/foo/bar?q", "/foo", "/x/y", "/x/y/bar?q"),
        ("/foo?", "/foo", "/x", "/x?"),
        ("/", "/", "/x", "/x/"),
        ("/bar", "/", "/x", "/x/bar"),
        ("/bar", "/", "/", "/bar"),
        ("/foo//bar", "/foo", "/", "/bar"),
        ("/foo//bar", "/foo", "/x", "/x//bar"),
        ("/foo/bar", "/foo", "x", "/x/bar"),
        ("/foo/bar", "/foo", "//evil", "/evil/bar"),
    ] {
        let text = rewritten(target, PathRewrite::prefix(replacement).unwrap(), Some(prefix));
        assert_eq!(text, wanted, "{target}: {prefix} by {replacement:?}");
    }
    assert_eq!(
        rewritten("/foo?q", PathRewrite::Prefix("/x".to_owned()), None),
        "/foo?q"
    );
}

#[test]
fn replace_full_path() {
    let full = |target, text| rewritten(target, PathRewrite::full(text).unwrap(), None);
    assert_eq!(full("/foo/bar?q=1", "/one"), "/one?q=1");
    assert_eq!(full("/foo", "/one/"), "/one/");
    assert_eq!(full("/foo", ""), "/");
    assert_eq!(full("/foo", "one"), "/one");
    assert_eq!(full("/foo?q=1", "/one?p=2"), "/one?p=2");
}

#[test]
fn without_a_path_nothing_is_rewritten() {
    assert_eq!(Rewrite::default().path_and_query(&head("/foo"), Some("/foo")), Ok(None));
}

#[test]
fn replacements_that_cannot_be_sent_are_refused() {
    for text in ["/a b", "/ä", "/a\r\nX: y", "/a#b", "/\0"] {
        assert!(
            PathRewrite::full(text).is_err() && PathRewrite::prefix(text).is_err(),
            "{text:?}"
        );
    }
    assert!(PathRewrite::full(&"a".repeat(1_025)).is_err());
}

/// As Envoy does it for a VirtualService: characters, not elements.
#[test]
fn what_matched_is_replaced_as_written() {
    for (target, prefix, replacement, wanted) in [
        ("/foo/bar?q", Some("/foo"), "/xyz", "/xyz/bar?q"),
        ("/foo/bar", Some("/foo/"), "/", "/bar"),
        ("/foo/bar", Some("/foo"), "/", "//bar"),
        ("/foobar", Some("/foo"), "/x", "/xbar"),
        ("/FOO/bar", Some("/foo"), "/x", "/x/bar"),
        ("/bar", Some("/"), "/x", "/xbar"),
        ("/bar?q", None, "/x", "/x?q"),
    ] {
        let text = rewritten(target, PathRewrite::matched(replacement).unwrap(), prefix);
        assert_eq!(text, wanted, "{target}: {prefix:?} by {replacement:?}");
    }
    assert!(PathRewrite::matched("x").is_err() && PathRewrite::matched("").is_err());
}

proptest! {
    #[test]
    fn never_empty_never_two_slashes_in_front(rest in "(/[a/]{0,5})?", replacement in "[x/]{0,4}") {
        let text = rewritten(&format!("/foo{rest}"), PathRewrite::Prefix(replacement), Some("/foo"));
        prop_assert!(text.starts_with('/') && !text.starts_with("//"), "{}", text);
    }
}
