//! What was written to each object and how the API server kept it, so that nothing is written twice; and what must wait
//! after a failure, or after somebody undid it.

use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::Instant;

/// Before the first try after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// Before any.
const MOST: Duration = Duration::from_secs(60);
/// What others undo is written again after so long, doubled each time: we do not fight.
const UNDONE: Duration = Duration::from_secs(1);
/// At most.
const UNDONE_MOST: Duration = Duration::from_secs(300);
/// A watch tells of what was written within this time.
const TOLD: Duration = Duration::from_secs(10);

/// What to do about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it is as it was wanted.
    Nothing,
    /// Wait: it was written and the watch has not told yet, or it failed a moment ago.
    Wait,
    /// Write.
    Write,
}

/// An object as it was seen: its version, and what it has where something is wanted of it. `None`: there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    pub(super) version: Option<String>,
    pub(super) shadow: Option<Value>,
}

/// All that was written.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entries: HashMap<String, Entry>,
    /// Those of this look.
    touched: HashSet<String>,
}

#[derive(Debug, Default)]
struct Entry {
    wanted: u64,
    /// Fingerprint of the shadow after the write; `None`: it was never written.
    kept: Option<u64>,
    /// The version that was written over, until a watch tells another; and since when.
    pending: Option<(Option<String>, Instant)>,
    failures: u32,
    undone: u32,
    written: Option<Instant>,
    not_before: Option<Instant>,
    /// Why it failed.
    why: Option<String>,
}

impl Memory {
    /// A look at everything begins.
    pub(super) fn begin(&mut self) {
        self.touched.clear();
    }

    /// It ended: what was not asked about is as it should be or gone, and is forgotten after a while. Gives when something
    /// that waits may be tried.
    pub(super) fn end(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let touched = std::mem::take(&mut self.touched);
        self.entries.retain(|key, entry| {
            let is_touched = touched.contains(key);
            if !is_touched {
                (entry.why, entry.not_before, entry.pending) = (None, None, None);
            }
            // Whoever undoes it may do so again.
            is_touched || entry.written.is_some_and(|written| now < written + UNDONE_MOST)
        });
        self.wake()
    }

    /// When something that waits may be tried.
    pub(super) fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let pending = |entry: &Entry| entry.pending.as_ref().map(|(_, since)| *since + TOLD);
        let waiting = self
            .entries
            .values()
            .flat_map(|entry| [entry.not_before, pending(entry)]);
        waiting.flatten().filter(|at| *at > now).min()
    }

    /// How many wait after a failure.
    pub(super) fn waiting(&self) -> usize {
        self.entries.values().filter(|entry| entry.why.is_some()).count()
    }

    /// What to do about `key` when this is wanted of it and that is seen.
    pub(super) fn next(&mut self, key: &str, wanted: &Value, seen: &Sight) -> Next {
        let now = Instant::now();
        self.touched.insert(key.to_owned());
        let entry = self.entries.entry(key.to_owned()).or_default();
        if let Some((version, since)) = &entry.pending {
            if *version == seen.version && now < *since + TOLD {
                return Next::Wait;
            }
            entry.pending = None;
        }
        let (wanted, shadow) = (fingerprint(wanted), fingerprint(&seen.shadow));
        if entry.wanted != wanted {
            // Something new is wanted: what came before does not count.
            *entry = Entry {
                wanted,
                ..Entry::default()
            };
        }
        if seen.shadow.is_some() && entry.kept == Some(shadow) {
            return Next::Nothing;
        }
        if entry.not_before.is_some_and(|at| now < at) {
            return Next::Wait;
        }
        // Written before, and it is another now: somebody undid it.
        if let (Some(_), Some(written)) = (entry.kept, entry.written) {
            let pause = UNDONE.saturating_mul(1 << entry.undone.min(10)).min(UNDONE_MOST);
            if entry.undone > 0 && now < written + pause {
                entry.not_before = Some(written + pause);
                return Next::Wait;
            }
            entry.undone = if now > written + UNDONE_MOST {
                1
            } else {
                entry.undone.saturating_add(1)
            };
        }
        Next::Write
    }

    /// It was written over `before`, and is `after` now.
    pub(super) fn wrote(&mut self, key: &str, before: &Sight, after: &Sight) {
        let entry = self.entries.entry(key.to_owned()).or_default();
        entry.kept = Some(fingerprint(&after.shadow));
        // An answer with the same version changed nothing, and no watch tells of it.
        entry.pending = (before.version != after.version).then(|| (before.version.clone(), Instant::now()));
        entry.written = Some(Instant::now());
        (entry.failures, entry.not_before, entry.why) = (0, None, None);
    }

    /// It could not be written. True when that was not known.
    pub(super) fn failed(&mut self, key: &str, why: &str) -> bool {
        let entry = self.entries.entry(key.to_owned()).or_default();
        let pause = FIRST.saturating_mul(1 << entry.failures.min(12)).min(MOST);
        entry.failures = entry.failures.saturating_add(1);
        entry.not_before = Some(Instant::now() + pause);
        let is_new = entry.why.as_deref() != Some(why);
        entry.why = Some(why.to_owned());
        is_new
    }

    /// Why it could not be written.
    pub(super) fn why(&self, key: &str) -> Option<&str> {
        self.entries.get(key)?.why.as_deref()
    }
}

fn fingerprint(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
