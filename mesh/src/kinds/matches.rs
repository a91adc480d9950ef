//! HTTPRouteMatch and GRPCRouteMatch, checked as the CRDs check them. A match with a fault is dropped whole: it must
//! not match more than was meant.

use crate::decode::{Fields, Problems, quoted};
use http::{HeaderName, Method};
use routing::{GrpcMatch, HeaderMatch, HttpMatch, PathMatch, QueryMatch, TextMatch};
use serde_json::Value;

/// Headers, and query parameters, of one match (the CRDs' limit).
const MAX_ITEMS: usize = 16;
/// A path's length limit.
const MAX_PATH_BYTES: usize = 1024;
/// A header or query value's length limit.
const MAX_VALUE_BYTES: usize = 4096;

/// Reads an HTTPRouteMatch.
pub(crate) fn http(fields: &Fields<'_>, problems: &Problems) -> Option<HttpMatch> {
    let path = match fields.get("path") {
        Some(_) => fields.record("path", path).flatten(),
        None => Some(PathMatch::default()),
    };
    let method = match fields.get("method") {
        Some(_) => method(fields),
        None => Some(None),
    };
    let headers = headers(fields, problems);
    let query = query(fields, problems);
    Some(HttpMatch {
        path: path?,
        method: method?,
        headers: headers?,
        query: query?,
        istio: None,
    })
}

/// Reads a GRPCRouteMatch.
pub(crate) fn grpc(fields: &Fields<'_>, problems: &Problems) -> Option<GrpcMatch> {
    let headers = headers(fields, problems);
    let (service, method) = match fields.get("method") {
        Some(_) => fields.record("method", grpc_method)??,
        None => (None, None),
    };
    Some(GrpcMatch {
        service,
        method,
        headers: headers?,
    })
}

fn path(fields: &Fields<'_>) -> Option<PathMatch> {
    let kind = fields.text("type");
    let has_kind = fields.get("type").is_some();
    let value = match fields.get("value") {
        Some(_) => fields.text("value")?,
        None => "/",
    };
    match kind.unwrap_or("PathPrefix") {
        _ if has_kind && kind.is_none() => None,
        "Exact" => plain_path(fields, value).then(|| PathMatch::Exact(value.into())),
        "PathPrefix" => plain_path(fields, value).then(|| {
            let trimmed = value.strip_suffix('/').filter(|text| !text.is_empty()).unwrap_or(value);
            PathMatch::Prefix(trimmed.into())
        }),
        "RegularExpression" => compiled(fields, "value", PathMatch::regex_in(value, fields.regex_room())),
        other => {
            fields.error(
                "type",
                format!(
                    "expected Exact, PathPrefix or RegularExpression, found {}",
                    quoted(other)
                ),
            );
            None
        }
    }
}

/// The rules of the HTTPRoute CRD for Exact and PathPrefix.
fn plain_path(fields: &Fields<'_>, value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&b);
    let lower = value.to_ascii_lowercase();
    let wrong = if !value.starts_with('/') {
        "expected a path that begins with `/`"
    } else if value.len() > MAX_PATH_BYTES {
        "expected at most 1024 characters"
    } else if ["//", "/./", "/../"].iter().any(|part| value.contains(part))
        || value.ends_with("/.")
        || value.ends_with("/..")
    {
        "expected a normalised path, without `//`, `/./` and `/../`"
    } else if lower.contains("%2f") || value.contains('#') {
        "expected a path without `%2F` and `#`"
    } else if !value.bytes().all(plain) || !whole_escapes(value) {
        "expected a path of URL characters; others must be percent-encoded"
    } else {
        return true;
    };
    fields.error(
        "value",
        format!("{wrong}, found {}: this match is not in force", quoted(value)),
    );
    false
}

fn whole_escapes(value: &str) -> bool {
    value.split('%').skip(1).all(|rest| {
        let mut bytes = rest.bytes();
        let mut hex = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
        hex() && hex()
    })
}

fn method(fields: &Fields<'_>) -> Option<Option<Method>> {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    let text = fields.text("method")?;
    let found = KNOWN.into_iter().find(|method| method.as_str() == text);
    if found.is_none() {
        let known = "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE or PATCH";
        fields.error(
            "method",
            format!("expected {known}, found {}: this match is not in force", quoted(text)),
        );
    }
    found.map(Some)
}

