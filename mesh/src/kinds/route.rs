//! HTTPRoute and GRPCRoute: parents, and rules with everything that needs no other object resolved. (TLSRoute and
//! TCPRoute become the same [`Route`], see [`super::stream_route`].)

use super::Body;
use super::backend_ref::{BackendRef, ParentRef};
use super::duration;
use super::filter::{FilterSet, is_hostname};
use super::matches;
use super::session::{self, SessionSpec};
use crate::decode::{At, Fields, Problems, describe, quoted, record};
use routing::{HttpMatch, Matches, Retry, RetryOn, RouteKind, Seldom, SniPattern, Timeouts};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// More retries than this are not made, whatever a route asks for.
const MAX_RETRIES: i64 = 10;
/// The CRDs' limit of the matches of all rules of a route together.
const MAX_MATCHES: usize = 128;
/// The CRDs' limit of a weight.
const MAX_WEIGHT: i64 = 1_000_000;

/// A route.
#[derive(Debug)]
pub(crate) struct Route {
    /// Which kind.
    pub(crate) kind: RouteKind,
    /// `spec.parentRefs`.
    pub(crate) parents: Box<[ParentRef]>,
    /// `spec.hostnames` are given, good or not. (A TLSRoute's are in its matches.)
    pub(crate) has_hostnames: bool,
    /// The good ones.
    pub(crate) hostnames: Box<[SniPattern]>,
    /// `spec.rules`.
    pub(crate) rules: Box<[RouteRule]>,
}

/// A rule.
#[derive(Debug)]
pub(crate) struct RouteRule {
    /// Its place in the route.
    pub(crate) index: usize,
    /// `name`.
    pub(crate) name: Option<Arc<str>>,
    /// `None`: all its matches are faulty, so that it matches nothing.
    pub(crate) matches: Option<Matches>,
    /// `filters`.
    pub(crate) filters: Seldom<FilterSet>,
    /// `backendRefs`.
    pub(crate) backends: Box<[WeightedRef]>,
    /// `timeouts`.
    pub(crate) timeouts: Seldom<Timeouts>,
    /// `retry`.
    pub(crate) retry: Option<Box<Retry>>,
    /// `sessionPersistence`.
    pub(crate) session: Option<Box<SessionSpec>>,
}

/// A backendRef of a rule.
#[derive(Debug)]
pub(crate) struct WeightedRef {
    /// Its place in the rule.
    pub(crate) index: u32,
    /// `None`: not understood, invalid.
    pub(crate) reference: Option<BackendRef>,
    /// `weight`, default 1.
    pub(crate) weight: u32,
    /// `filters`.
    pub(crate) filters: Seldom<FilterSet>,
}

/// Parses an HTTPRoute.
pub(crate) fn http(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    parse(spec, at, problems, RouteKind::Http)
}

/// Parses a GRPCRoute.
pub(crate) fn grpc(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    parse(spec, at, problems, RouteKind::Grpc)
}

fn parse(spec: &Value, at: &At<'_>, problems: &Problems, kind: RouteKind) -> Body {
    let route = record(spec, at, problems, |fields| {
        fields.ignore(&["useDefaultGateways"]);
        let parents = parents(fields, problems);
        let written = fields.get("hostnames");
        let has_hostnames = written.is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty()));
        let hostnames = hostnames(fields, problems);
        let hostnames = hostnames.iter().map(|name| SniPattern::of(name)).collect();
        let rules = match fields.get("rules") {
            // The CRD's default: one rule for everything, with no backend.
            None => [empty_rule(kind)].into(),
            Some(_) => {
                let rules = fields.bounded_list("rules", 16, |value, at| {
                    record(value, at, problems, |fields| {
                        rule(fields, at.position(), kind, problems)
                    })
                });
                within_total(fields, rules)
            }
        };
        Route {
            kind,
            parents,
            has_hostnames,
            hostnames,
            rules,
        }
    });
    Body::Route(route.unwrap_or_else(|| Route::nothing(kind)))
}

impl Route {
    /// Whether some filter asks somebody else, or may: what a filter that cannot be applied asks for is not known.
    pub(crate) fn asks(&self) -> bool {
        let mut sets = self.rules.iter().flat_map(|rule| {
            let of_backends = rule.backends.iter().map(|backend| &backend.filters);
            std::iter::once(&rule.filters).chain(of_backends)
        });
        sets.any(|set| set.is_broken || set.external_auth.is_some())
    }

    /// What is left of a spec that is no mapping.
    pub(super) fn nothing(kind: RouteKind) -> Self {
        Self {
            kind,
            parents: Box::default(),
            has_hostnames: false,
            hostnames: Box::default(),
            rules: Box::default(),
        }
    }
}

