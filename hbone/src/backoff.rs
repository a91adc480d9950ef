//! The waits between attempts to reach a source of certificates, or a control plane, that fails.

use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(30);

/// The waits: each is twice the one before, up to 30 s, give or take a tenth.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    /// Begins with `first`.
    pub(crate) fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        wait.min(LONGEST).mul_f64(rand::random_range(0.9..=1.1))
    }
}

#[cfg(test)]
mod tests;
