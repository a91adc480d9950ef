#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::Mode::{Base, DecodeAndMergeSlashes as Decode, MergeSlashes as Merge, None as Unchanged};
use super::*;
use proptest::prelude::*;

const ALL: [Mode; 4] = [Unchanged, Base, Merge, Decode];

fn normal(raw: &str, mode: Mode) -> String {
    Path::normalise(raw, mode)
        .unwrap_or_else(|e| panic!("{raw} in {mode:?}: {e}"))
        .as_str()
        .to_owned()
}

/// `(raw, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES)`: what an Envoy with Istio's settings sends upstream.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("/", "/", "/", "/"),
    ("/shop/cart", "/shop/cart", "/shop/cart", "/shop/cart"),
    ("/shop/cart/", "/shop/cart/", "/shop/cart/", "/shop/cart/"),
    // dot segments
    ("/a/./b", "/a/b", "/a/b", "/a/b"),
    ("/a/../b", "/b", "/b", "/b"),
    ("/..", "/", "/", "/"),
    ("/../../b", "/b", "/b", "/b"),
    ("/a/b/..", "/a/", "/a/", "/a/"),
    ("/a/b/.", "/a/b/", "/a/b/", "/a/b/"),
    ("/a/...", "/a/...", "/a/...", "/a/..."),
    ("/a../b", "/a../b", "/a../b", "/a../b"),
    ("/.a/..b/c..", "/.a/..b/c..", "/.a/..b/c..", "/.a/..b/c.."),
    // dot segments with parameters
    ("/a/..;/b", "/b", "/b", "/b"),
    ("/a/..;x=y;z/b", "/b", "/b", "/b"),
    ("/a/.;/b/.;", "/a/b/", "/a/b/", "/a/b/"),
    ("/a/..;%00", "/", "/", "/"),
    ("/a/..;\\b", "/", "/", "/"),
    ("/a/..;%2fb", "/", "/", "/b"),
    ("/a/..;%5cb", "/", "/", "/"),
    ("/a%2f..;/b", "/a%2f..;/b", "/a%2f..;/b", "/b"),
    ("/a/...;/b", "/a/...;/b", "/a/...;/b", "/a/...;/b"),
    ("/a;/..;/b", "/b", "/b", "/b"),
    ("/a/..%3b/b", "/a/..%3b/b", "/a/..%3b/b", "/a/..%3b/b"),
    ("/a;b/;../c", "/a;b/;../c", "/a;b/;../c", "/a;b/;../c"),
    ("/a//../b", "/a/b", "/a/b", "/a/b"),
    ("/a//..//b", "/a//b", "/a/b", "/a/b"),
    // escaped dots
    ("/a/%2e%2E/b", "/b", "/b", "/b"),
    ("/a/.%2e/b", "/b", "/b", "/b"),
    ("/a/%2e/b", "/a/b", "/a/b", "/a/b"),
    ("/a%2e%2e/b", "/a../b", "/a../b", "/a../b"),
    (
        "/a/%252e%252e/b",
        "/a/%252e%252e/b",
        "/a/%252e%252e/b",
        "/a/%252e%252e/b",
    ),
    // backslashes
    ("/a\\b", "/a/b", "/a/b", "/a/b"),
    ("/a/\\/\\b", "/a////b", "/a/b", "/a/b"),
    ("/a\\..\\b", "/b", "/b", "/b"),
    // escaped slashes
    ("/a%2fb", "/a%2fb", "/a%2fb", "/a/b"),
    ("/a%2F..%5cb", "/a%2F..%5cb", "/a%2F..%5cb", "/b"),
    ("/a%2f/b", "/a%2f/b", "/a%2f/b", "/a/b"),
    ("/a%252fb", "/a%252fb", "/a%252fb", "/a%252fb"),
    ("/%2e%2e%2fb", "/..%2fb", "/..%2fb", "/b"),
    // slashes
    ("//a//b//", "//a//b//", "/a/b/", "/a/b/"),
    // other escapes: unreserved ones are decoded, the rest stays as written
    ("/%61%41%30%2d%2D%5f%7e", "/aA0--_~", "/aA0--_~", "/aA0--_~"),
    (
        "/%20%3b%3F%23%25%c3%A9%0d",
        "/%20%3b%3F%23%25%c3%A9%0d",
        "/%20%3b%3F%23%25%c3%A9%0d",
        "/%20%3b%3F%23%25%c3%A9%0d",
    ),
    ("/a%", "/a%", "/a%", "/a%"),
    ("/a%4", "/a%4", "/a%4", "/a%4"),
    ("/a%zz", "/a%zz", "/a%zz", "/a%zz"),
    (
        "/a\"b^c{d|e}",
        "/a%22b%5Ec%7Bd%7Ce%7D",
        "/a%22b%5Ec%7Bd%7Ce%7D",
        "/a%22b%5Ec%7Bd%7Ce%7D",
    ),
    (
        "/a[b]@!$&'()*+,;=:",
        "/a[b]@!$&'()*+,;=:",
        "/a[b]@!$&'()*+,;=:",
        "/a[b]@!$&'()*+,;=:",
    ),
    // decoding must not build an escape that was not there
    ("/%%30%30", "/%2500", "/%2500", "/%2500"),
    ("/%%300", "/%2500", "/%2500", "/%2500"),
    ("/%2%46", "/%252F", "/%252F", "/%252F"),
    ("/%%32%46..", "/%252F..", "/%252F..", "/%252F.."),
    ("/%/../30", "/30", "/30", "/30"),
    ("/%2%2fe", "/%2%2fe", "/%2%2fe", "/%2/e"),
];

