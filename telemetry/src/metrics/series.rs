//! Label sets, found at two levels.
//!
//! A read-mostly cache maps [`KeyRef`]s to series: a hit is one shared lock of one of 16 shards, a comparison and the
//! adds. Behind it stands the one true map from rendered label blocks to series: pods of one Deployment share a
//! series, and a new configuration with the same workloads continues the old ones. The cache is emptied shard by
//! shard when it has grown, the map is bounded: what comes after goes to sets labelled `overflow`.

use super::key::{Key, KeyRef};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

const SHARDS: usize = 16;
/// Entries of a shard before it is emptied: 8,192 in all, some 2 MiB. An emptied entry costs a rendering again.
const SHARD_LIMIT: usize = 512;

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache<S> {
    shards: [RwLock<Shard<S>>; SHARDS],
}

#[derive(Debug)]
struct Shard<S> {
    by_hash: HashMap<u64, Bucket<S>, BuildHasherDefault<AsIs>>,
    entries: usize,
}

/// The entries of one hash: more than one only by accident.
type Bucket<S> = Vec<(Key, Arc<S>)>;

impl<S> Cache<S> {
    pub(crate) fn new() -> Self {
        let shard = |_| {
            RwLock::new(Shard {
                by_hash: HashMap::default(),
                entries: 0,
            })
        };
        Self {
            shards: std::array::from_fn(shard),
        }
    }

    /// Calls `with` on the series of `key`, which `resolve` finds when the cache does not know it.
    pub(crate) fn with(&self, key: &KeyRef<'_>, resolve: impl FnOnce() -> Arc<S>, with: impl Fn(&S)) {
        let hash = key.hash();
        let Some(shard) = self.shards.get((hash >> 48) as usize % SHARDS) else {
            return;
        };
        {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = shard.find(hash, key) {
                return with(series);
            }
        }
        let series = resolve();
        with(&series);
        shard
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash, key, series);
    }
}

impl<S> Shard<S> {
    fn find(&self, hash: u64, key: &KeyRef<'_>) -> Option<&S> {
        self.by_hash
            .get(&hash)?
            .iter()
            .find(|(known, _)| key.matches(known))
            .map(|(_, series)| &**series)
    }

    fn insert(&mut self, hash: u64, key: &KeyRef<'_>, series: Arc<S>) {
        if self.find(hash, key).is_some() {
            return; // Another thread was first.
        }
        if self.entries >= SHARD_LIMIT {
            self.by_hash.clear();
            self.entries = 0;
        }
        self.by_hash.entry(hash).or_default().push((key.keep(), series));
        self.entries += 1;
    }
}

/// Series by rendered labels, in the order of the labels.
#[derive(Debug)]
pub(crate) struct Store<S> {
    by_labels: RwLock<BTreeMap<Arc<str>, Arc<S>>>,
    limit: usize,
}

impl<S> Store<S> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            by_labels: RwLock::new(BTreeMap::new()),
            limit,
        }
    }

    /// The series of `labels`, made when there is room. `None`: full.
    pub(crate) fn get(&self, labels: &Arc<str>, make: impl FnOnce() -> S) -> Option<Arc<S>> {
        if let Some(series) = self.find(labels) {
            return Some(series);
        }
        let mut by_labels = self.by_labels.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = by_labels.get(labels) {
            return Some(Arc::clone(series)); // Another thread was first.
        }
        if by_labels.len() >= self.limit {
            return None;
        }
        let series = Arc::new(make());
        by_labels.insert(Arc::clone(labels), Arc::clone(&series));
        Some(series)
    }

    fn find(&self, labels: &str) -> Option<Arc<S>> {
        self.by_labels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(labels)
            .map(Arc::clone)
    }

    /// Every series with its labels, in their order. The lock is not held while they are written.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<S>)> {
        let by_labels = self.by_labels.read().unwrap_or_else(PoisonError::into_inner);
        by_labels
            .iter()
            .map(|(labels, series)| (Arc::clone(labels), Arc::clone(series)))
            .collect()
    }
}

/// The hash of a number that is a hash already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
