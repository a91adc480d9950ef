#![allow(clippy::unwrap_used)]

use super::*;
use std::future::poll_fn;
use std::pin::pin;
use tokio::time::{advance, sleep};

async fn both(a: &Drain, b: &Drain) {
    tokio::select! {
        () = a.started() => {}
        () = b.started() => {}
    }
}

/// What `quiet` says now.
async fn now(quiet: &mut Quiet<'_>) -> Poll<Over> {
    poll_fn(|cx| Poll::Ready(quiet.poll_over(cx))).await
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_starts_is_told_once() {
    let (process, aged) = (Drain::new(), Drain::new());
    let drains = [&process, &aged];
    let (started, idle) = (pin!(both(&process, &aged)), pin!(sleep(IDLE_TIMEOUT)));
    let mut quiet = Quiet::new(&drains, started, idle);
    assert_eq!(now(&mut quiet).await, Poll::Pending);
    aged.start();
    assert_eq!(now(&mut quiet).await, Poll::Ready(Over::Leaving));
    process.start();
    assert_eq!(now(&mut quiet).await, Poll::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_drain_wakes_who_waits() {
    let process = Drain::new();
    let waiting = tokio::spawn({
        let process = process.clone();
        async move {
            let drains = [&process];
            let (started, idle) = (pin!(process.started()), pin!(sleep(IDLE_TIMEOUT)));
            let mut quiet = Quiet::new(&drains, started, idle);
            poll_fn(|cx| quiet.poll_over(cx)).await
        }
    });
    tokio::task::yield_now().await;
    process.start();
    assert_eq!(waiting.await.unwrap(), Over::Leaving);
}

#[tokio::test(start_paused = true)]
async fn a_request_puts_idleness_off() {
    let process = Drain::new();
    let drains = [&process];
    let (started, idle) = (pin!(process.started()), pin!(sleep(IDLE_TIMEOUT)));
    let mut quiet = Quiet::new(&drains, started, idle);
    assert_eq!(now(&mut quiet).await, Poll::Pending);
    quiet.used();
    advance(IDLE_TIMEOUT + Duration::from_millis(1)).await;
    assert_eq!(now(&mut quiet).await, Poll::Pending);
    advance(IDLE_TIMEOUT + Duration::from_millis(1)).await;
    assert_eq!(now(&mut quiet).await, Poll::Ready(Over::Idle));
    // A connection that has its reasons to stay is asked again.
    assert_eq!(now(&mut quiet).await, Poll::Pending);
    advance(IDLE_TIMEOUT + Duration::from_millis(1)).await;
    assert_eq!(now(&mut quiet).await, Poll::Ready(Over::Idle));
}
