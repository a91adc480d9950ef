//! What repeats from object to object is kept once: namespaces, names of Services, the kinds that references name.
//!
//! Tables of a fixed size, so that nothing need ever be removed: a text that is seen again and again stays in its slot,
//! one that is not makes room for the next. What was given out lives as long as somebody holds it.

use std::array;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Texts, and references' kinds, that are remembered at most.
const SLOTS: usize = 1024;
/// Names of Kubernetes are no longer. What is longer is not remembered.
const MAX_BYTES: usize = 253;

/// A group and a kind, as a reference has them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupKind {
    pub(crate) group: Box<str>,
    pub(crate) kind: Box<str>,
}

/// This text, shared with others that say the same.
pub(crate) fn text(text: &str) -> Arc<str> {
    static TEXTS: LazyLock<Recent<str>> = LazyLock::new(Recent::default);
    if text.len() > MAX_BYTES {
        return Arc::from(text);
    }
    TEXTS.get(text, |known| known == text, || Arc::from(text))
}

/// This group and kind, shared likewise.
pub(crate) fn group_kind(group: &str, kind: &str) -> Arc<GroupKind> {
    static KINDS: LazyLock<Recent<GroupKind>> = LazyLock::new(Recent::default);
    let fresh = || {
        Arc::new(GroupKind {
            group: group.into(),
            kind: kind.into(),
        })
    };
    if group.len().max(kind.len()) > MAX_BYTES {
        return fresh();
    }
    let is_it = |known: &GroupKind| (&*known.group, &*known.kind) == (group, kind);
    KINDS.get((group, kind), is_it, fresh)
}

struct Recent<T: ?Sized> {
    hasher: RandomState,
    slots: Mutex<[Option<Arc<T>>; SLOTS]>,
}

impl<T: ?Sized> Default for Recent<T> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            slots: Mutex::new(array::from_fn(|_| None)),
        }
    }
}

impl<T: ?Sized> Recent<T> {
    fn get(&self, key: impl Hash, is_it: impl Fn(&T) -> bool, fresh: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let place = usize::try_from(self.hasher.hash_one(key) % SLOTS as u64).unwrap_or(0);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.get_mut(place) {
            Some(Some(known)) if is_it(known) => Arc::clone(known),
            Some(slot) => Arc::clone(slot.insert(fresh())),
            None => fresh(),
        }
    }
}

#[cfg(test)]
mod tests;