#[test]
fn the_four_modes() {
    for (raw, base, merge, decode) in TABLE {
        assert_eq!(normal(raw, Unchanged), *raw);
        assert_eq!(normal(raw, Base), *base, "{raw} in BASE");
        assert_eq!(normal(raw, Merge), *merge, "{raw} in MERGE_SLASHES");
        assert_eq!(normal(raw, Decode), *decode, "{raw} in DECODE_AND_MERGE_SLASHES");
    }
}

#[test]
fn refused_in_every_mode() {
    for raw in [
        "",
        "a",
        "\\a",
        "?x",
        "**",
        "*/",
        "/a b",
        "/a\0",
        "/a\t",
        "/a\x7f",
        "/a?b",
        "/a#b",
        "/ä",
        "/a\r\nX: y",
    ] {
        for mode in ALL {
            assert!(Path::normalise(raw, mode).is_err(), "{raw:?} in {mode:?}");
        }
    }
}

#[test]
fn an_escaped_nul_is_refused_unless_nothing_is_normalised() {
    assert_eq!(normal("/a%00", Unchanged), "/a%00");
    for mode in [Base, Merge, Decode] {
        assert!(Path::normalise("/a%00", mode).is_err());
        // ... even where the segment would have been dropped, as in Envoy
        assert!(Path::normalise("/%00/../a", mode).is_err());
    }
}

#[test]
fn disguised_dot_segments_with_parameters_are_refused() {
    for raw in ["/a/%2e%2e;/b", "/a/.%2e;x/b", "/a/%2e;", "/a\\..;/b", "/a/.\\..;/b"] {
        assert_eq!(normal(raw, Unchanged), raw);
        for mode in [Base, Merge, Decode] {
            assert!(Path::normalise(raw, mode).is_err(), "{raw} in {mode:?}");
        }
    }
    assert!(Path::normalise("/a%5c..;/b", Decode).is_err());
    assert_eq!(normal("/a%5c..;/b", Base), "/a%5c..;/b");
}

#[test]
fn the_asterisk_stands_alone() {
    for mode in ALL {
        assert_eq!(normal("*", mode), "*");
    }
}

/// Strings in which every rule meets every other.
fn hostile_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "\\", ".", "..", "%", "%2e", "%2E", "%2f", "%2F", "%5c", "%5C", "%25", "%30", "%32", "%46", "%6",
        "0", "2", "5", "c", "F", "e", "a", ";", ";", "..;", "{", "%zz", "%c0",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn normalising_twice_changes_nothing(raw in hostile_path(), mode in prop::sample::select(ALL.to_vec())) {
        if let Ok(once) = Path::normalise(&raw, mode) {
            prop_assert_eq!(Path::normalise(once.as_str(), mode), Ok(once.clone()), "{} -> {} in {:?}", raw, once, mode);
        }
    }

    #[test]
    fn no_dot_segment_backslash_or_double_slash_is_left(raw in hostile_path()) {
        for mode in [Base, Merge, Decode] {
            let Ok(path) = Path::normalise(&raw, mode) else { continue };
            prop_assert!(!path.as_str().contains('\\'));
            let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
            prop_assert!(!path.as_str().split('/').any(is_dots), "{} -> {}", raw, path);
            prop_assert!(!path.as_str().to_lowercase().contains("%2e"));
            if mode != Base {
                prop_assert!(!path.as_str().contains("//"));
            }
            if mode == Decode {
                prop_assert!(!path.as_str().to_lowercase().contains("%2f"), "{} -> {}", raw, path);
            }
        }
    }

    #[test]
    fn total(raw in "\\PC{0,20}") {
        for mode in ALL {
            let _ = Path::normalise(&raw, mode);
        }
    }
}
