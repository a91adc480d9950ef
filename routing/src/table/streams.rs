//! TLSRoutes and TCPRoutes of one port: which rule a connection gets, by the name in its ClientHello or by none.
//!
//! TLSRoute of the Gateway API: an exact name goes before a wildcard, a longer wildcard before a shorter, any of them
//! before a route without `hostnames`; among equals the oldest route, then the first by `namespace/name`. Only the
//! first rule of a route can match: rules have no matches of their own.

use crate::{Matches, RouteKind, RouteSpec, Rule, SniPattern};
use std::collections::HashMap;
use std::sync::Arc;

/// The look-up a connection makes, whatever number of routes there is: at most one step per label.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    exact: HashMap<Box<str>, Arc<Rule>>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, Arc<Rule>>,
    any: Option<Arc<Rule>>,
    tls: bool,
}

impl Streams {
    /// `routes` are all TLSRoutes or all TCPRoutes.
    pub(super) fn build(mut routes: Vec<RouteSpec>) -> Self {
        let name = |route: &RouteSpec| format!("{}/{}", route.id.namespace, route.id.name);
        routes.sort_by_cached_key(|route| (route.created, name(route)));
        let mut streams = Self::default();
        for route in routes {
            streams.tls |= route.id.kind == RouteKind::Tls;
            for spec in route.rules.into_iter().take(1) {
                streams.add(spec.matches, &spec.rule);
            }
        }
        streams
    }

    /// The first that asks for a name has it.
    fn add(&mut self, matches: Matches, rule: &Arc<Rule>) {
        match matches {
            Matches::Tls(names) if !names.is_empty() => {
                for name in names {
                    let (map, name) = match name {
                        SniPattern::Exact(name) => (&mut self.exact, name),
                        SniPattern::Wildcard(suffix) => (&mut self.wildcards, suffix),
                    };
                    map.entry(name).or_insert_with(|| Arc::clone(rule));
                }
            }
            _ => {
                self.any.get_or_insert_with(|| Arc::clone(rule));
            }
        }
    }

    /// Connections here begin with a ClientHello: TLSRoutes decide.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The rule for a connection with this SNI (lower case); `None`: no route wants it, it is closed.
    pub fn find(&self, sni: Option<&str>) -> Option<&Arc<Rule>> {
        let Some(name) = sni else { return self.any.as_ref() };
        let mut longest_first = name.match_indices('.').filter_map(|(dot, _)| name.get(dot + 1..));
        self.exact
            .get(name)
            .or_else(|| longest_first.find_map(|suffix| self.wildcards.get(suffix)))
            .or(self.any.as_ref())
    }
}

#[cfg(test)]
mod tests;
