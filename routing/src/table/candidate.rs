//! One match of one rule: where it is found, what it asks of a request, what comes of it.

use super::precedence::{ByName, HostRank, PathRank, Precedence, TextRank, number};
use crate::matching::source;
use crate::{
    GrpcMatch, HeaderMatch, HttpMatch, IstioMatch, Matches, PathMatch, QueryMatch, RouteKind, RouteSpec, Rule,
    RuleSpec, SniPattern, TextMatch,
};
use http::Method;
use regex::bytes::Regex;
use request::{Request, shown, shown_header};
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) precedence: Precedence,
    pub(super) rule: Arc<Rule>,
    /// Of many routes the place is all.
    beside: Option<Box<Beside>>,
}

/// What is asked of a request that the place holds.
#[derive(Debug)]
struct Beside {
    host: Option<SniPattern>,
    path: Path,
    method: Option<Method>,
    headers: Box<[HeaderMatch]>,
    query: Box<[QueryMatch]>,
    istio: Option<Box<IstioMatch>>,
}

/// Where the index keeps a candidate. Places are searched in this order, prefixes and starts from the longest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// With those of this very path.
    Exact(Arc<str>),
    /// With those of this prefix, which has no trailing slash: `/` is "".
    Prefix(Arc<str>),
    /// With those of this beginning, character by character.
    Start(Arc<str>),
    /// With those that are tried one after the other.
    Scan,
}

/// What of the path the place does not decide.
#[derive(Debug)]
enum Path {
    Placed,
    Regex(Arc<Regex>),
    ExactIgnoreCase(Arc<str>),
    StartIgnoreCase(Arc<str>),
    Grpc {
        service: Option<TextMatch>,
        method: Option<TextMatch>,
    },
}

/// The kinds of places, in the order in which they are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PlaceKind {
    Exact,
    Prefix,
    Start,
    Scan,
}

impl PlaceKind {
    /// Whether a place of this kind holds a path that begins with its text and goes on so.
    pub(super) fn holds_before(self, rest: &[u8]) -> bool {
        match self {
            Self::Exact => rest.is_empty(),
            Self::Prefix => rest.is_empty() || rest.starts_with(b"/"),
            Self::Start | Self::Scan => true,
        }
    }
}

impl Place {
    pub(super) fn kind(&self) -> PlaceKind {
        match self {
            Self::Exact(_) => PlaceKind::Exact,
            Self::Prefix(_) => PlaceKind::Prefix,
            Self::Start(_) => PlaceKind::Start,
            Self::Scan => PlaceKind::Scan,
        }
    }

    /// The prefix as users know it.
    fn prefix(&self) -> Option<&str> {
        match self {
            Self::Prefix(text) if text.is_empty() => Some("/"),
            Self::Prefix(text) | Self::Start(text) => Some(text),
            Self::Exact(_) | Self::Scan => None,
        }
    }

    fn holds(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => path == &**text,
            Self::Prefix(text) => path
                .strip_prefix(&**text)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Start(text) => path.starts_with(&**text),
            Self::Scan => true,
        }
    }
}

impl Candidate {
    /// One for each match of each rule.
    pub(super) fn of_route(route: RouteSpec) -> Vec<Arc<Self>> {
        let in_order = route.id.kind == RouteKind::VirtualService;
        let mut candidates = Vec::new();
        for (rule_index, spec) in route.rules.into_iter().enumerate() {
            let parsed = Self::of_hosts(&route.hostnames, spec);
            candidates.extend(parsed.into_iter().map(|(match_index, mut candidate)| {
                candidate.precedence.created = route.created;
                candidate.precedence.route = ByName(Arc::clone(&route.id));
                candidate.precedence.rule = number(rule_index);
                candidate.precedence.match_index = number(match_index);
                if in_order {
                    candidate.precedence.in_order();
                }
                Arc::new(candidate)
            }));
        }
        candidates
    }

