#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn five_standard_deviations_are_the_bound() {
    // 10,000 at 10 %: the deviation is 30.
    assert!(plausible(1_000, 10_000, 0.1));
    assert!(plausible(1_150, 10_000, 0.1));
    assert!(!plausible(1_151, 10_000, 0.1));
    assert!(plausible(850, 10_000, 0.1));
    assert!(!plausible(849, 10_000, 0.1));
}

#[test]
fn no_requests_prove_nothing() {
    assert!(!plausible(0, 0, 0.1));
}
