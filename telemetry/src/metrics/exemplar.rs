//! Exemplars: for each bucket of a duration, the last sampled trace that fell into it.
//!
//! Only sampled requests leave one, and they never wait: while a scrape copies them, one is simply not kept.

use crate::{TraceContext, TraceId};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    bucket: usize,
    micros: u64,
    trace: TraceId,
    at: SystemTime,
}

/// Those of one histogram of durations: at most one for each of its 20 buckets. Nothing is allocated before the first.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(Mutex<Vec<Exemplar>>);

impl Exemplars {
    /// Keeps this one in place of the one before.
    pub(crate) fn note(&self, bucket: usize, micros: u64, trace: &TraceContext, at: SystemTime) {
        let Ok(mut kept) = self.0.try_lock() else { return };
        let fresh = Exemplar {
            bucket,
            micros,
            trace: trace.trace,
            at,
        };
        match kept.iter_mut().find(|known| known.bucket == bucket) {
            Some(known) => *known = fresh,
            None => kept.push(fresh),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Exemplar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Exemplar {
    /// That of a bucket.
    pub(crate) fn of(all: &[Self], bucket: usize) -> Option<&Self> {
        all.iter().find(|exemplar| exemplar.bucket == bucket)
    }
}

/// `{trace_id="..."} 7.25 1769860800.123`: milliseconds, then Unix seconds.
impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.micros / 1_000, self.micros % 1_000);
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(
            f,
            "{{trace_id=\"{:032x}\"}} {whole}.{part:03} {}.{:03}",
            self.trace.0,
            at.as_secs(),
            at.subsec_millis()
        )
    }
}
