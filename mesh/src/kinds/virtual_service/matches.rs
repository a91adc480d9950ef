//! HTTPMatchRequest. A match with a fault is dropped whole: it must not match more than was meant.

use super::text;
use crate::decode::{At, Fields, Problems, quoted, record};
use crate::kinds::matches::compiled;
use http::{HeaderName, Method};
use routing::{HeaderMatch, HttpMatch, IstioMatch, PathMatch, QueryMatch, TextMatch};
use serde_json::Value;
use std::sync::Arc;

/// Matches of one rule (ours; Istio has no limit). The rest is not in force.
const MAX_MATCHES: usize = 1_024;
/// A path's length limit, as of the Gateway API.
const MAX_PATH_BYTES: usize = 1_024;
/// A waypoint is spoken to in clear inside its tunnels.
const SCHEME: &str = "http";
/// Names that stand for fields of their own: Istio ignores them as names of headers.
const NO_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];

/// A match, and the one port it is for.
#[derive(Clone, Debug)]
pub(crate) struct PortMatch {
    /// `port`; `None`: any.
    pub(crate) port: Option<u16>,
    /// The rest.
    pub(crate) request: HttpMatch,
}

/// Reads `match` of a rule.
pub(super) fn read(fields: &Fields<'_>, problems: &Problems) -> Vec<PortMatch> {
    let everything = || PortMatch {
        port: None,
        request: HttpMatch {
            path: PathMatch::Start("/".into()),
            ..HttpMatch::default()
        },
    };
    match fields.get("match") {
        None => vec![everything()],
        Some(Value::Array(list)) if list.is_empty() => vec![everything()],
        Some(_) => fields.bounded_list("match", MAX_MATCHES, |value, at| {
            record(value, at, problems, |fields| one(fields, problems)).flatten()
        }),
    }
}

/// `None`: faulty, or not for a waypoint.
fn one(fields: &Fields<'_>, problems: &Problems) -> Option<PortMatch> {
    fields.ignore(&["name", "statPrefix"]);
    let has_gateways = fields.get("gateways").is_some();
    let is_elsewhere = has_gateways && !fields.texts("gateways", 64).contains(&super::MESH);
    let port = match fields.get("port") {
        None => None,
        Some(_) => Some(fields.port("port")?),
    };
    if fields.get("sourceLabels").is_some() {
        fields.error(
            "sourceLabels",
            "a waypoint knows no labels of its clients: this match is not in force; use sourceNamespace",
        );
        return None;
    }
    let path = path(fields)?;
    let scheme = text::field(fields, "scheme");
    let (method, other_method) = method(fields)?;
    let istio = IstioMatch {
        method: other_method,
        authority: whole(text::field(fields, "authority"))?,
        without: headers(fields, "withoutHeaders", problems)?,
        source_namespace: fields.text("sourceNamespace").map(Box::from),
    };
    let is_plain = istio.method.is_none()
        && istio.authority.is_none()
        && istio.without.is_empty()
        && istio.source_namespace.is_none();
    let request = HttpMatch {
        path,
        method,
        headers: headers(fields, "headers", problems)?,
        query: query(fields, problems)?,
        istio: (!is_plain).then(|| Box::new(istio)),
    };
    if whole(scheme)?.is_some_and(|scheme| !scheme.matches(SCHEME)) {
        let message = "requests come to a waypoint by scheme http only: this match is never met";
        fields.warning("scheme", message);
        return None;
    }
    (!is_elsewhere).then_some(PortMatch { port, request })
}

/// Absent is no condition, faulty is no match.
#[allow(clippy::option_option)] // three outcomes
fn whole(read: Option<Option<TextMatch>>) -> Option<Option<TextMatch>> {
    match read {
        None => Some(None),
        Some(text) => Some(Some(text?)),
    }
}

fn path(fields: &Fields<'_>) -> Option<PathMatch> {
    let ignores_case = fields.boolean("ignoreUriCase").unwrap_or(false);
    if fields.get("uri").is_none() {
        return Some(PathMatch::Start("/".into()));
    }
    let read = fields.record("uri", |fields| {
        let text = ["exact", "prefix"].map(|name| (name, fields.get(name).is_some()));
        if let Some((name, _)) = text.iter().find(|(_, is_written)| *is_written) {
            return plain(fields, name, ignores_case);
        }
        match fields.text("regex") {
            None => Some(PathMatch::Start("/".into())),
            Some(regex) => compiled(fields, "regex", PathMatch::regex_in(regex, fields.regex_room())),
        }
    });
    read.flatten()
}

fn plain(fields: &Fields<'_>, name: &'static str, ignores_case: bool) -> Option<PathMatch> {
    let written = ["exact", "prefix", "regex"].map(|name| fields.get(name).is_some());
    if written.into_iter().filter(|is_written| *is_written).count() > 1 {
        fields.error(
            name,
            "expected one of `exact`, `prefix` and `regex`: this match is not in force",
        );
        return None;
    }
    let text = fields.text(name)?;
    if !text.starts_with('/') || text.len() > MAX_PATH_BYTES {
        let expected = "a path that begins with `/`, of at most 1024 bytes";
        fields.error(
            name,
            format!(
                "expected {expected}, found {}: this match is not in force",
                quoted(text)
            ),
        );
        return None;
    }
    let text = Arc::from(text);
    Some(match (name, ignores_case) {
        ("exact", false) => PathMatch::Exact(text),
        ("exact", true) => PathMatch::ExactIgnoreCase(text),
        (_, false) => PathMatch::Start(text),
        (_, true) => PathMatch::StartIgnoreCase(text),
    })
}

/// An exact method is looked up as such.
fn method(fields: &Fields<'_>) -> Option<(Option<Method>, Option<TextMatch>)> {
    Some(match whole(text::field(fields, "method"))? {
        None | Some(TextMatch::Any) => (None, None),
        Some(TextMatch::Exact(text)) => match Method::from_bytes(text.as_bytes()) {
            Ok(method) => (Some(method), None),
            Err(_) => (None, Some(TextMatch::Exact(text))),
        },
        Some(other) => (None, Some(other)),
    })
}

/// `None` when one of them is wrong: then the whole match is.
fn headers(fields: &Fields<'_>, field: &'static str, problems: &Problems) -> Option<Vec<HeaderMatch>> {
    let mut is_whole = fields.get(field).is_none_or(Value::is_object);
    let read = fields.entries(field, |name, value, at| {
        if NO_HEADERS.contains(&name) {
            problems.warning(at, "not heeded, as in Istio: it is a field of the match, not a header");
            return None;
        }
        let read = header_name(name, at, problems).zip(text::entry(value, at, problems));
        is_whole &= read.is_some();
        read.map(|(name, value)| HeaderMatch { name, value })
    });
    is_whole.then_some(read)
}

fn header_name(name: &str, at: &At<'_>, problems: &Problems) -> Option<HeaderName> {
    // Envoy's names for them.
    let name = if name == ":authority" { "host" } else { name };
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Some(name),
        Err(_) => {
            problems.error(at, format!("expected the name of a header, found {}", quoted(name)));
            None
        }
    }
}

fn query(fields: &Fields<'_>, problems: &Problems) -> Option<Vec<QueryMatch>> {
    let mut is_whole = fields.get("queryParams").is_none_or(Value::is_object);
    let read = fields.entries("queryParams", |name, value, at| {
        let value = text::entry(value, at, problems);
        is_whole &= value.is_some();
        let name = name.to_owned();
        value.map(|value| QueryMatch { name, value })
    });
    is_whole.then_some(read)
}
