//! The times at which requests of an open loop are due: rates, one after another.

use std::time::Duration;

const SECOND_NANOS: u128 = 1_000_000_000;

/// Rates with how long each holds; the last one holds for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    steps: Vec<Step>,
}

/// One rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    /// Requests a second; never 0.
    rate: u64,
    /// Since when, and the number of the first request in it.
    from: Duration,
    first: u64,
}

impl Schedule {
    /// One rate, of at least 1 a second.
    pub(crate) fn constant(rate: u64) -> Self {
        Self::steps([(rate, Duration::ZERO)])
    }

    /// These rates in turn, with how long each holds. None at all is 1 a second.
    pub(crate) fn steps(rates: impl IntoIterator<Item = (u64, Duration)>) -> Self {
        let (mut from, mut first) = (Duration::ZERO, 0_u64);
        let mut steps = Vec::new();
        for (rate, time) in rates {
            let rate = rate.max(1);
            steps.push(Step { rate, from, first });
            from = from.saturating_add(time);
            first = first.saturating_add(count(rate, time));
        }
        if steps.is_empty() {
            steps.push(Step { rate: 1, from, first });
        }
        Self { steps }
    }

    /// When the request of this number (from 0) is due, since the start.
    pub(crate) fn at(&self, number: u64) -> Duration {
        let step = self.last(|step| step.first <= number);
        let nanos = u128::from(number.saturating_sub(step.first)).saturating_mul(SECOND_NANOS) / u128::from(step.rate);
        let after = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        step.from.saturating_add(after)
    }

    /// How many are due by then.
    pub(crate) fn until(&self, time: Duration) -> u64 {
        let step = self.last(|step| step.from <= time);
        let within = time.saturating_sub(step.from);
        // The first of a step is due at its beginning.
        let due = u128::from(step.rate).saturating_mul(within.as_nanos()) / SECOND_NANOS;
        let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1);
        step.first.saturating_add(due)
    }

    fn last(&self, wanted: impl Fn(&Step) -> bool) -> Step {
        let found = self.steps.iter().rev().find(|step| wanted(step));
        found.or_else(|| self.steps.first()).copied().unwrap_or(Step {
            rate: 1,
            from: Duration::ZERO,
            first: 0,
        })
    }
}

/// Requests at this rate in this time; one that would be due at its very end is the next step's.
fn count(rate: u64, time: Duration) -> u64 {
    let count = u128::from(rate).saturating_mul(time.as_nanos()).div_ceil(SECOND_NANOS);
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
