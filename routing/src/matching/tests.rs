#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn regex(pattern: &str) -> TextMatch {
    TextMatch::regex(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"))
}

#[test]
fn patterns_match_the_whole_text() {
    assert!(regex("a|ab").matches("ab"));
    assert!(!regex("a").matches("ba") && !regex("a").matches("ab") && !regex("a").matches("a\n"));
    assert!(!regex("a|b").matches("ax") && !regex("a|b").matches("xb"));
    assert!(!regex("(?m)a").matches("a\na") && !regex("(?m)^a$").matches("b\na"));
    assert!(regex("(?i)canary").matches("CaNaRy"));
    assert!(regex("").matches("") && !regex("").matches("a"));
    assert!(regex("^a$").matches("a"));
    assert!(regex("ä.*").matches("äö") && !regex(r"\d").matches("٣"));
}

#[test]
fn limits_and_faults() {
    assert!(TextMatch::regex("(").is_err());
    assert!(TextMatch::regex("a)|(b").is_err());
    assert!(TextMatch::regex(r"(a)\1").is_err());
    assert!(TextMatch::regex(&"ä".repeat(1_024)).is_ok());
    assert!(TextMatch::regex(&"a".repeat(1_025)).unwrap_err().contains("1025"));
    assert!(PathMatch::regex(r"(?:\w{1000}){1000}").is_err());
    // What users write fits.
    assert!(TextMatch::regex(r"^(.*?;)?\s*(canary=[\w.-]{1,64})(;.*)?$").is_ok());
    assert!(PathMatch::regex(r"/api/v[0-9]+/[\w-]{1,63}/.*").is_ok());
}

#[test]
fn the_source_is_told_as_written() {
    let TextMatch::Regex(compiled) = regex("a)?(b".replace(")?(", "?").as_str()) else {
        panic!("no regex")
    };
    assert_eq!(source(&compiled), "a?b");
}