/// `spec.parentRefs`.
pub(super) fn parents(fields: &Fields<'_>, problems: &Problems) -> Box<[ParentRef]> {
    if fields.get("parentRefs").is_none() {
        fields.warning("parentRefs", "no parentRefs: the route binds to nothing");
    }
    let parents = fields.bounded_list("parentRefs", 32, |value, at| {
        record(value, at, problems, |fields| ParentRef::read(fields, place(at))).flatten()
    });
    parents.into()
}

/// The place of an item in its list, which is bounded.
fn place(at: &At<'_>) -> u32 {
    u32::try_from(at.position()).unwrap_or(u32::MAX)
}

/// `name` of a rule.
pub(super) fn rule_name(fields: &Fields<'_>) -> Option<Arc<str>> {
    let name = fields.text("name").filter(|name| !name.is_empty())?;
    Some(Arc::from(name.get(..253).unwrap_or(name)))
}

fn empty_rule(kind: RouteKind) -> RouteRule {
    RouteRule {
        index: 0,
        name: None,
        matches: Some(everything(kind)),
        filters: Seldom::default(),
        backends: Box::default(),
        timeouts: Seldom::default(),
        retry: None,
        session: None,
    }
}

fn everything(kind: RouteKind) -> Matches {
    match kind {
        RouteKind::Grpc => Matches::Grpc(Vec::new()),
        _ => Matches::Http(Vec::new()),
    }
}

/// `spec.hostnames`, those that are good. Only TLSRoutes heed them on a Service's port.
pub(super) fn hostnames(fields: &Fields<'_>, problems: &Problems) -> Vec<String> {
    fields.bounded_list("hostnames", 16, |value, at| {
        let name = value.as_str().unwrap_or_default();
        let plain = name.strip_prefix("*.").unwrap_or(name);
        let is_good = is_hostname(plain) && plain.parse::<std::net::IpAddr>().is_err();
        if !is_good {
            let expected = "a DNS name, which may begin with `*.`, without port";
            problems.error(at, format!("expected {expected}, found {}", describe(value)));
        }
        is_good.then(|| name.to_owned())
    })
}

fn rule(fields: &Fields<'_>, index: usize, kind: RouteKind, problems: &Problems) -> RouteRule {
    let mut filters: Seldom<FilterSet> = FilterSet::read(fields, kind, problems).into();
    let mut backends = backends(fields, kind, problems);
    if filters.filters.redirect.is_some() && !backends.is_empty() {
        fields.error(
            "backendRefs",
            "expected no backendRefs beside a RequestRedirect: the rule redirects",
        );
    }
    let matches = rule_matches(fields, kind, problems);
    if !only_prefixes(matches.as_ref()) {
        let backends = backends
            .iter_mut()
            .map(|one| ("backendRefs", &mut one.filters, "its share"));
        for (field, set, who) in std::iter::once(("filters", &mut filters, "the rule")).chain(backends) {
            if filters_need_prefix(set) {
                let message = format!("ReplacePrefixMatch needs matches of type PathPrefix only: {who} answers 500");
                fields.error(field, message);
                set.edit(|set| set.is_broken = true);
            }
        }
    }
    let http = kind == RouteKind::Http;
    RouteRule {
        index,
        name: rule_name(fields),
        matches,
        filters,
        backends,
        timeouts: if http {
            fields.record("timeouts", timeouts).unwrap_or_default().into()
        } else {
            Seldom::default()
        },
        session: fields
            .record("sessionPersistence", session::read)
            .flatten()
            .map(Box::new),
        retry: if http {
            fields.record("retry", |fields| retry(fields, problems)).map(Box::new)
        } else {
            None
        },
    }
}

fn filters_need_prefix(set: &FilterSet) -> bool {
    use routing::PathRewrite::Prefix;
    let rewrite = set.filters.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref());
    let redirect = set
        .filters
        .redirect
        .as_ref()
        .and_then(|redirect| redirect.path.as_ref());
    matches!(rewrite, Some(Prefix(_))) || matches!(redirect, Some(Prefix(_)))
}

fn only_prefixes(matches: Option<&Matches>) -> bool {
    match matches {
        Some(Matches::Http(list)) => list.iter().all(|one| matches!(one.path, routing::PathMatch::Prefix(_))),
        _ => true,
    }
}

/// The matches of all rules together are bounded, too: a rule that loses all of its own matches nothing.
fn within_total(fields: &Fields<'_>, mut rules: Vec<RouteRule>) -> Box<[RouteRule]> {
    let mut room = MAX_MATCHES;
    for rule in &mut rules {
        let kept = match &mut rule.matches {
            Some(Matches::Http(list)) => cut(list, &mut room),
            Some(Matches::Grpc(list)) => cut(list, &mut room),
            Some(Matches::Tls(_) | Matches::Tcp) | None => continue,
        };
        if let Err(left) = kept {
            let index = rule.index;
            let message = format!(
                "expected at most {MAX_MATCHES} matches in all rules together: of rule {index} the last ones are not \
                 in force"
            );
            fields.error("rules", message);
            if left == 0 {
                rule.matches = None;
            }
        }
    }
    rules.into()
}

