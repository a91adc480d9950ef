//! Who listens gets what it wants, drops are told, and nobody is kept waiting.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Filter, MOST_LISTENERS, QUEUE, Tap};
use crate::live::Finished;
use crate::live::testing::Sample;
use serde_json::Value;
use std::time::Duration;

fn offer(tap: &Tap, status: u16, duration: Duration) {
    let sample = Sample::default();
    let outcome = sample.outcome(status, "-", duration);
    let finished = Finished {
        outcome: &outcome,
        rule: None,
        backend: None,
        head: None,
    };
    tap.offer(&finished, |_, _| (None, None));
}

const FAST: Duration = Duration::from_millis(1);

#[tokio::test]
async fn filters_and_limits() {
    let tap = Tap::default();
    offer(&tap, 200, FAST);
    let filter = Filter::parse("status=5xx&service=reviews&source=shop/cart&minMs=1&limit=2").unwrap();
    let mut tapped = tap.listen(filter).unwrap();
    offer(&tap, 200, FAST);
    offer(&tap, 503, Duration::from_micros(10));
    for status in [500, 503, 504] {
        offer(&tap, status, FAST);
    }
    for status in [500, 503] {
        let line = tapped.next().await.unwrap();
        assert!(line.ends_with('\n') && !line.contains("secret"), "{line}");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (event["status"].as_u64(), event["source"].as_str()),
            (Some(status), Some("shop/cart"))
        );
    }
    assert_eq!(tapped.next().await, None);
    for other in [
        "service=other",
        "source=else",
        "method=POST",
        "flag=UH",
        "route=x",
        "path=/x",
    ] {
        let mut tapped = tap.listen(Filter::parse(other).unwrap()).unwrap();
        offer(&tap, 200, FAST);
        assert!(tapped.events.try_recv().is_err(), "{other}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed() {
    let tap = Tap::default();
    let mut tapped = tap.listen(Filter::default()).unwrap();
    for _ in 0..QUEUE + 5 {
        offer(&tap, 200, FAST);
    }
    let first = tapped.next().await.unwrap();
    assert!(first.starts_with("{\"dropped\":5}\n"), "{first}");
    assert!(!tapped.next().await.unwrap().contains("dropped"));
}

#[tokio::test]
async fn one_of_so_many() {
    let tap = Tap::default();
    let mut tapped = tap.listen(Filter::parse("sample=0.25").unwrap()).unwrap();
    (0..8).for_each(|_| offer(&tap, 200, FAST));
    let mut count = 0;
    while tapped.events.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn listeners_are_bounded_and_leave() {
    let tap = Tap::default();
    let all: Vec<_> = (0..MOST_LISTENERS)
        .map(|_| tap.listen(Filter::default()).unwrap())
        .collect();
    assert!(tap.listen(Filter::default()).is_none());
    drop(all);
    assert!(!tap.any.load(std::sync::atomic::Ordering::Relaxed));
    assert!(tap.listen(Filter::default()).is_some());
}
