//! Prometheus' text format 0.0.4, as Envoy writes it, and OpenMetrics 1.0, which has exemplars.
//!
//! prometheus-client's own encoder is not used: its bounds read `le="1.0"`. Envoy writes `le="1"`, and so do we in both
//! formats; during a canary between Istio's waypoint and this one, a `sum by (le)` must find the same bounds in both.
//! `# EOF` at the end is a comment in 0.0.4.

use super::exemplar::{Exemplar, Exemplars};
use super::histogram::Histogram;
use super::sink::{Kind, Sink, count};
use crate::clip::clip;
use std::fmt::{self, Write};

/// What a scraper asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0: the same samples, with exemplars.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for. OpenMetrics wherever it is named and not refused by `q=0`, as Prometheus' own
    /// client libraries have it.
    pub fn accepted(accept: &str) -> Self {
        let named = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text") && parts.all(|part| part != "q=0" && part != "q=0.0")
        });
        if named { Self::OpenMetrics } else { Self::Text }
    }

    /// The `content-type` of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes families one after the other.
pub(crate) struct Exposition<'w> {
    out: &'w mut dyn Write,
    format: Format,
}

impl<'w> Exposition<'w> {
    pub(crate) fn new(out: &'w mut dyn Write, format: Format) -> Self {
        Self { out, format }
    }

    /// The last line.
    pub(crate) fn end(&mut self) -> fmt::Result {
        self.out.write_str("# EOF\n")
    }

    fn suffixed(&mut self, name: &str, suffix: &str, labels: &str, value: f64) -> fmt::Result {
        if labels.is_empty() {
            return writeln!(self.out, "{name}{suffix} {value}");
        }
        writeln!(self.out, "{name}{suffix}{{{labels}}} {value}")
    }

    fn bucket(&mut self, name: &str, labels: &str, le: &str, count: u64, exemplar: Option<&Exemplar>) -> fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        write!(self.out, "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {count}")?;
        match exemplar {
            Some(exemplar) => writeln!(self.out, " # {exemplar}"),
            None => writeln!(self.out),
        }
    }
}

impl Sink for Exposition<'_> {
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> fmt::Result {
        let (name, kind) = match kind {
            // OpenMetrics names a counter's family without the suffix of its samples.
            Kind::Counter if self.format == Format::OpenMetrics => {
                (name.strip_suffix("_total").unwrap_or(name), "counter")
            }
            Kind::Counter => (name, "counter"),
            Kind::Gauge => (name, "gauge"),
            Kind::Histogram => (name, "histogram"),
        };
        writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) -> fmt::Result {
        self.suffixed(name, "", labels, value)
    }

    /// `+Inf` and `_count` agree even while others record.
    fn histogram(
        &mut self,
        name: &str,
        labels: &str,
        histogram: &Histogram,
        exemplars: Option<&Exemplars>,
    ) -> fmt::Result {
        let exemplars = exemplars.filter(|_| self.format == Format::OpenMetrics);
        let exemplars = exemplars.map(Exemplars::all).unwrap_or_default();
        let (buckets, sum) = histogram.read();
        let mut below = 0;
        for (index, (bucket, le)) in buckets.iter().zip(Histogram::BOUNDS).enumerate() {
            below += bucket;
            self.bucket(name, labels, le, below, Exemplar::of(&exemplars, index))?;
        }
        self.suffixed(name, "_sum", labels, sum)?;
        self.suffixed(name, "_count", labels, count(below))
    }
}

/// A label value keeps at most this many bytes: Kubernetes' names have 253, a SPIFFE id of Istio's fits easily.
const MAX_LABEL_BYTES: usize = 512;

/// Appends `name="value"`, escaped, after a comma where one is due.
pub(crate) fn push_label(block: &mut String, name: &str, value: &str) {
    if !block.is_empty() {
        block.push(',');
    }
    block.push_str(name);
    block.push_str("=\"");
    let mut rest = clip(value, MAX_LABEL_BYTES);
    while let Some((plain, special)) = rest.find(['\\', '"', '\n']).and_then(|at| rest.split_at_checked(at)) {
        block.push_str(plain);
        let mut characters = special.chars();
        match characters.next() {
            Some('\n') => block.push_str("\\n"),
            Some(quote) => block.extend(['\\', quote]),
            None => {}
        }
        rest = characters.as_str();
    }
    block.push_str(rest);
    block.push('"');
}