    /// The matches of a rule with their places: once for each hostname, where there are any.
    fn of_hosts(hostnames: &[SniPattern], spec: RuleSpec) -> Vec<(usize, Self)> {
        let Some((last, others)) = hostnames.split_last() else {
            return Self::of_rule(spec).into_iter().enumerate().collect();
        };
        let of_host = |host: &SniPattern, spec| {
            let host = host.clone();
            let all = Self::of_rule(spec).into_iter().enumerate();
            all.map(move |(place, mut candidate)| {
                candidate.precedence.host = HostRank::of(Some(&host));
                candidate.beside.get_or_insert_default().host = Some(host.clone());
                (place, candidate)
            })
        };
        let mut all: Vec<_> = others.iter().flat_map(|host| of_host(host, spec.clone())).collect();
        all.extend(of_host(last, spec));
        all
    }

    fn of_rule(spec: RuleSpec) -> Vec<Self> {
        match spec.matches {
            Matches::Http(all) if all.is_empty() => vec![Self::http(HttpMatch::default(), &spec.rule)],
            Matches::Http(all) => all.into_iter().map(|one| Self::http(one, &spec.rule)).collect(),
            Matches::Grpc(all) if all.is_empty() => vec![Self::grpc(GrpcMatch::default(), &spec.rule)],
            Matches::Grpc(all) => all.into_iter().map(|one| Self::grpc(one, &spec.rule)).collect(),
            // Of streams, see `super::streams`.
            Matches::Tls(_) | Matches::Tcp => Vec::new(),
        }
    }

    fn http(mut wanted: HttpMatch, rule: &Arc<Rule>) -> Self {
        if let PathMatch::Prefix(text) = &mut wanted.path {
            let trimmed = text.trim_end_matches('/');
            if trimmed.len() < text.len() {
                *text = trimmed.into();
            }
        }
        let rank = PathRank::of(&wanted.path);
        let (place, path) = match wanted.path {
            PathMatch::Exact(text) => (Place::Exact(text), Path::Placed),
            PathMatch::Prefix(text) => (Place::Prefix(text), Path::Placed),
            PathMatch::Start(text) => (Place::Start(text), Path::Placed),
            PathMatch::ExactIgnoreCase(text) => (Place::Scan, Path::ExactIgnoreCase(text)),
            PathMatch::StartIgnoreCase(text) => (Place::Scan, Path::StartIgnoreCase(text)),
            PathMatch::Regex(regex) => (Place::Scan, Path::Regex(regex)),
        };
        let beside = Beside {
            host: None,
            path,
            method: wanted.method,
            headers: first_of_each(wanted.headers, |header| header.name.clone()),
            query: first_of_each(wanted.query, |parameter| parameter.name.clone()),
            istio: wanted.istio,
        };
        Self::new(place, rank, beside, rule)
    }

    fn grpc(wanted: GrpcMatch, rule: &Arc<Rule>) -> Self {
        let place = match (&wanted.service, &wanted.method) {
            (Some(TextMatch::Exact(service)), Some(TextMatch::Exact(method))) => {
                Place::Exact(format!("/{service}/{method}").into())
            }
            (Some(TextMatch::Exact(service)), _) => Place::Prefix(format!("/{service}").into()),
            _ => Place::Scan,
        };
        let rank = PathRank::Grpc {
            service: TextRank::of(wanted.service.as_ref()),
            method: TextRank::of(wanted.method.as_ref()),
        };
        let path = Path::Grpc {
            service: wanted.service,
            method: wanted.method,
        };
        let beside = Beside {
            path,
            headers: first_of_each(wanted.headers, |header| header.name.clone()),
            ..Beside::default()
        };
        Self::new(place, rank, beside, rule)
    }

