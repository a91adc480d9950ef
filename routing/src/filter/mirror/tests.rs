#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

#[test]
fn the_share_is_exact() {
    let sampled = |numerator, denominator| {
        let mirror = Mirror {
            cluster: None,
            numerator,
            denominator,
        };
        // 1,000 evenly spread numbers, the ends among them.
        (0..1_000).filter(|i| mirror.samples(u64::MAX / 999 * i)).count()
    };
    assert_eq!(sampled(1, 1), 1_000);
    assert_eq!(sampled(0, 100), 0);
    assert_eq!(sampled(25, 50), 500);
    assert_eq!(sampled(20, 100), 200);
    assert_eq!(sampled(200, 100), 1_000);
    assert_eq!(sampled(u32::MAX, u32::MAX), 1_000);
    assert_eq!(sampled(1, 0), 0);
}
