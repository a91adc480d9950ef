#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn seen(seconds: u64, count: u64, millis: u64) -> Seen {
    let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
    latencies.record_n(millis * 1_000_000, count).unwrap();
    Seen {
        time: Duration::from_secs(seconds),
        wanted: Some(100),
        answers: vec![("200".into(), count)],
        latencies,
        proxy: None,
    }
}

#[test]
fn a_line_tells_of_its_second_only() {
    let mut view = View::new(String::new(), Duration::from_secs(10));
    assert!(view.second(&seen(0, 0, 1)).is_none());
    view.second(&seen(1, 100, 1)).unwrap();
    let mut two = seen(2, 100, 1);
    two.latencies.record_n(8_000_000, 200).unwrap();
    two.answers = vec![("200".into(), 300)];
    let second = view.second(&two).unwrap();
    let line = line(&two, &second);
    assert_eq!(line, "   2 s       200/s   p50   8.00 ms   p99   8.00 ms   200: 300");
    // The next step's latencies begin anew.
    let next = view.second(&seen(3, 400, 2)).unwrap();
    assert!((1_990_000..2_010_000).contains(&next.p99), "{}", next.p99);
}

#[test]
fn the_panel_shows_how_far_it_is_and_the_tail() {
    let panel = |seen: &Seen| panel("title", seen, Duration::from_secs(10), Some(99.6), &[1, 7, 0]);
    let lines = panel(&seen(5, 10, 3));
    let text = lines.join("\n");
    assert!(
        text.contains("5 of 10 s") && text.contains("rate     100/s, 100/s wanted") && text.contains("p99 3.00 ms"),
        "{text}"
    );
    assert_eq!(lines[1].matches('█').count(), 20);
    assert!(text.ends_with("▂█▁"), "{text}");
    let watched = Seen {
        proxy: Some("0.34 cores, 21.0 MiB".into()),
        ..seen(5, 10, 3)
    };
    assert_eq!(panel(&watched).last().unwrap(), "proxy    0.34 cores, 21.0 MiB");
}
