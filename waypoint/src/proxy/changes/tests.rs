#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A future that tells which generation it sees at each poll, and ends at the one it waits for.
async fn sees(changes: Arc<Changes>, end: u64, told: mpsc::UnboundedSender<u64>) {
    let looks = changes.clone();
    let looking = poll_fn(move |_| {
        let _ = told.send(looks.latest());
        if looks.latest() == end {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    changes.watched(pin!(looking)).await;
}

#[tokio::test]
async fn what_waits_is_polled_at_each_change() {
    let changes = Arc::new(Changes::default());
    let (told, mut seen) = mpsc::unbounded_channel();
    let watching = tokio::spawn(sees(Arc::clone(&changes), 3, told));
    assert_eq!(seen.recv().await, Some(0));
    for generation in 1..=3 {
        changes.tell(generation);
        // It may be polled more than once between two changes.
        while seen.recv().await.unwrap() != generation {}
    }
    watching.await.unwrap();
}

#[tokio::test]
async fn a_change_during_the_first_poll_is_not_lost() {
    let changes = Changes::default();
    let mut polls = 0;
    let inner = poll_fn(|_| {
        polls += 1;
        if polls == 1 {
            changes.tell(7);
            return Poll::Pending;
        }
        Poll::Ready(changes.latest())
    });
    assert_eq!(changes.watched(pin!(inner)).await, 7);
}

#[tokio::test]
async fn what_never_waits_is_polled_once() {
    let changes = Changes::default();
    let mut polls = 0;
    let inner = poll_fn(|_| {
        polls += 1;
        Poll::Ready(5)
    });
    assert_eq!(changes.watched(pin!(inner)).await, 5);
    assert_eq!(polls, 1);
}

/// Changes that come while one is being looked at, from another thread, at any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_many_changes_is_never_lost() {
    for _ in 0..2_000 {
        let changes = Arc::new(Changes::default());
        let (told, _seen) = mpsc::unbounded_channel();
        let watching = tokio::spawn(sees(Arc::clone(&changes), 3, told));
        let telling = tokio::task::spawn_blocking(move || (1..=3).for_each(|generation| changes.tell(generation)));
        telling.await.unwrap();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), watching);
        ended.await.expect("the last change was lost").unwrap();
    }
}
