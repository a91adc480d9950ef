//! What happened when: a load second by second, so that a stall, a restart or a change of config is seen.

use serde::{Deserialize, Serialize};

/// Moments that are kept: a load of 20 minutes second by second, a longer one coarser.
const LIMIT: usize = 1_200;

/// A second of a load, or several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// When it ended, seconds since the measurement began.
    pub(crate) at: f64,
    /// Seconds that it stands for.
    pub(crate) seconds: u32,
    /// Requests a second that were wanted; None in a closed loop.
    pub(crate) wanted: Option<u64>,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    /// Of several seconds the worst one's.
    pub(crate) p99_us: f64,
    pub(crate) failed_per_second: f64,
}

/// All of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    moments: Vec<Moment>,
    /// Seconds that a moment stands for, as 2 to this power.
    doublings: u32,
}

impl Timeline {
    /// The next second.
    pub(crate) fn add(&mut self, second: Moment) {
        let width = 1_u32.checked_shl(self.doublings).unwrap_or(u32::MAX);
        match self.moments.last_mut() {
            Some(last) if last.seconds < width => *last = last.and(&second),
            _ => self.moments.push(second),
        }
        if self.moments.len() > LIMIT {
            let pairs = self.moments.chunks(2);
            self.moments = pairs
                .filter_map(|pair| pair.iter().copied().reduce(|a, b| a.and(&b)))
                .collect();
            self.doublings = self.doublings.saturating_add(1);
        }
    }

    /// In order.
    pub(crate) fn into_moments(self) -> Vec<Moment> {
        self.moments
    }
}

impl Moment {
    /// This one and the next as one.
    fn and(&self, next: &Self) -> Self {
        let (own, others) = (f64::from(self.seconds), f64::from(next.seconds));
        let mean = |a: f64, b: f64| (a * own + b * others) / (own + others).max(1.0);
        Self {
            at: next.at,
            seconds: self.seconds.saturating_add(next.seconds),
            wanted: next.wanted,
            per_second: mean(self.per_second, next.per_second),
            p50_us: mean(self.p50_us, next.p50_us),
            p99_us: self.p99_us.max(next.p99_us),
            failed_per_second: mean(self.failed_per_second, next.failed_per_second),
        }
    }
}

#[cfg(test)]
mod tests;
