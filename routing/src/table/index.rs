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
    /// Prefixes by character.
    starts: Vec<Prefix>,
    scan: Run,
}

/// What is kept for one text.
#[derive(Debug, Default)]
struct Leaf {
    exact: Option<Run>,
    /// Into `prefixes`.
    prefix: Option<usize>,
    /// Into `starts`.
    start: Option<usize>,
}

/// What is kept for one path.
#[derive(Debug, Default)]
struct Found {
    exact: Option<Run>,
    /// The longest prefix, into `prefixes`.
    prefix: Option<usize>,
    /// The longest start, into `starts`.
    start: Option<usize>,
}

#[derive(Debug)]
struct Prefix {
    run: Run,
    /// The next shorter prefix of this one, in the same list.
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
                    let shorter = text.rfind('/').and_then(|end| index.look_up(text.get(..end)?).prefix);
                    let number = index.prefixes.len();
                    index.prefixes.push(Prefix { run: range, shorter });
                    index.leaf(text, |leaf| leaf.prefix = Some(number));
                }
                Some(Place::Start(text)) => {
                    let shorter = index.look_up(text).start;
                    let number = index.starts.len();
                    index.starts.push(Prefix { run: range, shorter });
                    index.leaf(text, |leaf| leaf.start = Some(number));
                }
                Some(Place::Scan) | None => index.scan = range,
            }
        }
        index
    }

    /// Exact paths, then prefixes from the longest, then starts from the longest, then what has to be tried one by one.
    pub(super) fn runs(&self, path: &str) -> impl Iterator<Item = Run> {
        let found = self.look_up(path);
        found
            .exact
            .into_iter()
            .chain(from_longest(&self.prefixes, found.prefix))
            .chain(from_longest(&self.starts, found.start))
            .chain(std::iter::once(self.scan.clone()))
    }

    fn look_up(&self, path: &str) -> Found {
        let mut found = Found::default();
        self.tree.walk(path, |leaf, rest| {
            if rest.is_empty() {
                found.exact.clone_from(&leaf.exact);
            }
            if rest.is_empty() || rest.starts_with(b"/") {
                found.prefix = leaf.prefix.or(found.prefix);
            }
            found.start = leaf.start.or(found.start);
        });
        found
    }

    fn leaf(&mut self, text: &str, change: impl FnOnce(&mut Leaf)) {
        if let Some(leaf) = self.tree.insert(text) {
            change(leaf);
        }
    }
}

fn from_longest(list: &[Prefix], longest: Option<usize>) -> impl Iterator<Item = Run> {
    let longest = longest.and_then(|longest| list.get(longest));
    std::iter::successors(longest, |prefix| list.get(prefix.shorter?)).map(|prefix| prefix.run.clone())
}
