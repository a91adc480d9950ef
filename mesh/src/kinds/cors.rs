//! The CORS filter (HTTPCORSFilter), checked as the CRD checks it.

use crate::decode::Fields;
use routing::{Cors, Listed, OriginPattern};

/// The methods that the CRD knows.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*",
];

/// Reads the body of the filter. `None` when a part of it is not understood: what was meant to be refused must not pass.
pub(crate) fn read(fields: &Fields<'_>) -> Option<Cors> {
    let origins = origins(fields);
    let credentials = match fields.get("allowCredentials") {
        None => Some(false),
        Some(_) => fields.boolean("allowCredentials"),
    };
    let methods = methods(fields);
    let headers = listed(fields, "allowHeaders", 64);
    let exposed = listed(fields, "exposeHeaders", 64);
    let max_age = match fields.get("maxAge") {
        None => Some(Cors::DEFAULT_MAX_AGE_SECONDS),
        Some(_) => fields
            .integer("maxAge", 1..=i64::from(i32::MAX))
            .and_then(|seconds| u32::try_from(seconds).ok()),
    };
    let cors = Cors {
        origins: origins?,
        credentials: credentials?,
        methods: methods?,
        headers: headers?,
        exposed: exposed?,
        max_age_seconds: max_age?,
        forwards_unmatched: false,
    };
    if cors.credentials && cors.exposed == Listed::Everything {
        let message = "browsers do not take \"*\" here where credentials are allowed: it is not sent; name the headers";
        fields.warning("exposeHeaders", message);
    }
    if cors.origins.is_empty() {
        fields.warning(
            "allowOrigins",
            "no origin is allowed: browsers refuse every cross-origin request",
        );
    }
    Some(cors)
}

fn origins(fields: &Fields<'_>) -> Option<Vec<OriginPattern>> {
    let texts = alone_or_not(fields, "allowOrigins", 64)?;
    let parsed: Vec<OriginPattern> = texts
        .iter()
        .filter_map(|text| {
            OriginPattern::parse(text)
                .map_err(|why| fields.error("allowOrigins", why))
                .ok()
        })
        .collect();
    (parsed.len() == texts.len()).then_some(parsed)
}

fn methods(fields: &Fields<'_>) -> Option<Listed> {
    let texts = alone_or_not(fields, "allowMethods", 9)?;
    if let Some(unknown) = texts.iter().find(|text| !METHODS.contains(text)) {
        let known = METHODS.join(", ");
        fields.error("allowMethods", format!("expected some of {known}, found {unknown:?}"));
        return None;
    }
    list(fields, "allowMethods", &texts)
}

fn listed(fields: &Fields<'_>, name: &'static str, most: usize) -> Option<Listed> {
    let texts = if name == "exposeHeaders" {
        texts(fields, name, most)?
    } else {
        alone_or_not(fields, name, most)?
    };
    list(fields, name, &texts)
}

fn list(fields: &Fields<'_>, name: &'static str, texts: &[&str]) -> Option<Listed> {
    Listed::of(texts).map_err(|why| fields.error(name, why)).ok()
}

/// A list in which `*` must stand alone.
fn alone_or_not<'a>(fields: &Fields<'a>, name: &'static str, most: usize) -> Option<Vec<&'a str>> {
    let texts = texts(fields, name, most)?;
    if texts.contains(&"*") && texts.len() > 1 {
        fields.error(name, "expected \"*\" alone or names, found both");
        return None;
    }
    Some(texts)
}

/// `None` when it is no list, or something in it is no text.
fn texts<'a>(fields: &Fields<'a>, name: &'static str, most: usize) -> Option<Vec<&'a str>> {
    let written = fields.get(name).map_or(Some(0), |value| value.as_array().map(Vec::len));
    let texts = fields.texts(name, most);
    (written == Some(texts.len())).then_some(texts)
}
