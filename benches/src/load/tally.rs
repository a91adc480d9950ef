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
/// Windows that are kept apart.
pub(crate) const WINDOWS_LIMIT: usize = 64;
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
    /// One for each window. Only the client's one thread and whoever looks take the lock.
    windows: Mutex<Vec<Histogram<u64>>>,
}

/// What was seen in the first window, and what failed since the start.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Nanoseconds from when the request was due to the answer's last byte.
    pub(crate) latencies: Histogram<u64>,
    /// All kinds of answers with their counts.
    pub(crate) answers: Vec<(String, u64)>,
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

    /// A latency, in a window of time: they are numbered from 0, and there are few.
    pub(super) fn record(&self, window: usize, latency: Duration) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        while windows.len() <= window && window < WINDOWS_LIMIT {
            let Ok(empty) = histogram() else { return };
            windows.push(empty);
        }
        if let Some(histogram) = windows.get_mut(window) {
            histogram.saturating_record(nanos(latency));
        }
    }

    /// The latencies of a window so far, in nanoseconds.
    pub(crate) fn latencies(&self, window: usize) -> Result<Histogram<u64>, Fault> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows
            .get(window)
            .map_or_else(histogram, |histogram| Ok(histogram.clone()))
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
    /// Latencies of which nothing failed.
    pub(crate) fn of(latencies: Histogram<u64>) -> Self {
        Self {
            latencies,
            answers: Vec::new(),
            failures: Vec::new(),
            lost_connections: 0,
            unanswered: 0,
        }
    }
}

fn histogram() -> Result<Histogram<u64>, Fault> {
    Histogram::new_with_bounds(1_000, nanos(LONGEST), 3).during("histogram")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
