//! The label sets of one metric, bounded: those that do not fit are counted together, as `overflow`.

use super::exemplar::Exemplars;
use super::histogram::Histogram;
use super::key::KeyRef;
use super::labels;
use super::series::Store;
use super::sink::{Kind, Sink, count};
use crate::OwnMetrics;
use crate::plan::Metric;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug)]
pub(super) struct Family<S> {
    metric: Metric,
    store: Store<S>,
    /// Its labels have few values: protocol, 501 codes, two policies.
    overflow: Store<S>,
}

/// Rendered label blocks of one key. Most metrics have the same.
pub(super) struct Blocks<'k> {
    key: &'k KeyRef<'k>,
    own: &'k OwnMetrics,
    last: Arc<str>,
}

impl<'k> Blocks<'k> {
    pub(super) fn of(key: &'k KeyRef<'k>, own: &'k OwnMetrics) -> Self {
        Self {
            key,
            own,
            last: Arc::default(),
        }
    }

    fn block(&mut self, metric: Metric) -> Arc<str> {
        let block = labels::block(self.key, metric);
        if *block != *self.last {
            self.last = block.into();
        }
        Arc::clone(&self.last)
    }
}

impl<S> Family<S> {
    pub(super) fn new(metric: Metric, limit: usize) -> Self {
        Self {
            metric,
            store: Store::new(limit),
            overflow: Store::new(usize::MAX),
        }
    }

    /// The series of a key; `None` where the metric is disabled.
    pub(super) fn get(&self, blocks: &mut Blocks<'_>, make: impl Fn() -> S) -> Option<Arc<S>> {
        if blocks.key.plan.is_disabled(self.metric) {
            return None;
        }
        let block = blocks.block(self.metric);
        if let Some(series) = self.store.get(&block, &make) {
            return Some(series);
        }
        blocks.own.series_overflow.inc();
        let block: Arc<str> = labels::overflow(blocks.key, self.metric).into();
        self.overflow.get(&block, make)
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<S>)> {
        let mut all = self.store.all();
        all.extend(self.overflow.all());
        all
    }

    pub(super) fn histograms(
        &self,
        out: &mut dyn Sink,
        name: &str,
        help: &str,
        read: impl Fn(&S) -> (&Histogram, Option<&Exemplars>),
    ) -> fmt::Result {
        let all = self.all();
        if all.is_empty() {
            return Ok(());
        }
        out.family(name, Kind::Histogram, help)?;
        for (labels, series) in all {
            let (histogram, exemplars) = read(&series);
            out.histogram(name, &labels, histogram, exemplars)?;
        }
        Ok(())
    }
}

impl Family<AtomicU64> {
    pub(super) fn counters(&self, out: &mut dyn Sink, name: &str, help: &str) -> fmt::Result {
        let all = self.all();
        if all.is_empty() {
            return Ok(());
        }
        out.family(name, Kind::Counter, help)?;
        all.iter()
            .try_for_each(|(labels, series)| out.sample(name, labels, count(series.load(Relaxed))))
    }
}
