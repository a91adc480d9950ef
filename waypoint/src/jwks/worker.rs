//! What keeps key sets fresh: which are needed, when each is fetched next, and the publication of what came.

use super::fetch::{Fetch, FetchFault};
use arc_swap::ArcSwap;
use authz::{KeySet, KeySets, KeySource};
use mesh::Snapshot;
use rand::Rng;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use telemetry::OwnMetrics;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

/// A set that was fetched is fetched again after this, as Istio does, give or take a tenth.
const REFRESH: Duration = Duration::from_secs(20 * 60);
/// The first wait after a failure; it doubles with each.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Unknown keys lead to a fetch this often at most.
const WISH: Duration = Duration::from_secs(5);
/// Faults of a set that are told; a hostile one could have as many as it has bytes.
const WARNINGS: usize = 10;
/// Fetches at one time.
const AT_ONCE: usize = 8;
/// Nothing to do.
const LONG: Duration = Duration::from_secs(3600);

/// What the worker sees of the process.
pub(super) struct World<'n> {
    pub(super) snapshot: &'n ArcSwap<Snapshot>,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) keys: &'n ArcSwap<KeySets>,
    pub(super) metrics: &'n OwnMetrics,
    /// True once every source of the first config was fetched, or has failed.
    pub(super) settled: &'n watch::Sender<bool>,
}

/// The worker.
pub(super) struct Worker<'n> {
    world: World<'n>,
    fetch: Arc<dyn Fetch>,
    sources: HashMap<Arc<str>, State>,
    fetching: JoinSet<Result<String, FetchFault>>,
}

/// One source.
struct State {
    source: KeySource,
    due: Instant,
    begun: Option<Instant>,
    /// The fetch under way.
    task: Option<Id>,
    failures: u32,
    /// What was published last.
    text: Option<String>,
}

impl<'n> Worker<'n> {
    pub(super) fn new(world: World<'n>, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            world,
            fetch,
            sources: HashMap::new(),
            fetching: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self, mut wished: mpsc::Receiver<Arc<str>>) {
        loop {
            self.take_up();
            self.begin();
            self.settle();
            let next = self.next();
            tokio::select! {
                changed = self.world.changes.changed() => if changed.is_err() { return },
                Some(done) = self.fetching.join_next_with_id() => self.joined(done),
                Some(id) = wished.recv() => self.wish(&id),
                () = sleep_until(next) => {}
            }
        }
    }

    /// The sources that the config names, and no others.
    fn take_up(&mut self) {
        let snapshot = self.world.snapshot.load();
        let wanted = snapshot.key_sources();
        for source in wanted {
            let state = self.sources.entry(Arc::clone(&source.id));
            state.or_insert_with(|| State::new(source.clone()));
        }
        let before = self.sources.len();
        self.sources
            .retain(|id, _| wanted.iter().any(|source| source.id == *id));
        if self.sources.len() != before {
            let known = &self.sources;
            publish(self.world.keys, |sets| sets.retain(|id, _| known.contains_key(id)));
        }
    }

    fn begin(&mut self) {
        let now = Instant::now();
        let room = AT_ONCE.saturating_sub(self.fetching.len());
        let due = self
            .sources
            .values_mut()
            .filter(|state| state.task.is_none() && state.due <= now);
        for state in due.take(room) {
            state.begun = Some(now);
            let (fetch, source) = (Arc::clone(&self.fetch), state.source.clone());
            let task = self.fetching.spawn(async move { fetch.fetch(&source).await });
            state.task = Some(task.id());
        }
    }

    fn next(&self) -> Instant {
        let waiting = self.sources.values().filter(|state| state.task.is_none());
        let next = waiting.map(|state| state.due).min();
        next.unwrap_or_else(|| Instant::now() + LONG)
    }

    /// A token wants a key that this set does not have: fetched at once, unless it just was.
    fn wish(&mut self, id: &Arc<str>) {
        let now = Instant::now();
        if let Some(state) = self.sources.get_mut(id) {
            let lately = state.begun.is_some_and(|begun| now.duration_since(begun) < WISH);
            if !lately {
                state.due = state.due.min(now);
            }
        }
    }

    /// A fetch that panicked is one that failed: its source is tried again.
    fn joined(&mut self, done: Result<(Id, Result<String, FetchFault>), JoinError>) {
        let (task, result) = match done {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(FetchFault::Broke(error.to_string()))),
        };
        let of_task = self.sources.iter().find(|(_, state)| state.task == Some(task));
        // Unless the config does not name it any more.
        if let Some(id) = of_task.map(|(id, _)| Arc::clone(id)) {
            self.end(&id, result);
        }
    }

    fn settle(&self) {
        if !*self.world.settled.borrow() && self.sources.values().all(State::was_tried) {
            self.world.settled.send_replace(true);
        }
    }

    fn end(&mut self, id: &Arc<str>, result: Result<String, FetchFault>) {
        let Some(state) = self.sources.get_mut(id) else { return };
        state.task = None;
        let parsed = result
            .map_err(|fault| (fault.label(), fault.to_string()))
            .and_then(|text| {
                let set = KeySet::parse(&text).map_err(|why| ("invalid", why))?;
                Ok((text, set))
            });
        match parsed {
            Ok((text, set)) => {
                self.world.metrics.key_fetch("ok");
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.world.metrics.keys_fetched(id, since.as_secs());
                state.failures = 0;
                state.due = Instant::now() + jittered(REFRESH);
                if state.text.as_ref() != Some(&text) {
                    for warning in set.warnings().iter().take(WARNINGS) {
                        tracing::warn!(target: "waypoint::jwks", source = %id, "{warning}");
                    }
                    tracing::info!(target: "waypoint::jwks", source = %id, "keys in force");
                    state.text = Some(text);
                    publish(self.world.keys, |sets| drop(sets.insert(Arc::clone(id), Arc::new(set))));
                }
            }
            Err((label, why)) => {
                self.world.metrics.key_fetch(label);
                let kept = if state.text.is_some() {
                    "the keys before stay in force"
                } else {
                    "its tokens are refused"
                };
                tracing::warn!(target: "waypoint::jwks", source = %id, "keys not fetched, {kept}: {why}");
                state.due = Instant::now() + jittered(retry_after(state.failures));
                state.failures = state.failures.saturating_add(1);
            }
        }
    }
}

impl State {
    fn was_tried(&self) -> bool {
        self.text.is_some() || self.failures > 0
    }

    fn new(source: KeySource) -> Self {
        Self {
            source,
            due: Instant::now(),
            begun: None,
            task: None,
            failures: 0,
            text: None,
        }
    }
}

/// A set that did not change is not published: token caches stay.
fn publish(keys: &ArcSwap<KeySets>, change: impl FnOnce(&mut HashMap<Arc<str>, Arc<KeySet>>)) {
    let mut next = KeySets::clone(&keys.load());
    change(&mut next.sets);
    next.generation = next.generation.wrapping_add(1);
    keys.store(Arc::new(next));
}

fn retry_after(failures: u32) -> Duration {
    RETRY.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_RETRY)
}

/// Give or take a tenth: replicas do not ask all at once.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.9..1.1))
}

#[cfg(test)]
mod tests;
