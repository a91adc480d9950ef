#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn seen(seconds: u64, window: usize, times: &[(u64, u64)]) -> Seen {
    let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
    for (millis, many) in times {
        latencies.record_n(millis * 1_000_000, *many).unwrap();
    }
    Seen {
        time: Duration::from_secs(seconds),
        window,
        wanted: Some(100),
        answers: vec![("200".into(), seconds * 100)],
        failed: seconds * 3,
        latencies,
        proxy: None,
    }
}

#[test]
fn a_second_tells_of_itself_only() {
    let mut seconds = Seconds::default();
    assert!(seconds.look(&seen(0, 0, &[])).is_none());
    assert!(seconds.look(&seen(0, 0, &[(1, 50)])).is_none(), "it has not passed");
    seconds.look(&seen(1, 0, &[(1, 100)])).unwrap();
    let second = seconds.look(&seen(2, 0, &[(1, 100), (8, 100)])).unwrap();
    assert_eq!(
        (second.at, second.per_second, second.failed_per_second),
        (2.0, 100.0, 3.0)
    );
    assert!((second.p50_us - 8_000.0).abs() < 10.0, "{second:?}");
    assert_eq!(seconds.into_moments().len(), 2);
}

#[test]
fn the_next_step_begins_anew_however_many_it_has_answered() {
    let mut seconds = Seconds::default();
    seconds.look(&seen(0, 0, &[]));
    seconds.look(&seen(1, 0, &[(1, 100)]));
    let next = seconds.look(&seen(2, 1, &[(1, 150), (2, 150)])).unwrap();
    assert!((next.p50_us - 1_000.0).abs() < 10.0, "{next:?}");
    assert!((next.p99_us - 2_000.0).abs() < 10.0, "{next:?}");
}
