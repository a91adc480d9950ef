//! Where samples go: Prometheus' text, or OTLP.

use super::exemplar::Exemplars;
use super::histogram::Histogram;
use std::fmt;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Takes families one after the other, each with its samples.
pub(crate) trait Sink {
    /// A family begins. `help` is our own text: one line, no backslash.
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> fmt::Result;

    /// A sample of a counter or a gauge. `labels` is a rendered block without braces, see [`super::push_label`].
    fn sample(&mut self, name: &str, labels: &str, value: f64) -> fmt::Result;

    /// A sample of a histogram.
    fn histogram(
        &mut self,
        name: &str,
        labels: &str,
        histogram: &Histogram,
        exemplars: Option<&Exemplars>,
    ) -> fmt::Result;

    /// A family of one sample.
    fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) -> fmt::Result {
        self.family(name, kind, help)?;
        self.sample(name, "", value)
    }
}

/// A count as samples have it.
#[allow(clippy::cast_precision_loss)] // Samples are floats in Prometheus.
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}
