//! One subject of a scenario, over all rounds.

use super::Spread;
use crate::fault::{During, Fault};
use crate::figure::{Figure, Sample};
use crate::load::Tally;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A subject over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Resident when it had started, and at the end.
    pub(crate) idle_mib: Option<f64>,
    pub(crate) loaded_mib: Option<f64>,
    pub(crate) samples: Vec<Sample>,
    /// Microseconds at which this share of all rounds' requests was answered.
    pub(crate) percentiles: Vec<(f64, f64)>,
    pub(crate) failures: Vec<String>,
    /// What they were read from.
    #[serde(skip)]
    latencies: Option<Histogram<u64>>,
}

/// What is told of a distribution: the tail is where proxies differ.
const PERCENTILES: [f64; 13] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0,
];

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            idle_mib: None,
            loaded_mib: None,
            samples: Vec::new(),
            percentiles: Vec::new(),
            failures: Vec::new(),
            latencies: None,
        }
    }

    /// One more round.
    #[allow(clippy::cast_precision_loss)] // nanoseconds of a minute
    pub(crate) fn add(&mut self, sample: Sample, tally: Tally) -> Result<(), Fault> {
        self.samples.push(sample);
        self.failures.extend(tally.failures);
        if tally.unanswered > 0 {
            self.failures
                .push(format!("{} requests without an answer", tally.unanswered));
        }
        let all = match &mut self.latencies {
            Some(all) => {
                all.add(tally.latencies).during("adding latencies")?;
                all
            }
            none => none.insert(tally.latencies),
        };
        let at = |percent: f64| (percent, all.value_at_percentile(percent) as f64 / 1e3);
        self.percentiles = PERCENTILES.map(at).to_vec();
        Ok(())
    }

    /// A figure over the rounds; None when it was not measured.
    pub(crate) fn spread(&self, figure: Figure) -> Option<Spread> {
        let figures: Vec<f64> = self
            .samples
            .iter()
            .filter_map(|sample| sample.get(&figure).copied())
            .collect();
        (!figures.is_empty()).then(|| Spread::of(figures.into_iter()))
    }
}
