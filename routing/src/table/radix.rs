//! A radix tree over texts: one walk along a text meets every key that the text begins with.
//!
//! Our own, because what is needed is neither a map nor a URL router: all keys on the way, no parameters, no
//! escaping of `{` in paths, no allocation.

#[derive(Debug)]
pub(super) struct Tree<V> {
    /// The first is the root, whose label is empty.
    nodes: Vec<Node<V>>,
}

#[derive(Debug)]
struct Node<V> {
    /// The bytes between its parent and itself.
    label: Box<[u8]>,
    /// First bytes of labels, ascending, and where their nodes are.
    children: Vec<(u8, u32)>,
    value: Option<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(&[])],
        }
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
}

impl<V: Default> Tree<V> {
    /// The value of a key, a default one when the key is new. `None` only past 2^32 nodes.
    pub(super) fn insert(&mut self, key: &str) -> Option<&mut V> {
        let mut at = 0;
        let mut rest = key.as_bytes();
        while let Some(&first) = rest.first() {
            let node = self.nodes.get(at)?;
            match node.child(first) {
                Err(place) => {
                    let new = self.add(Node::new(rest))?;
                    self.nodes.get_mut(at)?.children.insert(place, (first, new));
                    at = new as usize;
                    rest = &[];
                }
                Ok(place) => {
                    let child = node.children.get(place)?.1;
                    let label = &self.nodes.get(child as usize)?.label;
                    let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
                    let next = if common == label.len() {
                        child
                    } else {
                        self.split(at, place, common)?
                    };
                    at = next as usize;
                    rest = rest.get(common..)?;
                }
            }
        }
        Some(self.nodes.get_mut(at)?.value.get_or_insert_default())
    }

    /// Puts a node between a parent and the child at `place`, `common` bytes into the child's label.
    fn split(&mut self, parent: usize, place: usize, common: usize) -> Option<u32> {
        let child = self.nodes.get(parent)?.children.get(place)?.1;
        let (upper, lower) = self.nodes.get(child as usize)?.label.split_at_checked(common)?;
        let (mut middle, lower): (Node<V>, Box<[u8]>) = (Node::new(upper), lower.into());
        middle.children.push((*lower.first()?, child));
        let middle = self.add(middle)?;
        self.nodes.get_mut(child as usize)?.label = lower;
        self.nodes.get_mut(parent)?.children.get_mut(place)?.1 = middle;
        Some(middle)
    }

    fn add(&mut self, node: Node<V>) -> Option<u32> {
        let number = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(node);
        Some(number)
    }
}

impl<V> Tree<V> {
    /// Shows every value whose key `text` begins with, shortest key first, with what of the text follows the key.
    pub(super) fn walk<'a>(&'a self, text: &str, mut show: impl FnMut(&'a V, &[u8])) {
        let mut rest = text.as_bytes();
        let mut node = self.nodes.first();
        while let Some(here) = node {
            if let Some(value) = &here.value {
                show(value, rest);
            }
            node = rest.first().and_then(|first| {
                let place = here.child(*first).ok()?;
                let child = self.nodes.get(here.children.get(place)?.1 as usize)?;
                rest = rest.strip_prefix(&*child.label)?;
                Some(child)
            });
        }
    }
}

#[cfg(test)]
mod tests;
