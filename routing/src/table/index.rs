//! From a path to the candidates that can match it, best first.

use super::candidate::{Candidate, Place};
use super::radix::Tree;
use std::sync::Arc;

/// Candidates by place. A changed index shares what did not change with the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    tree: Tree<Leaf>,
    /// Those that are tried one after the other.
    scan: Run,
}

/// Candidates of one place, in order of precedence.
type Run = Vec<Arc<Candidate>>;

/// What is kept for one text.
#[derive(Clone, Debug, Default)]
struct Leaf {
    exact: Run,
    prefix: Run,
    /// Prefixes by character.
    start: Run,
}

impl Index {
    /// Adds a candidate.
    pub(super) fn add(&mut self, candidate: &Arc<Candidate>) {
        self.change(candidate, |run| {
            let place = run.partition_point(|other| other.precedence <= candidate.precedence);
            if run.is_empty() {
                // Most places have one candidate.
                run.reserve_exact(1);
            }
            run.insert(place, Arc::clone(candidate));
        });
    }

    /// Removes this very candidate.
    pub(super) fn remove(&mut self, candidate: &Arc<Candidate>) {
        self.change(candidate, |run| run.retain(|other| !Arc::ptr_eq(other, candidate)));
    }

    /// The candidate of highest precedence that the path's places hold and that `matches`.
    pub(super) fn first<'a>(&'a self, path: &str, matches: impl Fn(&Candidate) -> bool) -> Option<&'a Arc<Candidate>> {
        let mut best: Option<&Arc<Candidate>> = None;
        let mut consider = |run: &'a Run| {
            let better = run
                .iter()
                .take_while(|one| best.is_none_or(|best| one.precedence < best.precedence))
                .find(|one| matches(one));
            best = better.or(best);
        };
        // Exact paths, then prefixes from the longest: the likelier a place is to hold the winner, the earlier.
        self.tree.visit(path, |leaf, rest| {
            if rest.is_empty() {
                consider(&leaf.exact);
            }
            if rest.is_empty() || rest.starts_with(b"/") {
                consider(&leaf.prefix);
            }
            consider(&leaf.start);
        });
        consider(&self.scan);
        best
    }

    /// Every candidate, in order of precedence.
    pub(super) fn in_order(&self) -> Vec<&Arc<Candidate>> {
        let mut all: Vec<&Arc<Candidate>> = self.scan.iter().collect();
        self.tree.each(|leaf| all.extend(leaf.runs().into_iter().flatten()));
        all.sort_by_key(|candidate| &candidate.precedence);
        all
    }

    fn change(&mut self, candidate: &Candidate, change: impl FnOnce(&mut Run)) {
        match &candidate.place {
            Place::Exact(text) => self.tree.change(text, |leaf| {
                change(&mut leaf.exact);
                leaf.is_of_use()
            }),
            Place::Prefix(text) => self.tree.change(text, |leaf| {
                change(&mut leaf.prefix);
                leaf.is_of_use()
            }),
            Place::Start(text) => self.tree.change(text, |leaf| {
                change(&mut leaf.start);
                leaf.is_of_use()
            }),
            Place::Scan => change(&mut self.scan),
        }
    }
}

impl Leaf {
    fn is_of_use(&self) -> bool {
        self.runs().into_iter().any(|run| !run.is_empty())
    }

    fn runs(&self) -> [&Run; 3] {
        [&self.exact, &self.prefix, &self.start]
    }
}
