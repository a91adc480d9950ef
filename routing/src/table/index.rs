//! From a path to the candidates that can match it, best first.

use super::candidate::{Candidate, Place, PlaceKind};
use super::radix::Tree;
use std::sync::Arc;

/// Candidates by place. A changed index shares what did not change with the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    tree: Tree<Leaf>,
    /// Those that are tried one after the other.
    scan: Run,
}

/// Candidates, in order of precedence.
type Run = Vec<Arc<Candidate>>;

/// What is kept for one text: those of this very path, of this prefix, of this beginning, in this order.
#[derive(Clone, Debug, Default)]
struct Leaf(Run);

impl Index {
    /// Adds a candidate.
    pub(super) fn add(&mut self, candidate: &Arc<Candidate>) {
        let order = |one: &Candidate, other: &Candidate| {
            let kinds = one.place.kind().cmp(&other.place.kind());
            kinds.then_with(|| one.precedence.cmp(&other.precedence))
        };
        self.change(candidate, |run| {
            let place = run.partition_point(|other| order(other, candidate).is_le());
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
        let mut consider = |run: &'a [Arc<Candidate>]| {
            let better = run
                .iter()
                .take_while(|one| best.is_none_or(|best| one.precedence < best.precedence))
                .find(|one| matches(one));
            best = better.or(best);
        };
        // Exact paths, then prefixes from the longest: the likelier a place is to hold the winner, the earlier.
        self.tree.visit(path, |leaf, rest| {
            let mut consider_here = |run: &'a [Arc<Candidate>]| {
                if run.first().is_some_and(|one| one.place.kind().holds_before(rest)) {
                    consider(run);
                }
            };
            match leaf.0.len() {
                1 => consider_here(&leaf.0),
                _ => leaf.runs().into_iter().for_each(consider_here),
            }
        });
        consider(&self.scan);
        best
    }

    /// Every candidate, in order of precedence.
    pub(super) fn in_order(&self) -> Vec<&Arc<Candidate>> {
        let mut all: Vec<&Arc<Candidate>> = self.scan.iter().collect();
        self.tree.each(|leaf| all.extend(&leaf.0));
        all.sort_by_key(|candidate| &candidate.precedence);
        all
    }

    fn change(&mut self, candidate: &Candidate, change: impl FnOnce(&mut Run)) {
        match &candidate.place {
            Place::Exact(text) | Place::Prefix(text) | Place::Start(text) => self.tree.change(text, |leaf| {
                change(&mut leaf.0);
                !leaf.0.is_empty()
            }),
            Place::Scan => change(&mut self.scan),
        }
    }
}

impl Leaf {
    /// Exact paths, prefixes, beginnings.
    fn runs(&self) -> [&[Arc<Candidate>]; 3] {
        let before = |run: &[Arc<Candidate>], kind| run.partition_point(|one| one.place.kind() < kind);
        let (exact, rest) = self.0.split_at(before(&self.0, PlaceKind::Prefix));
        let (prefix, start) = rest.split_at(before(rest, PlaceKind::Start));
        [exact, prefix, start]
    }
}
