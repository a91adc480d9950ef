#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

/// Of 1,000 evenly spread numbers, the ends among them.
fn taken(share: Share) -> usize {
    (0..1_000).filter(|i| share.takes(u64::MAX / 999 * i)).count()
}

#[test]
fn per_cents_are_exact() {
    for (percent, wanted) in [(0.0, 0), (50.0, 500), (100.0, 1_000), (-1.0, 0), (1e9, 1_000), (0.1, 1)] {
        assert_eq!(taken(Share::percent(percent)), wanted, "{percent}");
    }
    assert_eq!(Share::percent(0.0001).numerator, 1);
    assert_eq!(taken(Share::percent(f64::NAN)), 0);
    assert_eq!(taken(Share::ALL), 1_000);
}
