//! What a budget allows, over time and over threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use std::sync::Arc;

fn at(millis: u64) -> Duration {
    Duration::from_millis(1_000_000 + millis)
}

fn limits(percent: u32, least: u32) -> RetryLimits {
    RetryLimits {
        percent,
        least_count: least,
        ..RetryLimits::default()
    }
}

/// How many of `tries` retries at one moment are allowed.
fn allowed(budget: &RetryBudget, now: Duration, tries: u32) -> u32 {
    (0..tries).map(|_| u32::from(budget.retry(now))).sum()
}

#[test]
fn a_fifth_of_what_is_sent_may_be_retries() {
    let budget = RetryBudget::new(limits(20, 0));
    for i in 0..800 {
        budget.request(at(i * 10));
    }
    // 200 of 1,000.
    assert_eq!(allowed(&budget, at(8000), 500), 200);
    assert!(!budget.retry(at(8000)));
}

#[test]
fn what_is_older_than_the_interval_does_not_count() {
    let budget = RetryBudget::new(limits(50, 0));
    for _ in 0..100 {
        budget.request(at(0));
    }
    assert_eq!(allowed(&budget, at(9000), 500), 100);
    assert!(
        !budget.retry(at(10_001)),
        "the requests are forgotten, the retries are not"
    );
    for _ in 0..100 {
        budget.request(at(30_000));
    }
    assert_eq!(allowed(&budget, at(30_000), 500), 100);
}

#[test]
fn some_retries_are_always_allowed() {
    let budget = RetryBudget::new(limits(0, 3));
    budget.request(at(0));
    assert_eq!(allowed(&budget, at(0), 10), 3);
    assert_eq!(allowed(&budget, at(500), 10), 0);
    assert_eq!(allowed(&budget, at(1100), 10), 3, "a second later");
}

#[test]
fn threads_lose_nothing() {
    let budget = Arc::new(RetryBudget::new(limits(50, 0)));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let budget = Arc::clone(&budget);
            std::thread::spawn(move || (0..1000).for_each(|_| budget.request(at(0))))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(allowed(&budget, at(0), 20_000), 8000);
}