/// `Err`: there were more; how many are left.
fn cut<T>(list: &mut Vec<T>, room: &mut usize) -> Result<(), usize> {
    let found = list.len();
    list.truncate(*room);
    *room -= list.len();
    if list.len() == found { Ok(()) } else { Err(list.len()) }
}

/// `None` when matches were written and none of them can be used.
fn rule_matches(fields: &Fields<'_>, kind: RouteKind, problems: &Problems) -> Option<Matches> {
    let written = match fields.get("matches") {
        None => return Some(everything(kind)),
        Some(Value::Array(list)) if list.is_empty() => {
            let _ = fields.list("matches", 64, |_, _| Some(()));
            return Some(everything(kind));
        }
        Some(_) => "matches",
    };
    let matches = match kind {
        RouteKind::Grpc => Matches::Grpc(fields.bounded_list(written, 64, |value, at| {
            record(value, at, problems, |fields| matches::grpc(fields, problems)).flatten()
        })),
        _ => Matches::Http(fields.bounded_list(written, 64, |value, at| {
            record(value, at, problems, |fields| matches::http(fields, problems)).flatten()
        })),
    };
    let is_empty = match &matches {
        Matches::Grpc(list) => list.is_empty(),
        Matches::Http(list) => list.is_empty(),
        Matches::Tls(_) | Matches::Tcp => false,
    };
    (!is_empty).then_some(matches)
}

/// `backendRefs` of a rule.
pub(super) fn backends(fields: &Fields<'_>, kind: RouteKind, problems: &Problems) -> Box<[WeightedRef]> {
    let backends = fields.bounded_list("backendRefs", 16, |value, at| {
        let index = place(at);
        let read = record(value, at, problems, |fields| {
            // A weight that is not understood gets no traffic.
            let weight = match fields.get("weight") {
                None => Some(1),
                Some(_) => fields.integer("weight", 0..=MAX_WEIGHT),
            };
            let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0);
            let filters = if kind.is_stream() {
                Seldom::default()
            } else {
                FilterSet::read(fields, kind, problems).into()
            };
            WeightedRef {
                index,
                reference: BackendRef::read(fields),
                weight,
                filters,
            }
        });
        Some(read.unwrap_or_else(|| WeightedRef {
            index,
            reference: None,
            weight: 1,
            filters: Seldom::default(),
        }))
    });
    backends.into()
}

fn timeouts(fields: &Fields<'_>) -> Timeouts {
    let read = |name: &'static str| duration_of(fields, name).filter(|duration| !duration.is_zero());
    let (request, backend_request) = (read("request"), read("backendRequest"));
    match (request, backend_request) {
        (Some(whole), Some(each)) if each > whole => {
            fields.error(
                "backendRequest",
                "expected at most `request`: the request's deadline cuts it off",
            );
            Timeouts {
                request,
                backend_request: Some(whole),
            }
        }
        _ => Timeouts {
            request,
            backend_request,
        },
    }
}

fn duration_of(fields: &Fields<'_>, name: &'static str) -> Option<Duration> {
    let text = fields.text(name)?;
    let parsed = duration::parse(text);
    if parsed.is_none() {
        let expected = duration::EXPECTED;
        fields.error(
            name,
            format!("expected {expected}, found {}: it is not in force", quoted(text)),
        );
    }
    parsed
}

fn retry(fields: &Fields<'_>, problems: &Problems) -> Retry {
    let codes = fields.bounded_list("codes", 64, |value, at| {
        let code = value
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (400..600).contains(code));
        if code.is_none() {
            let found = describe(value);
            problems.error(
                at,
                format!("expected a status from 400 to 599, found {found}: it is not retried"),
            );
        }
        code
    });
    let attempts = fields.integer("attempts", 0..=i64::from(i32::MAX));
    if attempts.is_some_and(|attempts| attempts > MAX_RETRIES) {
        fields.warning("attempts", format!("more than {MAX_RETRIES} retries are never made"));
    }
    let attempts = attempts.unwrap_or(1).min(MAX_RETRIES);
    Retry {
        codes,
        on: RetryOn::default(),
        attempts: u32::try_from(attempts).unwrap_or(1),
        backoff: duration_of(fields, "backoff"),
    }
}

/// A match of everything, spelt out (for routes that are implied).
pub(crate) fn any_request() -> Matches {
    Matches::Http(vec![HttpMatch::default()])
}
