//! TLSRoute and TCPRoute: where whole connections go.
//!
//! Their rules have no matches, so that only the first one can be reached; a backend that cannot be used closes its
//! share of the connections.

use super::Body;
use super::route::{Route, RouteRule, backends, hostnames, parents, rule_name};
use crate::decode::{At, Fields, Problems, record};
use routing::{Matches, RouteKind, Seldom, SniPattern};
use serde_json::Value;

/// Parses a TLSRoute.
pub(crate) fn tls(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    parse(spec, at, problems, RouteKind::Tls)
}

/// Parses a TCPRoute.
pub(crate) fn tcp(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    parse(spec, at, problems, RouteKind::Tcp)
}

fn parse(spec: &Value, at: &At<'_>, problems: &Problems, kind: RouteKind) -> Body {
    let route = record(spec, at, problems, |fields| {
        fields.ignore(&["useDefaultGateways"]);
        let parents = parents(fields, problems);
        let matches = matches(fields, kind, problems);
        let rules = fields.bounded_list("rules", 16, |value, at| {
            record(value, at, problems, |fields| {
                if at.position() == 1 {
                    let message =
                        "only the first rule is in force: rules of this kind have no matches to tell them apart";
                    problems.error(at, message);
                }
                rule(fields, at.position(), kind, matches.clone(), problems)
            })
        });
        if rules.is_empty() {
            fields.error(
                "rules",
                "expected a rule, found none: the route closes every connection",
            );
        }
        Route {
            kind,
            parents,
            has_hostnames: false,
            hostnames: Box::default(),
            rules: if rules.is_empty() {
                [closed(matches)].into()
            } else {
                rules.into()
            },
        }
    });
    Body::Route(route.unwrap_or_else(|| Route::nothing(kind)))
}

/// `None`: hostnames are written and none of them can be used.
fn matches(fields: &Fields<'_>, kind: RouteKind, problems: &Problems) -> Option<Matches> {
    if kind == RouteKind::Tcp {
        return Some(Matches::Tcp);
    }
    let written = fields.get("hostnames").and_then(Value::as_array);
    let names = hostnames(fields, problems);
    let is_faulty =
        names.is_empty() && written.is_none_or(|list| !list.is_empty()) && fields.get("hostnames").is_some();
    (!is_faulty).then(|| Matches::Tls(names.iter().map(|name| SniPattern::of(name)).collect()))
}

fn rule(
    fields: &Fields<'_>,
    index: usize,
    kind: RouteKind,
    matches: Option<Matches>,
    problems: &Problems,
) -> RouteRule {
    let backends = backends(fields, kind, problems);
    if backends.is_empty() {
        fields.warning("backendRefs", "no backendRefs: the rule closes every connection");
    }
    RouteRule {
        name: rule_name(fields),
        backends,
        index,
        ..closed(matches)
    }
}

/// A rule without backends.
fn closed(matches: Option<Matches>) -> RouteRule {
    RouteRule {
        index: 0,
        name: None,
        matches,
        filters: Seldom::default(),
        backends: Box::default(),
        timeouts: Seldom::default(),
        retry: None,
        session: None,
    }
}
