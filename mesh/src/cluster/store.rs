//! What the cluster's objects are at present: parsed, and kept when the API server goes away.

use super::kind::Kind;
use super::listing::{Key, Listings};
use super::mentions::Mentions;
use super::trim::Seen;
use crate::finding::{Finding, Severity};
use crate::object::{self, NoObject, Object};
use crate::resources::MAX_REGEX_BYTES;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Objects that are held. Those beyond are not in force, and told.
const MAX_OBJECTS: usize = 500_000;

/// The part of a kind that one watch is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Part {
    /// `Pod`.
    pub(super) kind: &'static str,
    /// Of this namespace alone.
    pub(super) namespace: Option<Arc<str>>,
    /// Of this name alone.
    pub(super) name: Option<Arc<str>>,
}

impl Part {
    pub(super) fn has(&self, namespace: &str, name: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
            && self.name.as_deref().is_none_or(|own| own == name)
    }
}

/// The objects.
#[derive(Debug)]
pub(super) struct Store {
    own: Arc<str>,
    kinds: BTreeMap<&'static str, BTreeMap<Key, Held>>,
    listings: Listings,
    count: usize,
    regex_bytes: usize,
    left_out: HashSet<(&'static str, Key)>,
}

/// One object.
#[derive(Debug)]
pub(super) struct Held {
    version: Box<str>,
    fingerprint: u64,
    /// The last good state.
    pub(super) object: Option<Arc<Object>>,
    /// Why the present state is none.
    pub(super) bad: Option<Arc<NoObject>>,
    /// What it names.
    pub(super) mentions: Mentions,
}

impl Store {
    /// Empty. `own` is the waypoint's namespace.
    pub(super) fn new(own: Arc<str>) -> Self {
        Self {
            own,
            kinds: BTreeMap::new(),
            listings: Listings::default(),
            count: 0,
            regex_bytes: 0,
            left_out: HashSet::new(),
        }
    }

    /// Objects held.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// All of them, kind by kind, name by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Key, &Held)> {
        self.kinds
            .iter()
            .flat_map(|(kind, objects)| objects.iter().map(|(key, held)| (*kind, key, held)))
    }

    /// Those of one kind.
    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = (&Key, &Held)> {
        self.kinds.get(kind).into_iter().flatten()
    }

    /// A list of this part begins: what it does not tell is gone when it ends.
    pub(super) fn begin(&mut self, part: &Part) {
        self.listings.begin(part);
    }

    /// The list of this part ended. True when something was gone.
    pub(super) fn end(&mut self, part: &Part) -> bool {
        let whole = self.listings.end(part);
        whole.is_some_and(|told| self.keep(part, |key| told.contains(key)))
    }

    /// Nothing of this part is watched any more.
    pub(super) fn forget(&mut self, part: &Part) -> bool {
        self.listings.forget(part);
        self.keep(part, |_| false)
    }

    /// An object is there, or is another. True when that changes anything for us.
    pub(super) fn apply(&mut self, part: &Part, kind: &'static Kind, seen: Seen) -> bool {
        let key = (Arc::clone(&seen.namespace), Arc::clone(&seen.name));
        self.listings.told(part, &key);
        let objects = self.kinds.entry(kind.name).or_default();
        let before = objects.get_mut(&key);
        if let Some(held) = before {
            if *held.version == *seen.version {
                return false;
            }
            held.version = seen.version.clone();
            if held.fingerprint == seen.fingerprint {
                return false;
            }
        } else if self.count >= MAX_OBJECTS {
            return self.left_out.insert((kind.name, key));
        } else {
            self.count += 1;
        }
        let before = objects.remove(&key);
        let last_good = before.and_then(|held| held.object);
        let taken = |object: &Option<Arc<Object>>| object.as_ref().map_or(0, |object| object.regex_bytes);
        self.regex_bytes = self.regex_bytes.saturating_sub(taken(&last_good));
        let held = read(
            &self.own,
            kind.name,
            seen,
            last_good,
            MAX_REGEX_BYTES.saturating_sub(self.regex_bytes),
        );
        self.regex_bytes += taken(&held.object);
        objects.insert(key, held);
        true
    }

    /// An object is gone. True when it was there.
    pub(super) fn remove(&mut self, part: &Part, key: &Key) -> bool {
        self.listings.gone(part, key);
        self.left_out.remove(&(part.kind, key.clone()));
        let gone = self.kinds.get_mut(part.kind).and_then(|objects| objects.remove(key));
        let is_gone = gone.is_some();
        self.count -= usize::from(is_gone);
        let taken = gone.and_then(|held| held.object).map_or(0, |object| object.regex_bytes);
        self.regex_bytes = self.regex_bytes.saturating_sub(taken);
        is_gone
    }

    /// What is held of a part and shall not be is removed.
    fn keep(&mut self, part: &Part, is_kept: impl Fn(&Key) -> bool) -> bool {
        let objects = self.kinds.get(part.kind).into_iter().flatten();
        let gone: Vec<Key> = objects
            .map(|(key, _)| key)
            .filter(|key| part.has(&key.0, &key.1) && !is_kept(key))
            .cloned()
            .collect();
        self.left_out
            .retain(|(kind, key)| *kind != part.kind || !part.has(&key.0, &key.1) || is_kept(key));
        for key in &gone {
            self.remove(part, key);
        }
        !gone.is_empty()
    }

    /// What could not be held.
    pub(super) fn finding(&self) -> Option<Finding> {
        (!self.left_out.is_empty()).then(|| Finding {
            severity: Severity::Warning,
            object: None,
            field: None,
            place: None,
            message: format!(
                "at most {MAX_OBJECTS} objects of the cluster are held: {} are not in force",
                self.left_out.len()
            ),
        })
    }
}

/// Parses. What is no object keeps the state before.
fn read(own: &Arc<str>, kind: &str, seen: Seen, last_good: Option<Arc<Object>>, mut room: usize) -> Held {
    let (mut objects, mut bad) = (Vec::new(), Vec::new());
    object::read(&seen.value, None, &mut room, &mut objects, &mut bad);
    Held {
        version: seen.version,
        fingerprint: seen.fingerprint,
        mentions: Mentions::of(kind, &seen.namespace, own, &seen.value),
        object: objects.pop().or(last_good),
        bad: bad.pop().map(Arc::new),
    }
}

#[cfg(test)]
mod tests;
