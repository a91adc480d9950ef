//! Objects as they are, for whoever writes to them: by kind and name, kept as a list of the API server has them.

use super::listing::{Key, Listings};
use super::store::Part;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The objects.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    kinds: BTreeMap<&'static str, BTreeMap<Key, Arc<Value>>>,
    listings: Listings,
}

impl Shelf {
    /// One object.
    pub(super) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.kinds.get(kind)?.get(&(Arc::from(namespace), Arc::from(name)))
    }

    /// All of a kind, by name.
    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &Arc<Value>> {
        self.kinds.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// All of a kind in a namespace, by name.
    pub(super) fn within<'s>(&'s self, kind: &str, namespace: &'s str) -> impl Iterator<Item = &'s Arc<Value>> {
        let first: Key = (Arc::from(namespace), Arc::from(""));
        let from = self.kinds.get(kind).map(|objects| objects.range(first..));
        let of_namespace = from.into_iter().flatten();
        of_namespace
            .take_while(move |((of, _), _)| **of == *namespace)
            .map(|(_, object)| object)
    }

    /// A list of this part begins.
    pub(super) fn begin(&mut self, part: &Part) {
        self.listings.begin(part);
    }

    /// It ended: what it did not tell is gone. True when there was such.
    pub(super) fn end(&mut self, part: &Part) -> bool {
        let whole = self.listings.end(part);
        whole.is_some_and(|told| self.keep(part, |key| told.contains(key)))
    }

    /// The part is not watched any more.
    pub(super) fn forget(&mut self, part: &Part) -> bool {
        self.listings.forget(part);
        self.keep(part, |_| false)
    }

    /// An object is there; `None`: it is none that is wanted here. True when that changes anything.
    pub(super) fn put(&mut self, part: &Part, key: Key, object: Option<Value>) -> bool {
        let Some(object) = object else {
            return self.remove(part, &key);
        };
        self.listings.told(part, &key);
        let objects = self.kinds.entry(part.kind).or_default();
        if objects.get(&key).is_some_and(|known| **known == object) {
            return false;
        }
        objects.insert(key, Arc::new(object));
        true
    }

    /// An object is gone. True when it was there.
    pub(super) fn remove(&mut self, part: &Part, key: &Key) -> bool {
        self.listings.gone(part, key);
        self.kinds
            .get_mut(part.kind)
            .and_then(|objects| objects.remove(key))
            .is_some()
    }

    fn keep(&mut self, part: &Part, is_kept: impl Fn(&Key) -> bool) -> bool {
        let Some(objects) = self.kinds.get_mut(part.kind) else {
            return false;
        };
        let before = objects.len();
        objects.retain(|key, _| !part.has(&key.0, &key.1) || is_kept(key));
        objects.len() != before
    }
}

#[cfg(test)]
mod tests;
