#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn second(number: u32) -> Moment {
    Moment {
        at: f64::from(number + 1),
        seconds: 1,
        wanted: Some(100),
        per_second: 100.0,
        p50_us: 10.0,
        p99_us: if number == 777 { 900.0 } else { 20.0 },
        failed_per_second: if number == 777 { 8.0 } else { 0.0 },
    }
}

#[test]
fn a_long_load_is_kept_coarser_and_loses_no_spike() {
    let mut timeline = Timeline::default();
    (0..10_000).for_each(|number| timeline.add(second(number)));
    let moments = timeline.into_moments();
    assert!(moments.len() <= LIMIT, "{}", moments.len());
    assert_eq!(moments.iter().map(|moment| moment.seconds).sum::<u32>(), 10_000);
    assert_eq!(moments.last().unwrap().at, 10_000.0);
    assert!(moments.windows(2).all(|pair| pair[0].at < pair[1].at));
    let worst: Vec<_> = moments.iter().filter(|moment| moment.p99_us > 800.0).collect();
    assert_eq!(worst.len(), 1);
    assert!((worst[0].failed_per_second * f64::from(worst[0].seconds) - 8.0).abs() < 1e-9);
    assert!(moments.iter().all(|moment| (moment.per_second - 100.0).abs() < 1e-9));
}

#[test]
fn a_short_one_is_kept_as_it_was() {
    let mut timeline = Timeline::default();
    (0..60).for_each(|number| timeline.add(second(number)));
    assert_eq!(timeline.into_moments(), (0..60).map(second).collect::<Vec<_>>());
}