fn grpc_method(fields: &Fields<'_>) -> Option<(Option<TextMatch>, Option<TextMatch>)> {
    let kind = match fields.get("type") {
        Some(_) => fields.text("type")?,
        None => "Exact",
    };
    let part = |name: &'static str| match (fields.get(name), kind) {
        (None, _) => Some(None),
        (Some(_), "Exact") => {
            let value = fields.text(name)?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
            if value.is_empty() || value.len() > MAX_PATH_BYTES || !value.bytes().all(plain) {
                fields.error(
                    name,
                    format!("expected the name of a gRPC {name}, found {}", quoted(value)),
                );
                return None;
            }
            Some(Some(TextMatch::Exact(value.into())))
        }
        (Some(_), "RegularExpression") => compiled(
            fields,
            name,
            TextMatch::regex_in(fields.text(name)?, fields.regex_room()),
        )
        .map(Some),
        (Some(_), other) => {
            fields.error(
                "type",
                format!("expected Exact or RegularExpression, found {}", quoted(other)),
            );
            None
        }
    };
    let (service, method) = (part("service"), part("method"));
    if fields.get("service").is_none() && fields.get("method").is_none() {
        fields.error(
            "service",
            "expected `service` or `method` or both: this match is not in force",
        );
        return None;
    }
    Some((service?, method?))
}

/// `None` when one of them is wrong: then the whole match is.
fn headers(fields: &Fields<'_>, problems: &Problems) -> Option<Vec<HeaderMatch>> {
    let mut is_whole = fields.get("headers").is_none_or(is_short);
    let mut found: Vec<HeaderMatch> = Vec::new();
    let _ = fields.bounded_list("headers", MAX_ITEMS, |value, at| {
        let read = crate::decode::record(value, at, problems, |fields| {
            let name = header_name(fields, "name")?;
            let value = value_match(fields);
            if found.iter().any(|earlier| earlier.name == name) {
                fields.warning("name", format!("header {name} is matched twice: the first counts"));
            } else {
                found.push(HeaderMatch { name, value: value? });
            }
            Some(())
        });
        is_whole &= read.flatten().is_some();
        Some(())
    });
    is_whole.then_some(found)
}

fn query(fields: &Fields<'_>, problems: &Problems) -> Option<Vec<QueryMatch>> {
    let mut is_whole = fields.get("queryParams").is_none_or(is_short);
    let mut found: Vec<QueryMatch> = Vec::new();
    let _ = fields.bounded_list("queryParams", MAX_ITEMS, |value, at| {
        let read = crate::decode::record(value, at, problems, |fields| {
            let name = fields.required("name")?.to_owned();
            let value = value_match(fields);
            if found.iter().any(|earlier| earlier.name == name) {
                fields.warning(
                    "name",
                    format!("parameter {} is matched twice: the first counts", quoted(&name)),
                );
            } else {
                found.push(QueryMatch { name, value: value? });
            }
            Some(())
        });
        is_whole &= read.flatten().is_some();
        Some(())
    });
    is_whole.then_some(found)
}

/// A list that is read whole: a match must not lose a part of what it asks for.
fn is_short(list: &Value) -> bool {
    list.as_array().is_some_and(|list| list.len() <= MAX_ITEMS)
}

/// A header name as the CRDs admit it.
pub(crate) fn header_name(fields: &Fields<'_>, field: &'static str) -> Option<HeaderName> {
    let text = fields.required(field)?;
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if text.len() <= 256 => Some(name),
        _ => {
            fields.error(field, format!("expected the name of a header, found {}", quoted(text)));
            None
        }
    }
}

fn value_match(fields: &Fields<'_>) -> Option<TextMatch> {
    let kind = match fields.get("type") {
        Some(_) => fields.text("type")?,
        None => "Exact",
    };
    let value = match fields.get("value") {
        Some(_) => fields.text("value")?,
        None => return fields.required("value").map(|text| TextMatch::Exact(text.into())),
    };
    if value.len() > MAX_VALUE_BYTES {
        fields.error("value", "expected at most 4096 characters: this match is not in force");
        return None;
    }
    match kind {
        "Exact" => Some(TextMatch::Exact(value.into())),
        "RegularExpression" => compiled(fields, "value", TextMatch::regex_in(value, fields.regex_room())),
        other => {
            fields.error(
                "type",
                format!("expected Exact or RegularExpression, found {}", quoted(other)),
            );
            None
        }
    }
}

/// The regex crate draws its errors over several lines; the last one says it.
pub(super) fn compiled<T>(fields: &Fields<'_>, name: &'static str, result: Result<T, String>) -> Option<T> {
    result
        .map_err(|why| {
            let why = why.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            fields.error(
                name,
                format!("bad regular expression: {why}: this match is not in force"),
            );
        })
        .ok()
}
