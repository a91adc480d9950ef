//! The specification read word by word: try everything, keep what goes first. [`super::Table::find`] must equal it.
#![allow(clippy::indexing_slicing)]

use crate::{GrpcMatch, HttpMatch, IstioMatch, Matches, PathMatch, RouteKind, RouteSpec, Rule, SniPattern, TextMatch};
use request::Request;
use std::sync::Arc;

/// Whether the path part matches, and its rank: kind, then lengths. Smaller goes first.
type PathResult = (bool, (u8, i64, i64, i64));

pub(super) fn find(routes: &[RouteSpec], request: &Request<'_>) -> Option<(Arc<Rule>, Option<String>)> {
    let mut all = Vec::new();
    let strongest = routes.iter().map(|route| route.id.kind).min();
    for route in routes.iter().filter(|route| Some(route.id.kind) == strongest) {
        let in_order = route.id.kind == RouteKind::VirtualService;
        for (r, rule) in route.rules.iter().enumerate() {
            let matches: Vec<_> = match &rule.matches {
                Matches::Http(list) if list.is_empty() => vec![http(&HttpMatch::default(), request)],
                Matches::Http(list) => list.iter().map(|one| http(one, request)).collect(),
                Matches::Grpc(list) if list.is_empty() => vec![grpc_match(&GrpcMatch::default(), request)],
                Matches::Grpc(list) => list.iter().map(|one| grpc_match(one, request)).collect(),
                Matches::Tls(_) | Matches::Tcp => Vec::new(),
            };
            let Some(host) = host(&route.hostnames, request) else {
                continue;
            };
            for (m, (matched, specificity, prefix)) in matches.into_iter().enumerate() {
                let name = format!("{}/{}", route.id.namespace, route.id.name);
                if matched {
                    let nothing: Specificity = ((0, 0, 0, 0), true, 0, 0);
                    let specificity = if in_order { nothing } else { specificity };
                    all.push((
                        ((host, specificity), route.created, name, r, m),
                        (Arc::clone(&rule.rule), prefix),
                    ));
                }
            }
        }
    }
    all.into_iter()
        .min_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, found)| found)
}

/// The rank of the best of the hostnames that match, smaller goes first; `None`: none does.
fn host(hostnames: &[SniPattern], request: &Request<'_>) -> Option<(u8, i64)> {
    if hostnames.is_empty() {
        return Some((2, 0));
    }
    let host = request.head.authority.host();
    let matching = hostnames.iter().filter_map(|one| match one.to_string() {
        text if text == host => Some((0, 0)),
        text => {
            let end = text.strip_prefix('*')?;
            (host.ends_with(end) && host != end).then_some((1, -(end.len() as i64)))
        }
    });
    matching.min()
}

type Specificity = ((u8, i64, i64, i64), bool, i64, i64);

