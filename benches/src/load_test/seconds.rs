//! A load second by second, by looks at counters that only grow.

use super::view::Seen;
use crate::process::count;
use crate::report::{Moment, Timeline};
use hdrhistogram::Histogram;
use std::time::Duration;

/// How long a moment is at least.
const SECOND: Duration = Duration::from_secs(1);

/// The seconds so far.
#[derive(Default)]
pub(super) struct Seconds {
    last: Option<Last>,
    timeline: Timeline,
}

/// What was seen at the end of the last one.
struct Last {
    time: Duration,
    window: usize,
    answered: u64,
    failed: u64,
    latencies: Histogram<u64>,
}

impl Seconds {
    /// What happened since the last second, when another one has passed.
    pub(super) fn look(&mut self, seen: &Seen) -> Option<Moment> {
        let Some(last) = &self.last else {
            self.last = Some(Last::of(seen));
            return None;
        };
        let time = seen.time.saturating_sub(last.time);
        if time < SECOND {
            return None;
        }
        let mut since = seen.latencies.clone();
        // A new step begins with nothing: then all of it is new.
        if seen.window == last.window && since.subtract(&last.latencies).is_err() {
            since.clone_from(&seen.latencies);
        }
        let each = |now: u64, before: u64| count(now.saturating_sub(before)) / time.as_secs_f64();
        let micros = |quantile| count(since.value_at_quantile(quantile)) / 1e3;
        let moment = Moment {
            at: seen.time.as_secs_f64(),
            seconds: 1,
            wanted: seen.wanted,
            per_second: each(seen.answered(), last.answered),
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            failed_per_second: each(seen.failed, last.failed),
        };
        self.last = Some(Last::of(seen));
        self.timeline.add(moment);
        Some(moment)
    }

    /// All of them.
    pub(super) fn into_moments(self) -> Vec<Moment> {
        self.timeline.into_moments()
    }
}

impl Last {
    fn of(seen: &Seen) -> Self {
        Self {
            time: seen.time,
            window: seen.window,
            answered: seen.answered(),
            failed: seen.failed,
            latencies: seen.latencies.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
