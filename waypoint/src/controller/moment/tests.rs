#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn seconds_are_written_as_dates() {
    assert_eq!(written(0), "1970-01-01T00:00:00");
    assert_eq!(written(1_709_210_096), "2024-02-29T12:34:56");
    assert_eq!(written(u64::MAX), "1970-01-01T00:00:00");
}

#[test]
fn micros_have_six_digits() {
    let text = now_in_micros();
    assert_eq!(text.len(), "2026-11-26T00:00:00.000000Z".len(), "{text}");
    assert_eq!(now().len(), "2026-11-26T00:00:00Z".len());
}
