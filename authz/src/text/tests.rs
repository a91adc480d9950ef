//! Patterns, whole and in pieces.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{FEW, Pattern, TextSet};
use proptest::prelude::*;

fn set(patterns: &[&str]) -> TextSet {
    TextSet::new(patterns.iter().map(|text| Pattern::new(text)))
}

#[test]
fn four_forms() {
    for (pattern, yes, no) in [
        ("cart", &["cart"][..], &["", "car", "carts", "Cart"][..]),
        ("cart*", &["cart", "carts"], &["", "car", "acart"]),
        ("*cart", &["cart", "mycart"], &["", "carts"]),
        ("*", &["x", "*"], &[""]),
        ("*a*", &["a*", "ba*"], &["a", "bab"]),
        ("a*b", &["a*b"], &["ab", "axb"]),
    ] {
        for text in yes {
            assert!(
                set(&[pattern]).matches(text) && Pattern::new(pattern).matches(text),
                "{pattern} on {text:?}"
            );
        }
        for text in no {
            assert!(
                !set(&[pattern]).matches(text) && !Pattern::new(pattern).matches(text),
                "{pattern} on {text:?}"
            );
        }
    }
}

#[test]
fn a_present_header_may_be_empty() {
    assert!(set(&["*"]).matches_there(""));
    assert!(!set(&["*"]).matches(""));
    assert!(!set(&["x"]).matches_there(""));
}

#[test]
fn long_lists_are_hashed_and_still_hold() {
    let names: Vec<String> = (0..4 * FEW).map(|n| format!("name-{n}")).collect();
    let long = TextSet::new(names.iter().map(|name| Pattern::new(name)));
    assert!(long.few.is_empty());
    assert!(names.iter().all(|name| long.matches(name)));
    assert!(!long.matches("name-") && !long.matches("name-1000"));
    assert!(long.matches_pieces(|| [&b"name"[..], b"-7"].into_iter()));
}

proptest! {
    /// A pattern says what the regular expression it stands for says.
    #[test]
    fn as_a_regex(pattern in "[ab*]{1,4}", text in "[ab*]{0,6}") {
        let inner = |text: &str| regex::escape(text);
        let regex = match pattern.as_str() {
            "*" => "^.+$".to_owned(),
            p if p.starts_with('*') => format!("{}$", inner(&p[1..])),
            p if p.ends_with('*') => format!("^{}", inner(&p[..p.len() - 1])),
            p => format!("^{}$", inner(p)),
        };
        let naive = regex::Regex::new(&regex).unwrap().is_match(&text);
        prop_assert_eq!(set(&[&pattern]).matches(&text), naive);
    }

    /// Where a text is cut changes nothing.
    #[test]
    fn pieces_are_the_whole(pattern in "[ab,]{0,3}[ab*]", pieces in prop::collection::vec("[ab,]{0,3}", 1..4)) {
        let (set, whole) = (set(&[&pattern]), pieces.concat());
        prop_assert_eq!(set.matches_pieces(|| pieces.iter().map(String::as_bytes)), set.matches_there(&whole));
    }
}
