#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[tokio::test(start_paused = true)]
async fn waits_for_the_last_guard_and_no_longer() {
    let drain = Drain::new();
    let first = drain.guard();
    let second = drain.guard();
    drain.start();
    let begun = tokio::time::Instant::now();
    let waiting = tokio::spawn({
        let drain = drain.clone();
        async move { drain.wait(Duration::from_secs(60)).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(first);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    drop(second);
    assert_eq!(waiting.await.unwrap(), Drained::Idle);
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn gives_up_after_the_grace_period() {
    let drain = Drain::new();
    let _guard = drain.guard();
    assert_eq!(drain.wait(Duration::from_secs(3)).await, Drained::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn started_resolves_for_those_who_ask_before_and_after() {
    let drain = Drain::new();
    assert!(!drain.is_started());
    let before = tokio::spawn({
        let drain = drain.clone();
        async move { drain.started().await }
    });
    tokio::task::yield_now().await;
    assert!(!before.is_finished());
    drain.start();
    drain.start();
    before.await.unwrap();
    drain.started().await;
    assert!(drain.is_started());
}

#[tokio::test(start_paused = true)]
async fn idle_without_guards_needs_no_waiting() {
    assert_eq!(Drain::new().wait(Duration::ZERO).await, Drained::Idle);
}
