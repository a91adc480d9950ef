//! The outcome stream: finished requests as they come, to whoever listens. With nobody listening it costs one atomic load.
//!
//! A listener has a queue of its own; when it reads too slowly, what finds no room is dropped, counted and told. A request
//! never waits.

mod event;
mod filter;

pub(crate) use filter::Filter;

use super::Finished;
use arc_swap::ArcSwap;
use routing::Rule;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Events that wait for one listener.
const QUEUE: usize = 1_024;
/// Listeners at once.
const MOST_LISTENERS: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    any: AtomicBool,
    listeners: ArcSwap<Vec<Arc<Listener>>>,
    /// Taken by those who begin and end to listen.
    changing: Mutex<()>,
}

#[derive(Debug)]
struct Listener {
    filter: Filter,
    events: mpsc::Sender<String>,
    /// Requests that passed the filter, for sampling.
    passed: AtomicU64,
    dropped: AtomicU64,
}

/// One who listens. Ends with its drop.
#[derive(Debug)]
pub(crate) struct Tapped<'t> {
    tap: &'t Tap,
    listener: Arc<Listener>,
    events: mpsc::Receiver<String>,
    /// Lines still wanted.
    left: u64,
}

/// Names of a rule and a backend.
pub(crate) type Names = (Option<String>, Option<String>);

impl Tap {
    /// A request has finished. `names` is asked when somebody wants to know.
    pub(super) fn offer(&self, finished: &Finished<'_>, names: impl Fn(&Arc<Rule>, Option<usize>) -> Names) {
        if !self.any.load(Relaxed) {
            return;
        }
        let told = finished.rule.map_or((None, None), |rule| names(rule, finished.backend));
        for listener in self.listeners.load().iter() {
            if listener.wants(finished, &told) {
                match listener.events.try_reserve() {
                    Ok(place) => place.send(event::line(finished, &told)),
                    Err(_) => {
                        listener.dropped.fetch_add(1, Relaxed);
                    }
                }
            }
        }
    }

    /// Begins to listen; `None`: too many do already.
    pub(crate) fn listen(&self, filter: Filter) -> Option<Tapped<'_>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listeners = Vec::clone(&self.listeners.load());
        if listeners.len() >= MOST_LISTENERS {
            return None;
        }
        let (sender, events) = mpsc::channel(QUEUE);
        let left = filter.limit.unwrap_or(u64::MAX);
        let listener = Arc::new(Listener {
            filter,
            events: sender,
            passed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        listeners.push(Arc::clone(&listener));
        self.listeners.store(Arc::new(listeners));
        self.any.store(true, Relaxed);
        Some(Tapped {
            tap: self,
            listener,
            events,
            left,
        })
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load().len()
    }

    fn leave(&self, gone: &Arc<Listener>) {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners: Vec<_> = self
            .listeners
            .load()
            .iter()
            .filter(|one| !Arc::ptr_eq(one, gone))
            .cloned()
            .collect();
        self.any.store(!listeners.is_empty(), Relaxed);
        self.listeners.store(Arc::new(listeners));
    }
}

impl Listener {
    fn wants(&self, finished: &Finished<'_>, names: &Names) -> bool {
        if !self.filter.admits(finished, names) {
            return false;
        }
        match self.filter.every {
            0 | 1 => true,
            every => self.passed.fetch_add(1, Relaxed).is_multiple_of(every),
        }
    }
}

impl Tapped<'_> {
    /// The next line, with its end; `None`: as many as were wanted have come. Drops are told before what follows them.
    pub(crate) async fn next(&mut self) -> Option<String> {
        if self.left == 0 {
            return None;
        }
        let line = self.events.recv().await?;
        self.left = self.left.saturating_sub(1);
        let dropped = self.listener.dropped.swap(0, Relaxed);
        Some(match dropped {
            0 => line,
            dropped => format!("{{\"dropped\":{dropped}}}\n{line}"),
        })
    }
}

impl Drop for Tapped<'_> {
    fn drop(&mut self) {
        self.tap.leave(&self.listener);
    }
}

#[cfg(test)]
mod tests;
