//! From a path to the runs of candidates that can match it, best run first.

use super::candidate::{Candidate, Place};
use super::radix::Tree;
use std::ops::Range;

/// Neighbours among the candidates that have the same place.
type Run = Range<usize>;

#[derive(Debug, Default)]
pub(super) struct Index {
    tree: Tree<Leaf>,
    prefixes: Vec<Prefix>,
    scan: Run,
}

/// What is kept for one text.
#[derive(Debug, Default)]
struct Leaf {
    exact: Option<Run>,
    /// Into `prefixes`.
    prefix: Option<usize>,
}

#[derive(Debug)]
struct Prefix {
    run: Run,
    /// The next shorter prefix of this one, into `prefixes`.
    shorter: Option<usize>,
}

impl Index {
    /// `candidates` are sorted by place.
    pub(super) fn over(candidates: &[Candidate]) -> Self {
        let mut index = Self::default();
        let mut start = 0;
        for run in candidates.chunk_by(|a, b| a.place == b.place) {
            let range = start..start + run.len();
            start = range.end;
            match run.first().map(|candidate| &candidate.place) {
                Some(Place::Exact(text)) => index.leaf(text, |leaf| leaf.exact = Some(range)),
                Some(Place::Prefix(text)) => {
                    // Sorted by text: shorter prefixes of this one are there already.
                    let shorter = text.rfind('/').and_then(|end| index.look_up(text.get(..end)?).1);
                    let number = index.prefixes.len();
                    index.prefixes.push(Prefix { run: range, shorter });
                    index.leaf(text, |leaf| leaf.prefix = Some(number));
                }
                Some(Place::Scan) | None => index.scan = range,
            }
        }
        index
    }

    /// Exact paths, then prefixes from the longest, then what has to be tried one by one.
    pub(super) fn runs(&self, path: &str) -> impl Iterator<Item = Run> {
        let (exact, longest) = self.look_up(path);
        let prefixes = std::iter::successors(longest.and_then(|longest| self.prefixes.get(longest)), |prefix| {
            self.prefixes.get(prefix.shorter?)
        });
        exact
            .into_iter()
            .chain(prefixes.map(|prefix| prefix.run.clone()))
            .chain(std::iter::once(self.scan.clone()))
    }

    /// The run of this exact path, and the longest prefix of it, element by element.
    fn look_up(&self, path: &str) -> (Option<Run>, Option<usize>) {
        let (mut exact, mut longest) = (None, None);
        self.tree.walk(path, |leaf, rest| {
            if rest.is_empty() {
                exact.clone_from(&leaf.exact);
            }
            if rest.is_empty() || rest.starts_with(b"/") {
                longest = leaf.prefix.or(longest);
            }
        });
        (exact, longest)
    }

    fn leaf(&mut self, text: &str, change: impl FnOnce(&mut Leaf)) {
        if let Some(leaf) = self.tree.insert(text) {
            change(leaf);
        }
    }
}
