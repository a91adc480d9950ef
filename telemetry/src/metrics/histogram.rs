//! A histogram of fixed bounds that is only atomic adds: no lock, as prometheus-client's has.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const BOUNDS: usize = 19;

/// What is counted, and how its bounds read. Envoy's and Istio's bounds are the same numbers for every histogram.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Upper bounds in the unit that `record` takes.
    bounds: [u64; BOUNDS],
    /// How many of that unit make one of the exposed unit.
    per_unit: u64,
}

/// Taken in microseconds, exposed in milliseconds.
pub(crate) static MILLISECONDS: Scale = Scale {
    bounds: [
        500,
        1_000,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        300_000_000,
        600_000_000,
        1_800_000_000,
        3_600_000_000,
    ],
    per_unit: 1_000,
};

/// Bytes. No whole number but 0 is at most 0.5.
pub(crate) static BYTES: Scale = Scale {
    bounds: [
        0, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
        3_600_000,
    ],
    per_unit: 1,
};

/// Counts per bucket (not cumulative) and a sum.
#[derive(Debug)]
pub(crate) struct Histogram {
    scale: &'static Scale,
    buckets: [AtomicU64; BOUNDS],
    above: AtomicU64,
    sum: AtomicU64,
}

impl Histogram {
    /// Upper bounds in the exposed unit, as Envoy writes them.
    pub(crate) const BOUNDS: [&'static str; BOUNDS + 1] = [
        "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000",
        "300000", "600000", "1800000", "3600000", "+Inf",
    ];

    pub(crate) fn new(scale: &'static Scale) -> Self {
        Self {
            scale,
            buckets: [const { AtomicU64::new(0) }; BOUNDS],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts `value`, in the scale's small unit; the bucket that it fell into.
    pub(crate) fn record(&self, value: u64) -> usize {
        let index = self.scale.bounds.partition_point(|bound| *bound < value);
        self.buckets.get(index).unwrap_or(&self.above).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        index
    }

    /// Counts per bucket (not cumulative), the one above all bounds last, and the sum in the exposed unit.
    pub(crate) fn read(&self) -> ([u64; BOUNDS + 1], f64) {
        let mut counts = [0; BOUNDS + 1];
        for (count, bucket) in counts.iter_mut().zip(self.buckets.iter().chain([&self.above])) {
            *count = bucket.load(Relaxed);
        }
        #[allow(clippy::cast_precision_loss)] // A sum is a float in Prometheus and in OTLP.
        let sum = self.sum.load(Relaxed) as f64 / self.scale.per_unit as f64;
        (counts, sum)
    }
}