    fn new(place: Place, rank: PathRank, beside: Beside, rule: &Arc<Rule>) -> Self {
        let precedence = Precedence {
            host: HostRank::Any,
            path: rank,
            has_method: Reverse(beside.method.is_some()),
            headers: Reverse(number(beside.headers.len())),
            query: Reverse(number(beside.query.len())),
            // Told by `of_route`.
            created: i64::MAX,
            route: ByName(Arc::clone(&rule.route)),
            rule: 0,
            match_index: 0,
        };
        Self {
            place,
            precedence,
            rule: Arc::clone(rule),
            beside: (!beside.is_nothing()).then(|| Box::new(beside)),
        }
    }

    fn path(&self) -> &Path {
        self.beside.as_ref().map_or(&Path::Placed, |beside| &beside.path)
    }

    /// The prefix that it asks for. (A gRPC service is placed like one, but is none.)
    pub(super) fn prefix(&self) -> Option<&str> {
        match self.path() {
            Path::Placed => self.place.prefix(),
            Path::StartIgnoreCase(text) => Some(text),
            Path::Regex(_) | Path::ExactIgnoreCase(_) | Path::Grpc { .. } => None,
        }
    }

    /// See [`crate::Match::literal_path`].
    pub(super) fn literal_path(&self) -> &str {
        match (self.path(), &self.place) {
            (Path::Regex(regex), _) => literal_of(source(regex)),
            (Path::Placed, Place::Exact(text)) => text,
            (Path::Placed, place) => place.prefix().unwrap_or("/"),
            _ => "/",
        }
    }

    /// Whether it matches a request that its place holds.
    pub(super) fn matches_beside_path(&self, request: &Request<'_>) -> bool {
        self.beside.as_ref().is_none_or(|beside| beside.matches(request))
    }

    /// The first thing that it asks of a request and does not get.
    pub(super) fn mismatch(&self, request: &Request<'_>) -> Option<String> {
        let beside = self.beside.as_deref();
        let host = beside.and_then(|beside| Some((beside.host.as_ref()?, beside)));
        if let Some((host, _)) = host.filter(|(_, beside)| !beside.is_for_host(request)) {
            return Some(format!("host: wanted {host}, found {}", request.head.authority.host()));
        }
        let path = request.head.path.as_str();
        if !self.place.holds(path) || !self.path().matches(request) {
            return Some(format!("path: wanted {}, found {path:?}", self.wanted_path()));
        }
        beside?.mismatch_beside_path(request)
    }

    fn wanted_path(&self) -> String {
        match (self.path(), &self.place) {
            (Path::Regex(regex), _) => format!("a match of {:?}", source(regex)),
            (Path::Grpc { service, method }, _) => {
                let text = |part: &Option<TextMatch>| part.as_ref().map_or("any".to_owned(), TextMatch::to_string);
                format!("service {}, method {}", text(service), text(method))
            }
            (Path::ExactIgnoreCase(text), _) => format!("{text:?} in any case"),
            (Path::StartIgnoreCase(text), _) => format!("a start of {text:?} in any case"),
            (Path::Placed, Place::Exact(text)) => format!("{text:?}"),
            (Path::Placed, Place::Start(text)) => format!("a start of {text:?}"),
            (Path::Placed, place) => format!("prefix {:?}", place.prefix().unwrap_or_default()),
        }
    }
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            host: None,
            path: Path::Placed,
            method: None,
            headers: Box::default(),
            query: Box::default(),
            istio: None,
        }
    }
}

impl Beside {
    fn is_nothing(&self) -> bool {
        let Self {
            host,
            path,
            method,
            headers,
            query,
            istio,
        } = self;
        host.is_none()
            && matches!(path, Path::Placed)
            && method.is_none()
            && headers.is_empty()
            && query.is_empty()
            && istio.is_none()
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        self.is_for_host(request)
            && self.method.as_ref().is_none_or(|method| method == request.method)
            && self.path.matches(request)
            && self.headers.iter().all(|header| header.matches(request))
            && self.query.iter().all(|parameter| parameter.matches(request))
            && self.istio.as_ref().is_none_or(|istio| istio.matches(request))
    }

