//! Waiting for a condition, never for a time: the only place with a poll interval.

use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a thing that should happen soon may take on a machine that runs many tests at once.
pub const SOON: Duration = Duration::from_secs(20);

/// Polls until `check` is true; panics with `what` after [`SOON`].
pub async fn until(what: &str, check: impl AsyncFnMut() -> bool) {
    until_within(SOON, what, check).await;
}

/// The same with another limit, for large programs that we did not write.
pub async fn until_within(limit: Duration, what: &str, mut check: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + limit;
    while !check().await {
        assert!(Instant::now() < end, "waited {limit:?} in vain until {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Polls until `check` gives a value; panics with `what` and its last complaint after [`SOON`].
pub async fn until_ok<T>(what: &str, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + SOON;
    loop {
        match check().await {
            Ok(value) => return value,
            Err(why) => assert!(Instant::now() < end, "waited {SOON:?} in vain until {what}: {why}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The future's value, or a panic with `what` after [`SOON`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(SOON, what, future).await
}

/// The future's value, or a panic with `what` after `limit`.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took over {limit:?}"))
}