fn http(one: &HttpMatch, request: &Request<'_>) -> (bool, Specificity, Option<String>) {
    let path = request.head.path.as_str();
    let (matched, rank): PathResult = match &one.path {
        PathMatch::Exact(text) => (*path == **text, (0, 0, 0, 0)),
        PathMatch::Prefix(text) => {
            let elements = |text: &str| {
                text.trim_end_matches('/')
                    .split('/')
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let (wanted, given) = (elements(text), path.split('/').map(str::to_owned).collect::<Vec<_>>());
            (
                given.starts_with(&wanted),
                (1, -(text.trim_end_matches('/').len() as i64), 0, 0),
            )
        }
        PathMatch::Regex(regex) => (
            regex.is_match(path.as_bytes()),
            (2, -(regex.as_str().len() as i64), 0, 0),
        ),
        PathMatch::Start(text) => (path.starts_with(&**text), (0, 0, 0, 0)),
        PathMatch::ExactIgnoreCase(text) => (path.to_lowercase() == text.to_lowercase(), (0, 0, 0, 0)),
        PathMatch::StartIgnoreCase(text) => (path.to_lowercase().starts_with(&text.to_lowercase()), (0, 0, 0, 0)),
    };
    let prefix = match &one.path {
        PathMatch::Prefix(text) if text.trim_end_matches('/').is_empty() => Some("/".to_owned()),
        PathMatch::Prefix(text) => Some(text.trim_end_matches('/').to_owned()),
        PathMatch::Start(text) | PathMatch::StartIgnoreCase(text) => Some(text.to_string()),
        PathMatch::Exact(_) | PathMatch::ExactIgnoreCase(_) | PathMatch::Regex(_) => None,
    };
    let method = one.method.as_ref().is_none_or(|method| method == request.method);
    let (headers, header_count) = headers(&one.headers, request);
    let mut seen = Vec::new();
    let query = one.query.iter().all(|wanted| {
        seen.contains(&wanted.name) || {
            seen.push(wanted.name.clone());
            let given = request.head.query.as_deref().unwrap_or_default().split('&');
            let first = given
                .map(|p| p.split_once('=').unwrap_or((p, "")))
                .find(|(name, _)| *name == wanted.name);
            request.head.query.is_some() && first.is_some_and(|(_, value)| wanted.value.matches(value))
        }
    });
    let mut names: Vec<_> = one.query.iter().map(|q| &q.name).collect();
    names.sort();
    names.dedup();
    let specificity = (rank, one.method.is_none(), -header_count, -(names.len() as i64));
    let istio = one.istio.as_ref().is_none_or(|more| istio(more, request));
    (matched && method && headers && query && istio, specificity, prefix)
}

fn istio(more: &IstioMatch, request: &Request<'_>) -> bool {
    let mut all = vec![
        more.method.as_ref().is_none_or(|m| m.matches(request.method.as_str())),
        more.authority
            .as_ref()
            .is_none_or(|a| a.matches(request.head.authority.as_str())),
        more.source_namespace.is_none() || more.source_namespace.as_deref() == request.connection.source_namespace(),
    ];
    for header in &more.without {
        let found = request.header_joined(&header.name);
        all.push(match (&header.value, found) {
            (TextMatch::Any, found) => found.is_none(),
            (value, Some(found)) => !value.matches(&found),
            (value, None) => !value.matches(""),
        });
    }
    all.into_iter().all(|holds| holds)
}

fn grpc_match(one: &GrpcMatch, request: &Request<'_>) -> (bool, Specificity, Option<String>) {
    let rank = |text: &Option<TextMatch>| match text {
        Some(TextMatch::Exact(text)) => (0, -(text.len() as i64)),
        Some(TextMatch::Regex(regex)) => (1, -(regex.as_str().len() as i64)),
        Some(TextMatch::Any | TextMatch::Start(_)) => unreachable!("no GRPCRoute has these"),
        None => (2, 0),
    };
    let parts: Vec<_> = request.head.path.as_str().splitn(3, '/').collect();
    let matched = match (&one.service, &one.method) {
        (None, None) => true,
        (service, method) => {
            parts.len() == 3
                && service.as_ref().is_none_or(|service| service.matches(parts[1]))
                && method.as_ref().is_none_or(|method| method.matches(parts[2]))
        }
    };
    let (headers, header_count) = headers(&one.headers, request);
    let ((kind, service), (method_kind, method)) = (rank(&one.service), rank(&one.method));
    (
        matched && headers,
        ((kind, service, i64::from(method_kind), method), true, -header_count, 0),
        None,
    )
}

fn headers(wanted: &[crate::HeaderMatch], request: &Request<'_>) -> (bool, i64) {
    let mut seen = Vec::new();
    let mut all = true;
    for header in wanted {
        if !seen.contains(&&header.name) {
            seen.push(&header.name);
            all &= request
                .header_joined(&header.name)
                .is_some_and(|value| header.value.matches(&value));
        }
    }
    (all, seen.len() as i64)
}