    fn is_for_host(&self, request: &Request<'_>) -> bool {
        let host = || request.head.authority.host();
        self.host.as_ref().is_none_or(|wanted| wanted.matches(host()))
    }

    fn mismatch_beside_path(&self, request: &Request<'_>) -> Option<String> {
        if let Some(method) = self.method.as_ref().filter(|method| *method != request.method) {
            return Some(format!("method: wanted {method}, found {}", request.method));
        }
        if let Some(header) = self.headers.iter().find(|header| !header.matches(request)) {
            let found = request.header_joined(&header.name);
            let found = found.map(|value| shown_header(&header.name, &value));
            return Some(wanted("header", header.name.as_str(), &header.value, found));
        }
        if let Some(parameter) = self.query.iter().find(|parameter| !parameter.matches(request)) {
            let found = request.query_parameter(&parameter.name).map(shown);
            return Some(wanted("query parameter", &parameter.name, &parameter.value, found));
        }
        self.istio.as_ref()?.mismatch(request)
    }
}

impl Path {
    fn matches(&self, request: &Request<'_>) -> bool {
        let path = request.head.path.as_str();
        match self {
            Self::Placed
            | Self::Grpc {
                service: None,
                method: None,
            } => true,
            Self::Regex(regex) => regex.is_match(path.as_bytes()),
            Self::ExactIgnoreCase(text) => path.eq_ignore_ascii_case(text),
            Self::StartIgnoreCase(text) => {
                let start = path.as_bytes().get(..text.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
            }
            Self::Grpc { service, method } => {
                let parts = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
                parts.is_some_and(|(called_service, called_method)| {
                    service.as_ref().is_none_or(|service| service.matches(called_service))
                        && method.as_ref().is_none_or(|method| method.matches(called_method))
                })
            }
        }
    }
}

impl HeaderMatch {
    fn matches(&self, request: &Request<'_>) -> bool {
        match &self.value {
            TextMatch::Exact(value) => request.header_is(&self.name, value),
            value => request
                .header_joined(&self.name)
                .is_some_and(|found| value.matches(&found)),
        }
    }
}

impl QueryMatch {
    fn matches(&self, request: &Request<'_>) -> bool {
        request
            .query_parameter(&self.name)
            .is_some_and(|value| self.value.matches(value))
    }
}

/// `HTTPRoute namespace/name rule 0 match 1`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Precedence { rule, match_index, .. } = self.precedence;
        write!(f, "{} rule {rule} match {match_index}", self.rule.route)
    }
}

/// Quoted, or as a regular expression.
impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Start(text) => write!(f, "a start of {text:?}"),
            Self::Exact(text) => write!(f, "{text:?}"),
            Self::Regex(regex) => write!(f, "a match of {:?}", source(regex)),
        }
    }
}

/// The whole path elements before the first special character of a pattern.
fn literal_of(pattern: &str) -> &str {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let special = |c: char| "\\^$.|?*+()[]{}".contains(c);
    let plain = match pattern.find(special) {
        None => return pattern,
        Some(end) => pattern.get(..end).unwrap_or_default(),
    };
    match plain.rfind('/') {
        Some(slash) if slash > 0 => plain.get(..slash).unwrap_or("/"),
        _ => "/",
    }
}

fn wanted(kind: &str, name: &str, value: &TextMatch, found: Option<String>) -> String {
    format!(
        "{kind} {name}: wanted {value}, found {}",
        found.as_deref().unwrap_or("none")
    )
}

/// Of entries with equal names only the first counts (HTTPRouteMatch.headers, queryParams).
fn first_of_each<T, N: PartialEq>(all: Vec<T>, name: impl Fn(&T) -> N) -> Box<[T]> {
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    for one in all {
        if !kept.iter().any(|other| name(other) == name(&one)) {
            kept.push(one);
        }
    }
    kept.into()
}
