#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn answers_are_counted_by_kind_and_failures_told() {
    let counted = Counted::default();
    for (label, is_failure) in [
        ("200", false),
        ("200", false),
        ("204", false),
        ("503", true),
        ("503", true),
    ] {
        counted.add(label, is_failure);
    }
    assert_eq!((counted.answered(), counted.failed()), (5, 2));
    let all = counted.answers();
    let all: Vec<_> = all.iter().map(|(label, count)| (label.as_str(), *count)).collect();
    assert_eq!(all, [("200", 2), ("204", 1), ("503", 2)]);
    assert_eq!(counted.failures(), ["503 (2)"]);
}

#[test]
fn kinds_of_answers_are_bounded() {
    let counted = Counted::default();
    for number in 0..1_000 {
        counted.add(&format!("error {number}"), true);
    }
    assert_eq!(counted.answers().len(), LABELS_LIMIT + 1);
    assert_eq!(counted.answers().iter().map(|(_, count)| count).sum::<u64>(), 1_000);
}

#[test]
fn latencies_are_kept_by_window() {
    let counted = Counted::default();
    for (window, millis) in [(0, 1), (0, 2), (0, 1_000_000), (2, 5), (WINDOWS_LIMIT, 7)] {
        counted.record(window, Duration::from_millis(millis));
    }
    let latencies = counted.latencies(0).unwrap();
    assert_eq!(latencies.len(), 3);
    let median = Duration::from_nanos(latencies.value_at_quantile(0.5));
    let wanted = Duration::from_micros(1_990)..Duration::from_micros(2_010);
    assert!(wanted.contains(&median), "{median:?}");
    let most = Duration::from_nanos(latencies.max());
    assert!(most.abs_diff(LONGEST) < LONGEST / 500, "{most:?}");
    let counts = [1, 2, WINDOWS_LIMIT].map(|window| counted.latencies(window).unwrap().len());
    assert_eq!(counts, [0, 1, 0]);
}
