//! How long a watch that failed waits, so that an API server that comes back is not run over.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Before the first retry.
const FIRST: Duration = Duration::from_millis(250);
/// Before any retry.
const MOST: Duration = Duration::from_secs(15);

/// Doubles; half of it is chance.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed again: wait so long.
    pub(super) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(10)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        half + half.mul_f64(chance())
    }
}

/// 0.0 to 1.0. Every `RandomState` has its own keys: enough to spread retries.
fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
