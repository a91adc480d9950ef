//! The index of all rules that apply to one Service port, and the one look-up a request makes in it.
//!
//! Every match of every rule is a candidate. A radix tree leads from a path to the candidates that can match it, so that
//! a look-up is as long as the path, however many routes there are, and allocates nothing. Where one route of many
//! changes, the next table shares the rest with this one.

mod candidate;
mod compiled_route;
mod index;
mod precedence;
mod radix;
mod streams;

use crate::{Considered, Explanation, RouteKind, RouteSpec, Rule};
use candidate::Candidate;
pub use compiled_route::CompiledRoute;
use index::Index;
use request::Request;
use std::collections::HashSet;
use std::sync::Arc;
pub use streams::Streams;

/// All rules of all routes attached to one Service port, in Gateway API precedence, or in a VirtualService's order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    index: Index,
    /// TLSRoutes or TCPRoutes, where they are the strongest kind: nothing is a request then.
    streams: Option<Streams>,
    in_force: Vec<Arc<CompiledRoute>>,
    /// Routes that do not count because a route of a stronger kind is attached.
    outranked: Vec<Arc<CompiledRoute>>,
}

/// What a request matched.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The prefix that matched, for rewrites of it. A PathPrefix is without a trailing slash, except `/`; a
    /// VirtualService's is as written.
    pub prefix: Option<&'a str>,
    candidate: &'a Candidate,
}

impl<'a> Match<'a> {
    /// What every path begins with that this match takes: the path itself, the prefix, or what stands before the first
    /// special character of a pattern, up to a slash. `/` for gRPC. For the Path of cookies (GEP-1619).
    pub fn literal_path(&self) -> &'a str {
        self.candidate.literal_path()
    }
}

impl Table {
    /// The table of these routes.
    pub fn build(routes: Vec<RouteSpec>) -> Self {
        Self::of(routes.into_iter().map(CompiledRoute::new).collect())
    }

    /// The table of these routes.
    ///
    /// Only routes of the strongest kind count ([`crate::RouteKind`]): on one port they replace each other, they do
    /// not mix.
    pub fn of(routes: Vec<Arc<CompiledRoute>>) -> Self {
        Self::default().next(routes)
    }

    /// The table of these routes, as [`Table::of`] makes it, at the cost of those that are not in this one.
    #[must_use]
    pub fn next(&self, routes: Vec<Arc<CompiledRoute>>) -> Self {
        let strongest = routes.iter().map(|route| route.id.kind).min();
        let (in_force, outranked): (Vec<_>, Vec<_>) =
            routes.into_iter().partition(|route| Some(route.id.kind) == strongest);
        let mut index = self.index.clone();
        let (before, after) = (pointers(&self.in_force), pointers(&in_force));
        for gone in self
            .in_force
            .iter()
            .filter(|route| !after.contains(&Arc::as_ptr(route)))
        {
            gone.candidates.iter().for_each(|candidate| index.remove(candidate));
        }
        for new in in_force.iter().filter(|route| !before.contains(&Arc::as_ptr(route))) {
            new.candidates.iter().for_each(|candidate| index.add(candidate));
        }
        let streams = strongest.is_some_and(RouteKind::is_stream).then(|| {
            let specs = in_force.iter().filter_map(|route| route.stream.as_deref().cloned());
            Streams::build(specs.collect())
        });
        Self {
            index,
            streams,
            in_force,
            outranked,
        }
    }

    /// Whether it is made of just these routes, in this order.
    pub fn is_of(&self, routes: &[Arc<CompiledRoute>]) -> bool {
        let own = self.in_force.iter().chain(&self.outranked);
        routes.len() == self.in_force.len() + self.outranked.len()
            && own.zip(routes).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// The rules that count, route by route, for people to read.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.in_force.iter().flat_map(|route| &route.rules)
    }

    /// How connections are routed where TLSRoutes or TCPRoutes decide: what they carry is bytes then.
    pub fn streams(&self) -> Option<&Streams> {
        self.streams.as_ref()
    }

    /// The rule of highest precedence that matches; `None` is 404 (gRPC UNIMPLEMENTED).
    pub fn find<'a>(&'a self, request: &Request<'_>) -> Option<Match<'a>> {
        let path = request.head.path.as_str();
        let found = self
            .index
            .first(path, |candidate| candidate.matches_beside_path(request));
        found.map(|candidate| Match {
            rule: &candidate.rule,
            prefix: candidate.prefix(),
            candidate,
        })
    }

    /// Every match of every route in order of precedence, and why each but the winner lost.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let mut winner: Option<&Candidate> = None;
        let mut considered: Vec<_> = self
            .index
            .in_order()
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
        considered.extend(self.streams.iter().map(|streams| {
            let kind = if streams.is_tls() {
                RouteKind::Tls
            } else {
                RouteKind::Tcp
            };
            Considered {
                what: format!("{kind}s of this port"),
                lost_because: Some("they route connections: what is in them is not looked at".to_owned()),
            }
        }));
        considered.extend(self.outranked.iter().map(|route| Considered {
            what: route.id.to_string(),
            lost_because: Some("a route of a stronger kind is attached to this port".to_owned()),
        }));
        Explanation { considered }
    }
}

fn pointers(routes: &[Arc<CompiledRoute>]) -> HashSet<*const CompiledRoute> {
    routes.iter().map(Arc::as_ptr).collect()
}

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
