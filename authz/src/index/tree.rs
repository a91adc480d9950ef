//! Texts and beginnings of texts, sorted: one binary search finds all that a text is or begins with.

/// What something is filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// This very text.
    Exact(Box<str>),
    /// Every text that begins so.
    Prefix(Box<str>),
}

/// Numbers by key.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Sorted by text, each text once.
    nodes: Box<[Node]>,
}

#[derive(Debug)]
struct Node {
    text: Box<str>,
    /// The longest other text here that this one begins with.
    parent: Option<usize>,
    exact: Vec<usize>,
    prefix: Vec<usize>,
}

impl Tree {
    /// The numbers under one key keep their order; the same one again is left out.
    pub(crate) fn new(mut entries: Vec<(Key, usize)>) -> Self {
        // Stable.
        entries.sort_by(|(a, _), (b, _)| a.text().cmp(b.text()));
        let mut nodes: Vec<Node> = Vec::with_capacity(entries.len());
        let mut open: Vec<usize> = Vec::new();
        for (key, number) in entries {
            if nodes.last().is_none_or(|node| *node.text != *key.text()) {
                while let Some(outer) = open.last().and_then(|at| nodes.get(*at))
                    && !key.text().starts_with(&*outer.text)
                {
                    open.pop();
                }
                let parent = open.last().copied();
                open.push(nodes.len());
                nodes.push(Node {
                    text: key.text().into(),
                    parent,
                    exact: Vec::new(),
                    prefix: Vec::new(),
                });
            }
            let Some(node) = nodes.last_mut() else { continue };
            let numbers = match key {
                Key::Exact(_) => &mut node.exact,
                Key::Prefix(_) => &mut node.prefix,
            };
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
        Self { nodes: nodes.into() }
    }

    /// Calls `found` with the numbers under every key that `text` is or begins with.
    ///
    /// The longest such key stands at or above the last text that is not greater: whatever sorts between a text and
    /// its beginning begins so too.
    pub(crate) fn leading_to(&self, text: &str, found: &mut impl FnMut(&[usize])) {
        let mut at = self.nodes.partition_point(|node| *node.text <= *text).checked_sub(1);
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if text.starts_with(&*node.text) {
                found(&node.prefix);
                if node.text.len() == text.len() {
                    found(&node.exact);
                }
            }
            at = node.parent;
        }
    }
}

impl Key {
    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text,
        }
    }
}

#[cfg(test)]
mod tests;
