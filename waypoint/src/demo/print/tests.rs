#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn thousands_are_grouped_from_the_right() {
    let written: Vec<_> = [0, 999, 1_000, 21_034, 1_234_567].into_iter().map(thousands).collect();
    assert_eq!(written, ["0", "999", "1,000", "21,034", "1,234,567"]);
}

#[test]
fn bars_and_columns_keep_their_bounds() {
    assert_eq!(bar(0.1, 20), "██");
    assert_eq!(bar(7.0, 2), "██");
    assert_eq!([0.0, 0.1, 0.5, 1.0, 7.0].map(column), ['▁', '▂', '▅', '█', '█']);
    assert!((share(1, 4) - 0.25).abs() < f64::EPSILON);
    assert!(share(0, 0).abs() < f64::EPSILON);
}
