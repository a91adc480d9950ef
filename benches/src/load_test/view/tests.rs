#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn seen(seconds: u64, count: u64, millis: u64) -> Seen {
    let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
    latencies.record_n(millis * 1_000_000, count).unwrap();
    Seen {
        time: Duration::from_secs(seconds),
        window: 0,
        wanted: Some(100),
        failed: 0,
        answers: vec![("200".into(), count)],
        latencies,
        proxy: None,
    }
}

#[test]
fn a_line_tells_of_its_second() {
    let second = Moment {
        at: 2.0,
        seconds: 1,
        wanted: None,
        per_second: 200.0,
        p50_us: 8_000.0,
        p99_us: 9_500.0,
        failed_per_second: 0.0,
    };
    let watched = Seen {
        proxy: Some("0.34 cores".into()),
        ..seen(2, 300, 1)
    };
    assert_eq!(
        line(&watched, &second),
        "   2 s       200/s   p50   8.00 ms   p99   9.50 ms   200: 300   proxy: 0.34 cores"
    );
}

#[test]
fn the_panel_shows_how_far_it_is_and_the_tail() {
    let panel = |seen: &Seen| panel("title", seen, Duration::from_secs(10), Some(99.6), &[1.0, 7.0, 0.0]);
    let lines = panel(&seen(5, 10, 3));
    let text = lines.join("\n");
    assert!(
        text.contains("5 of 10 s") && text.contains("rate     100/s, 100/s wanted") && text.contains("p99 3.00 ms"),
        "{text}"
    );
    assert_eq!(lines[1].matches('█').count(), 20);
    assert!(text.ends_with("▁█▁"), "{text}");
    let watched = Seen {
        proxy: Some("0.34 cores, 21.0 MiB".into()),
        ..seen(5, 10, 3)
    };
    assert_eq!(panel(&watched).last().unwrap(), "proxy    0.34 cores, 21.0 MiB");
}
