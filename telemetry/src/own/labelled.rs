//! Counters with one or two labels.

use crate::metrics::{Kind, Sink, count, push_label};
use prometheus_client::metrics::counter::Counter;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock};

/// A counter whose label takes few values, all written in the code. A hit is a short scan, without a lock: requests do it.
#[derive(Debug)]
pub(crate) struct Labelled {
    /// Filled from the first on, and never emptied.
    entries: [OnceLock<(&'static str, Counter)>; Self::VALUES],
}

impl Default for Labelled {
    fn default() -> Self {
        Self {
            entries: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

impl Labelled {
    /// Values at most. The longest list in the code has some forty; what is beyond would not be counted.
    pub(crate) const VALUES: usize = 96;

    pub(crate) fn inc(&self, value: &'static str) {
        for entry in &self.entries {
            // Whoever comes first takes the place; another value goes on to the next.
            let (known, counter) = entry.get_or_init(|| (value, Counter::default()));
            if *known == value {
                counter.inc();
                return;
            }
        }
    }

    pub(crate) fn expose(&self, out: &mut dyn Sink, name: &str, label: &str, help: &str) -> fmt::Result {
        let mut entries: Vec<_> = self.entries.iter().map_while(OnceLock::get).collect();
        entries.sort_by_key(|(value, _)| *value);
        if entries.is_empty() {
            return Ok(());
        }
        out.family(name, Kind::Counter, help)?;
        for (value, counter) in entries {
            let mut block = String::new();
            push_label(&mut block, label, value);
            out.sample(name, &block, count(counter.get()))?;
        }
        Ok(())
    }
}

/// A counter whose labels come from configuration. What does not fit into `LIMIT` label sets is counted as `overflow`.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// By rendered labels.
    entries: RwLock<BTreeMap<Box<str>, Counter>>,
}

impl Named {
    /// Label sets at most.
    pub(crate) const LIMIT: usize = 2_000;

    /// The handle of a label set: keep it where it is bumped often.
    pub(crate) fn counter<const N: usize>(&self, labels: [(&str, &str); N]) -> Counter {
        let block = render(labels);
        if let Some(counter) = self
            .entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(block.as_str())
        {
            return counter.clone();
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let full = entries.len() >= Self::LIMIT && !entries.contains_key(block.as_str());
        let block = if full {
            render(labels.map(|(name, _)| (name, "overflow")))
        } else {
            block
        };
        entries.entry(block.into()).or_default().clone()
    }

    pub(crate) fn expose(&self, out: &mut dyn Sink, name: &str, help: &str) -> fmt::Result {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).clone();
        if entries.is_empty() {
            return Ok(());
        }
        out.family(name, Kind::Counter, help)?;
        entries
            .iter()
            .try_for_each(|(labels, counter)| out.sample(name, labels, count(counter.get())))
    }
}

/// A gauge whose labels come from configuration. What does not fit into [`Named::LIMIT`] label sets is not shown.
#[derive(Debug, Default)]
pub(crate) struct NamedGauge {
    /// By rendered labels.
    entries: RwLock<BTreeMap<Box<str>, u64>>,
}

impl NamedGauge {
    pub(crate) fn set<const N: usize>(&self, labels: [(&str, &str); N], value: u64) {
        let block = render(labels);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < Named::LIMIT || entries.contains_key(block.as_str()) {
            entries.insert(block.into(), value);
        }
    }

    pub(crate) fn expose(&self, out: &mut dyn Sink, name: &str, help: &str) -> fmt::Result {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).clone();
        if entries.is_empty() {
            return Ok(());
        }
        out.family(name, Kind::Gauge, help)?;
        entries
            .iter()
            .try_for_each(|(labels, value)| out.sample(name, labels, count(*value)))
    }
}

pub(crate) fn render<const N: usize>(labels: [(&str, &str); N]) -> String {
    let mut block = String::new();
    for (name, value) in labels {
        push_label(&mut block, name, value);
    }
    block
}
