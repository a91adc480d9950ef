//! `headers` of a rule or a destination: what is set, added and removed. An entry that cannot be applied is left out.

use crate::decode::{At, Fields, Problems, describe, quoted};
use crate::kinds::filter::is_framing;
use http::header::HOST;
use http::{HeaderName, HeaderValue};
use routing::{Filters, HeaderModifier};
use serde_json::Value;

/// A value's length limit, as of the Gateway API.
const MAX_VALUE_BYTES: usize = 4_096;
/// Names in one list (ours).
const MAX_NAMES: usize = 256;

/// Reads `headers`.
pub(super) fn read(fields: &Fields<'_>, filters: &mut Filters, problems: &Problems) {
    fields.record("headers", |fields| {
        filters.request_headers = fields.record("request", |fields| Box::new(operations(fields, true, problems)));
        filters.response_headers = fields.record("response", |fields| Box::new(operations(fields, false, problems)));
    });
}

fn operations(fields: &Fields<'_>, of_request: bool, problems: &Problems) -> HeaderModifier {
    let pairs = |list: &'static str| {
        fields.entries(list, |name, value, at| {
            let name = name_of(name, of_request, at, problems)?;
            Some((name, value_of(value, at, problems)?))
        })
    };
    let (set, add) = (pairs("set"), pairs("add"));
    let remove = fields.bounded_list("remove", MAX_NAMES, |value, at| {
        let name = value.as_str().and_then(|text| name_of(text, false, at, problems));
        if !value.is_string() {
            problems.error(at, format!("expected the name of a header, found {}", describe(value)));
        }
        name
    });
    HeaderModifier { set, add, remove }
}

/// `with_host`: the Host may be set, by Envoy's name too.
fn name_of(text: &str, with_host: bool, at: &At<'_>, problems: &Problems) -> Option<HeaderName> {
    if text.eq_ignore_ascii_case(":authority") && with_host {
        return Some(HOST);
    }
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    let why = match &name {
        None => format!("expected the name of a header, found {}", quoted(text)),
        Some(name) if is_framing(name) || (*name == HOST && !with_host) => {
            format!("header {name} is the proxy's own: it is left as it is")
        }
        Some(_) => return name,
    };
    problems.error(at, why);
    None
}

/// Envoy writes `%` twice, and its variables between two; those we do not know.
fn value_of(value: &Value, at: &At<'_>, problems: &Problems) -> Option<HeaderValue> {
    let Some(text) = value.as_str() else {
        problems.error(
            at,
            format!("expected text, found {}: put it in quotes", describe(value)),
        );
        return None;
    };
    let plain = text.replace("%%", "");
    if plain.contains('%') {
        let message = "Envoy's %VARIABLES% are not supported (write %% for a per cent sign): the header is left out";
        problems.error(at, message);
        return None;
    }
    match HeaderValue::from_bytes(text.replace("%%", "%").as_bytes()) {
        Ok(value) if text.len() <= MAX_VALUE_BYTES => Some(value),
        _ => {
            problems.error(
                at,
                format!("expected a header value on one line, found {}", quoted(text)),
            );
            None
        }
    }
}
