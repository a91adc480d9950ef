//! What most rules do not have: a value that is mostly nothing, and takes the room of a pointer then.
//!
//! There is a rule, or ten, for each of a thousand routes, and few of them filter anything or say how long they wait.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// A value that is mostly [`Nothing::NOTHING`]. It reads like the value; clones share it.
#[derive(Clone, Debug)]
pub struct Seldom<T>(Option<Arc<T>>);

/// A type one of whose values says nothing.
pub trait Nothing: Clone + 'static {
    /// That value.
    const NOTHING: &'static Self;

    /// Whether it is that value.
    fn is_nothing(&self) -> bool;
}

impl<T> Seldom<T> {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self(None)
    }
}

impl<T: Nothing> Seldom<T> {
    /// Changes the value.
    pub fn edit(&mut self, change: impl FnOnce(&mut T)) {
        let mut value = T::clone(self);
        change(&mut value);
        *self = value.into();
    }
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self::nothing()
    }
}

impl<T: Nothing> From<T> for Seldom<T> {
    fn from(value: T) -> Self {
        Self((!value.is_nothing()).then(|| Arc::new(value)))
    }
}

impl<T: Nothing> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::NOTHING)
    }
}

/// Empty.
impl<K: Clone + 'static, V: Clone + 'static> Nothing for BTreeMap<K, V> {
    const NOTHING: &'static Self = &Self::new();

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests;
