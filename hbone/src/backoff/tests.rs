#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

#[test]
fn waits_double_up_to_half_a_minute() {
    let mut backoff = Backoff::new(Duration::from_millis(500));
    for expected in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
        let wait = backoff.next().as_secs_f64();
        assert!(
            (expected * 0.9..=expected * 1.1).contains(&wait),
            "{wait} for {expected}"
        );
    }
    backoff.failures = u32::MAX;
    assert!(backoff.next() <= Duration::from_secs(33));
}
