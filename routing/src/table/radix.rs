//! A radix tree over texts: one walk along a text meets every key that the text begins with.
//!
//! Our own, because what is needed is neither a map nor a URL router: all keys on the way, no parameters, no
//! escaping of `{` in paths, no allocation in a walk, and a changed tree that shares what did not change with the one
//! before (nodes are copied on the way to a changed key only).

use std::sync::Arc;

/// Keys should be short: a walk and a change recurse once for each node on the way, at most once for each byte.
#[derive(Clone, Debug)]
pub(super) struct Tree<V> {
    root: Arc<Node<V>>,
}

#[derive(Clone, Debug)]
struct Node<V> {
    /// The bytes between its parent and itself.
    label: Box<[u8]>,
    /// First bytes of labels, ascending, and their nodes.
    children: Vec<(u8, Arc<Node<V>>)>,
    value: Option<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self {
            root: Arc::new(Node::new(&[])),
        }
    }
}

impl<V: Clone + Default> Tree<V> {
    /// Changes the value of a key, which is a default one when the key is new. `change` tells whether it is still of
    /// use: if not, the key goes.
    pub(super) fn change(&mut self, key: &str, change: impl FnOnce(&mut V) -> bool) {
        Arc::make_mut(&mut self.root).change(key.as_bytes(), change);
    }
}

impl<V> Tree<V> {
    /// Shows every value whose key `text` begins with, longest key first, with what of the text follows the key.
    pub(super) fn visit<'a>(&'a self, text: &str, mut show: impl FnMut(&'a V, &[u8])) {
        self.root.visit(text.as_bytes(), &mut show);
    }

    /// Shows every value.
    pub(super) fn each<'a>(&'a self, mut show: impl FnMut(&'a V)) {
        self.root.each(&mut show);
    }

    /// How many nodes it has.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.root.count()
    }
}

impl<V> Node<V> {
    fn new(label: &[u8]) -> Self {
        Self {
            label: label.into(),
            children: Vec::new(),
            value: None,
        }
    }

    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |(byte, _)| *byte)
    }

    fn visit<'a>(&'a self, rest: &[u8], show: &mut impl FnMut(&'a V, &[u8])) {
        let child = rest.first().and_then(|first| {
            let (_, child) = self.children.get(self.child(*first).ok()?)?;
            Some((child, rest.strip_prefix(&*child.label)?))
        });
        if let Some((child, rest)) = child {
            child.visit(rest, show);
        }
        if let Some(value) = &self.value {
            show(value, rest);
        }
    }

    fn each<'a>(&'a self, show: &mut impl FnMut(&'a V)) {
        self.value.iter().for_each(&mut *show);
        for (_, child) in &self.children {
            child.each(show);
        }
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        1 + self.children.iter().map(|(_, child)| child.count()).sum::<usize>()
    }
}

impl<V: Clone + Default> Node<V> {
    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut V) -> bool) {
        let Some(&first) = key.first() else {
            let mut value = self.value.take().unwrap_or_default();
            self.value = change(&mut value).then_some(value);
            return;
        };
        match self.child(first) {
            Err(place) => {
                let mut child = Self::new(key);
                child.change(&[], change);
                if child.value.is_some() {
                    // Most nodes have few.
                    self.children.reserve_exact(1);
                    self.children.insert(place, (first, Arc::new(child)));
                }
            }
            Ok(place) => {
                let Some((_, child)) = self.children.get_mut(place) else {
                    return;
                };
                let child = Arc::make_mut(child);
                let common = child.label.iter().zip(key).take_while(|(a, b)| a == b).count();
                child.split(common);
                child.change(key.get(common..).unwrap_or_default(), change);
                if child.value.is_none() && child.children.is_empty() {
                    self.children.remove(place);
                } else {
                    child.join();
                }
            }
        }
    }

    /// Keeps `common` bytes of the label and leaves the rest to a child, unless the label has no more.
    fn split(&mut self, common: usize) {
        let Some((upper, lower)) = self.label.split_at_checked(common) else {
            return;
        };
        let Some(&first) = lower.first() else { return };
        let (upper, lower): (Box<[u8]>, Box<[u8]>) = (upper.into(), lower.into());
        let child = Self {
            label: lower,
            children: std::mem::take(&mut self.children),
            value: self.value.take(),
        };
        self.label = upper;
        self.children = vec![(first, Arc::new(child))];
    }

    /// A node without a value and with one child is that child.
    fn join(&mut self) {
        if self.value.is_some() || self.children.len() != 1 {
            return;
        }
        if let Some((_, child)) = self.children.pop() {
            let child = Arc::unwrap_or_clone(child);
            self.label = [&*self.label, &*child.label].concat().into();
            self.children = child.children;
            self.value = child.value;
        }
    }
}

#[cfg(test)]
mod tests;
