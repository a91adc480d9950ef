//! Lists under way: what each has told so far. What a new list does not tell is gone when the list is whole, never before.

use super::store::Part;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Namespace and name.
pub(super) type Key = (Arc<str>, Arc<str>);

/// By the part that is listed.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<Part, HashSet<Key>>);

impl Listings {
    /// A list of this part begins, whether or not one was under way.
    pub(super) fn begin(&mut self, part: &Part) {
        self.0.insert(part.clone(), HashSet::new());
    }

    /// It told of an object: so did a watch that came before its end.
    pub(super) fn told(&mut self, part: &Part, key: &Key) {
        if let Some(told) = self.0.get_mut(part) {
            told.insert(key.clone());
        }
    }

    /// The object is gone again.
    pub(super) fn gone(&mut self, part: &Part, key: &Key) {
        if let Some(told) = self.0.get_mut(part) {
            told.remove(key);
        }
    }

    /// The list is whole. Gives all that there is of the part; `None`: no list was under way.
    pub(super) fn end(&mut self, part: &Part) -> Option<HashSet<Key>> {
        self.0.remove(part)
    }

    /// The part is not listed any more.
    pub(super) fn forget(&mut self, part: &Part) {
        self.0.remove(part);
    }
}

#[cfg(test)]
mod tests;
