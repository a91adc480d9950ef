//! The index of all rules that apply to one Service port, and the one look-up a request makes in it.
//!
//! Every match of every rule is a candidate. Candidates are laid out so that those of one path (exact or prefix) are
//! neighbours in order of precedence; a radix tree leads from a path to these runs, so that a look-up is as long as
//! the path, however many routes there are, and allocates nothing.

mod candidate;
mod index;
mod precedence;
mod radix;
mod streams;

use crate::{Considered, Explanation, RouteId, RouteKind, RouteSpec, Rule};
use candidate::Candidate;
use index::Index;
use request::Request;
use std::sync::Arc;
pub use streams::Streams;

/// All rules of all routes attached to one Service port, in Gateway API precedence, or in a VirtualService's order.
#[derive(Debug, Default)]
pub struct Table {
    candidates: Vec<Candidate>,
    index: Index,
    /// TLSRoutes or TCPRoutes, where they are the strongest kind: nothing is a request then.
    streams: Option<Streams>,
    /// Routes that do not count because a route of a stronger kind is attached.
    outranked: Vec<RouteId>,
}

/// What a request matched.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The prefix that matched, for rewrites of it. A PathPrefix is without a trailing slash, except `/`; a
    /// VirtualService's is as written.
    pub prefix: Option<&'a str>,
}

impl Table {
    /// Builds the index. Never fails: what cannot be was refused when the specs were parsed.
    ///
    /// Only routes of the strongest kind count ([`crate::RouteKind`]): on one port they replace each other, they do
    /// not mix.
    pub fn build(routes: Vec<RouteSpec>) -> Self {
        let strongest = routes.iter().map(|route| route.id.kind).min();
        let (counting, outranked): (Vec<_>, Vec<_>) =
            routes.into_iter().partition(|route| Some(route.id.kind) == strongest);
        let outranked = outranked.into_iter().map(|route| route.id).collect();
        if strongest.is_some_and(RouteKind::is_stream) {
            return Self {
                streams: Some(Streams::build(counting)),
                outranked,
                ..Self::default()
            };
        }
        let mut candidates: Vec<_> = counting.into_iter().flat_map(Candidate::of_route).collect();
        candidates.sort_by(|a, b| (&a.place, &a.precedence).cmp(&(&b.place, &b.precedence)));
        let index = Index::over(&candidates);
        Self {
            candidates,
            index,
            streams: None,
            outranked,
        }
    }

    /// How connections are routed where TLSRoutes or TCPRoutes decide: what they carry is bytes then.
    pub fn streams(&self) -> Option<&Streams> {
        self.streams.as_ref()
    }

    /// The rule of highest precedence that matches; `None` is 404 (gRPC UNIMPLEMENTED).
    pub fn find<'a>(&'a self, request: &Request<'_>) -> Option<Match<'a>> {
        let mut best: Option<&Candidate> = None;
        for run in self.index.runs(request.head.path.as_str()) {
            let run = self.candidates.get(run).unwrap_or_default();
            // Within a run candidates stand in order of precedence.
            let better = run
                .iter()
                .take_while(|candidate| best.is_none_or(|best| candidate.precedence < best.precedence));
            if let Some(found) = better.into_iter().find(|one| one.matches_beside_path(request)) {
                best = Some(found);
                if !found.precedence.is_in_order() {
                    break;
                }
            }
        }
        best.map(|candidate| Match {
            rule: &candidate.rule,
            prefix: candidate.prefix(),
        })
    }

    /// Every match of every route in order of precedence, and why each but the winner lost.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let mut in_order: Vec<_> = self.candidates.iter().collect();
        in_order.sort_by_key(|candidate| &candidate.precedence);
        let mut winner: Option<&Candidate> = None;
        let mut considered: Vec<_> = in_order
            .into_iter()
            .map(|candidate| {
                let mismatch = candidate.mismatch(request);
                let lost_because = match (mismatch, winner) {
                    (Some(mismatch), _) => Some(mismatch),
                    (None, Some(winner)) => Some(candidate.precedence.beaten_by(&winner.precedence)),
                    (None, None) => None,
                };
                if lost_because.is_none() {
                    winner = Some(candidate);
                }
                Considered {
                    what: candidate.to_string(),
                    lost_because,
                }
            })
            .collect();
        considered.extend(self.outranked.iter().map(|route| Considered {
            what: route.to_string(),
            lost_because: Some("a route of a stronger kind is attached to this port".to_owned()),
        }));
        Explanation { considered }
    }
}

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
