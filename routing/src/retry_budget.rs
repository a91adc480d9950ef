//! Retry budgets (GEP-3388): how many of the requests to a Service may be retries.
//!
//! Requests and retries are counted in slots of time, each a tenth of the interval: a slot is one atomic word, so that
//! counting is one compare-and-swap and nobody waits. What lies before the interval falls out slot by slot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// `retryConstraint`, with the defaults of XBackendTrafficPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// Of all requests in an interval, so many per cent may be retries. Default 20.
    pub percent: u32,
    /// Default 10 s.
    pub interval: Duration,
    /// But so many retries are always allowed ... Default 10.
    pub least_count: u32,
    /// ... in this time. Default 1 s.
    pub least_interval: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            percent: 20,
            interval: Duration::from_secs(10),
            least_count: 10,
            least_interval: Duration::from_secs(1),
        }
    }
}

/// What was sent to one Service port of late. Shared by all requests.
#[derive(Debug)]
pub struct RetryBudget {
    limits: RetryLimits,
    requests: Window,
    retries: Window,
    /// Retries again, over `least_interval`.
    least: Window,
}

impl RetryBudget {
    /// Nothing was sent yet.
    pub fn new(limits: RetryLimits) -> Self {
        Self {
            limits,
            requests: Window::new(limits.interval),
            retries: Window::new(limits.interval),
            least: Window::new(limits.least_interval),
        }
    }

    /// What it was made of.
    pub fn limits(&self) -> RetryLimits {
        self.limits
    }

    /// Counts a request (not a retry). `now` is a time since any fixed moment.
    pub fn request(&self, now: Duration) {
        self.requests.add(now);
    }

    /// Whether one more retry may be; it is counted then.
    pub fn retry(&self, now: Duration) -> bool {
        let retries = self.retries.sum(now);
        // All that goes there counts, retries too.
        let sent = self.requests.sum(now).saturating_add(retries).saturating_add(1);
        let share = retries.saturating_add(1).saturating_mul(100) <= sent.saturating_mul(self.limits.percent.into());
        let allowed = share || self.least.sum(now) < u64::from(self.limits.least_count);
        if allowed {
            self.retries.add(now);
            self.least.add(now);
        }
        allowed
    }
}

/// Slots of a window.
const SLOTS: u64 = 10;

/// A sliding count.
#[derive(Debug)]
struct Window {
    slot: Duration,
    /// The upper half of each says which slot of time it counts, the lower half how much.
    slots: [AtomicU64; SLOTS as usize],
}

impl Window {
    fn new(interval: Duration) -> Self {
        Self {
            slot: (interval / SLOTS as u32).max(Duration::from_millis(1)),
            slots: Default::default(),
        }
    }

    /// Slots of time are numbered from 1: 0 is a slot that nobody has used. (32 bits of the shortest last 13 years.)
    fn number(&self, now: Duration) -> u64 {
        let number = now.as_nanos() / self.slot.as_nanos().max(1);
        u64::try_from(number)
            .unwrap_or(u64::MAX)
            .min(0xffff_fffe)
            .saturating_add(1)
    }

    fn add(&self, now: Duration) {
        let number = self.number(now);
        let Some(slot) = self.slots.get((number % SLOTS) as usize) else {
            return;
        };
        let grown = |word: u64| {
            let count = if word >> 32 == number { word & 0xffff_ffff } else { 0 };
            Some(number << 32 | count.saturating_add(1).min(0xffff_ffff))
        };
        // Never fails: a word always comes of it.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
    }

    fn sum(&self, now: Duration) -> u64 {
        let number = self.number(now);
        let words = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        let recent = words.filter(|word| number.saturating_sub(word >> 32) < SLOTS && word >> 32 != 0);
        recent.map(|word| word & 0xffff_ffff).sum()
    }
}

#[cfg(test)]
mod tests;
