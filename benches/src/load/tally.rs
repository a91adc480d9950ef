//! What came of the requests: counts while the load runs, latencies when it has ended.

use crate::fault::{During, Fault};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Latencies beyond this count as this.
const LONGEST: Duration = Duration::from_secs(60);
/// Kinds of answers that are told apart: the rest is counted as one.
const LABELS_LIMIT: usize = 32;
/// What is counted without a look into the map.
const OK: &str = "200";

/// Counted while it runs.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    answered: AtomicU64,
    failed: AtomicU64,
    ok: AtomicU64,
    /// By status or error, but for 200; and whether it is a failure.
    others: Mutex<BTreeMap<String, (u64, bool)>>,
}

/// What was seen while it recorded, and what failed since the start.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Nanoseconds from when the request was due to the answer's last byte.
    pub(crate) latencies: Histogram<u64>,
    /// Failures with their counts, in words.
    pub(crate) failures: Vec<String>,
    /// Connections that broke.
    pub(crate) lost_connections: u64,
    /// Requests whose answer never came.
    pub(crate) unanswered: u64,
}

impl Counted {
    pub(super) fn add(&self, label: &str, is_failure: bool) {
        self.answered.fetch_add(1, Relaxed);
        if is_failure {
            self.failed.fetch_add(1, Relaxed);
        } else if label == OK {
            self.ok.fetch_add(1, Relaxed);
            return;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let label = if others.contains_key(label) || others.len() < LABELS_LIMIT {
            label
        } else {
            "others"
        };
        others.entry(label.to_owned()).or_insert((0, is_failure)).0 += 1;
    }

    /// Exchanges that have ended, well or not.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Those that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// All kinds of answers with their counts.
    pub(crate) fn answers(&self) -> Vec<(String, u64)> {
        let ok = self.ok.load(Relaxed);
        let mut all: Vec<_> = (ok > 0).then(|| (OK.to_owned(), ok)).into_iter().collect();
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(others.iter().map(|(label, (count, _))| (label.clone(), *count)));
        all
    }

    /// Those that are failures, in words.
    pub(super) fn failures(&self) -> Vec<String> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = others.iter().filter(|(_, (_, is_failure))| *is_failure);
        failed.map(|(label, (count, _))| format!("{label} ({count})")).collect()
    }
}

impl Tally {
    pub(crate) fn new() -> Result<Self, Fault> {
        Ok(Self {
            latencies: Histogram::new_with_bounds(1_000, nanos(LONGEST), 3).during("histogram")?,
            failures: Vec::new(),
            lost_connections: 0,
            unanswered: 0,
        })
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.latencies.saturating_record(nanos(latency));
    }

    /// Another lane's, or another round's.
    pub(crate) fn add(&mut self, other: Self) -> Result<(), Fault> {
        self.failures.extend(other.failures);
        self.lost_connections = self.lost_connections.saturating_add(other.lost_connections);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.latencies.add(other.latencies).during("adding latencies")
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
