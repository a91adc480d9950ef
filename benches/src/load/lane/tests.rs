#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn what_is_a_good_answer() {
    let label = |status, grpc, length, expected| {
        let good = Good {
            bytes: expected,
            status: None,
        };
        let answer = Answer::http(status, grpc, length, good);
        (answer.label().into_owned(), answer.is_good)
    };
    let good = |text: &str| (text.to_owned(), true);
    let bad = |text: &str| (text.to_owned(), false);
    assert_eq!(label(200, None, 7, None), good("200"));
    assert_eq!(label(200, Some(0), 7, Some(7)), good("200"));
    assert_eq!(label(304, None, 0, None), good("304"));
    assert_eq!(label(503, None, 7, Some(7)), bad("503"));
    assert_eq!(label(200, Some(14), 0, Some(7)), bad("grpc-status 14"));
    assert_eq!(label(200, None, 6, Some(7)), bad("200 with 6 bytes"));
}

#[test]
fn a_refusal_can_be_what_is_wanted() {
    let good = Good {
        status: Some(http::StatusCode::FORBIDDEN),
        bytes: None,
    };
    assert!(Answer::http(403, None, 7, good).is_good);
    assert!(!Answer::http(200, None, 7, good).is_good);
    assert!(!Answer::http(403, Some(7), 7, good).is_good);
}
