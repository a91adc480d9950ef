//! Counters of one thing that requests go through: a rule, a backend, an edge. Only ever added to.

use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use telemetry::Outcome;

/// Response flags told apart, as Envoy names them; any other is the last.
const FLAGS: [&str; 18] = [
    "NR", "UAEX", "UH", "UF", "UC", "UT", "UO", "URX", "DC", "DPE", "NC", "DF", "FI", "DI", "OM", "DT", "UPE", "other",
];
/// Buckets of a duration: eight for each doubling, so that a percentile is right to 12 %. The last is 19 hours.
const BUCKETS: usize = 8 * 34;

/// What of a finished request is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    status: u16,
    failed: bool,
    flag: Option<usize>,
    micros: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    errors: AtomicU64,
    /// By the first digit of the status; 0 for none.
    classes: [AtomicU64; 6],
    flags: [AtomicU64; FLAGS.len()],
    micros: AtomicU64,
    /// Made by the first request.
    durations: OnceLock<Box<[AtomicU64]>>,
}

impl Seen {
    pub(super) fn of(outcome: &Outcome<'_>) -> Self {
        // `UH,DI`: the first says most.
        let flag = outcome.flags.split(',').next().filter(|flag| *flag != "-");
        let last = FLAGS.len().saturating_sub(1);
        Self {
            status: outcome.status,
            failed: outcome.status == 0 || outcome.status >= 500 || outcome.grpc_status.is_some_and(is_server_fault),
            flag: flag.map(|flag| FLAGS.iter().position(|known| *known == flag).unwrap_or(last)),
            micros: u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// gRPC statuses that correspond to 5xx.
fn is_server_fault(status: u32) -> bool {
    matches!(status, 2 | 4 | 12 | 13 | 14 | 15)
}

impl Counts {
    pub(super) fn add(&self, seen: &Seen) {
        self.requests.fetch_add(1, Relaxed);
        if seen.failed {
            self.errors.fetch_add(1, Relaxed);
        }
        if let Some(class) = self.classes.get(usize::from(seen.status / 100)) {
            class.fetch_add(1, Relaxed);
        }
        if let Some(flag) = seen.flag.and_then(|flag| self.flags.get(flag)) {
            flag.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(seen.micros, Relaxed);
        let durations = self
            .durations
            .get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        if let Some(bucket) = durations.get(bucket(seen.micros)) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// As JSON, added to `into`: `durations` are pairs of a bucket's upper bound in microseconds and its count, for whoever
    /// takes differences.
    pub(super) fn tell(&self, into: &mut Map<String, Value>) {
        let class = |index: usize| self.classes.get(index).map_or(0, |count| count.load(Relaxed));
        let buckets: Vec<(u64, u64)> = self.durations.get().map_or(Vec::new(), |all| {
            let told = all
                .iter()
                .enumerate()
                .map(|(index, count)| (upper(index), count.load(Relaxed)));
            told.filter(|(_, count)| *count > 0).collect()
        });
        let flags: Map<String, Value> = FLAGS
            .iter()
            .zip(&self.flags)
            .map(|(flag, count)| (*flag, count.load(Relaxed)))
            .filter(|(_, count)| *count > 0)
            .map(|(flag, count)| (flag.to_owned(), json!(count)))
            .collect();
        into.insert("requests".to_owned(), json!(self.requests()));
        into.insert("errors".to_owned(), json!(self.errors.load(Relaxed)));
        into.insert(
            "classes".to_owned(),
            json!({ "2xx": class(2), "3xx": class(3), "4xx": class(4), "5xx": class(5), "none": class(0) + class(1) }),
        );
        into.insert("flags".to_owned(), Value::Object(flags));
        into.insert("p50Ms".to_owned(), json!(percentile(&buckets, 0.5)));
        into.insert("p99Ms".to_owned(), json!(percentile(&buckets, 0.99)));
        into.insert("durations".to_owned(), json!(buckets));
    }
}

/// Eight buckets below 8 us, then eight for each doubling.
fn bucket(micros: u64) -> usize {
    if micros < 8 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let exponent = 63 - u64::from(micros.leading_zeros());
    let step = (micros >> (exponent - 3)) & 7;
    let index = (exponent - 2) * 8 + step;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The first microsecond that is not in the bucket any more.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 8 {
        return bucket + 1;
    }
    let (exponent, step) = (bucket / 8 + 2, bucket % 8);
    (8 + step + 1) << (exponent - 3)
}

/// In milliseconds, from pairs of upper bounds in microseconds and counts; `None` without any.
pub(crate) fn percentile(buckets: &[(u64, u64)], share: f64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = (total as f64 * share).ceil().max(1.0);
    let mut before = 0_u64;
    for (upper, count) in buckets {
        before = before.saturating_add(*count);
        if before as f64 >= wanted {
            return Some(*upper as f64 / 1_000.0);
        }
    }
    None
}

#[cfg(test)]
mod tests;
