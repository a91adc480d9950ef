//! `corsPolicy`.

use super::{duration, text};
use crate::decode::{Fields, Problems, quoted};
use routing::{Cors, Filters, Listed, OriginPattern, TextMatch};

/// Entries of each list (ours).
const MAX_ENTRIES: usize = 256;

/// Reads `corsPolicy`. `None`: it is not there, or a part of it is not understood.
pub(super) fn read(fields: &Fields<'_>, filters: &mut Filters, problems: &Problems) -> Option<()> {
    let cors = fields.record("corsPolicy", |fields| policy(fields, problems)).flatten();
    filters.cors = cors.map(Box::new);
    filters.cors.as_ref().map(|_| ())
}

fn policy(fields: &Fields<'_>, problems: &Problems) -> Option<Cors> {
    let mut origins = Vec::new();
    let written = fields
        .get("allowOrigins")
        .and_then(|list| list.as_array())
        .map_or(0, Vec::len);
    let allowed = fields.bounded_list("allowOrigins", MAX_ENTRIES, |value, at| {
        text::entry(value, at, problems)
    });
    let is_whole = allowed.len() == written.min(MAX_ENTRIES);
    origins.extend(allowed.into_iter().map(origin));
    // Deprecated: exact texts.
    let exact = fields.texts("allowOrigin", MAX_ENTRIES).into_iter();
    origins.extend(exact.map(|text| origin(TextMatch::Exact(text.into()))));
    let listed = |name: &'static str| {
        Listed::of(&fields.texts(name, MAX_ENTRIES))
            .map_err(|why| fields.error(name, format!("{why}; the rule answers 500")))
            .ok()
    };
    let (methods, headers, exposed) = (listed("allowMethods"), listed("allowHeaders"), listed("exposeHeaders"));
    let credentials = fields.boolean("allowCredentials").unwrap_or(false);
    let max_age = duration(fields, "maxAge").map(|age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
    let forwards = forwards(fields);
    Some(Cors {
        origins: is_whole.then_some(origins)?,
        credentials,
        methods: methods?,
        headers: headers?,
        exposed: exposed?,
        max_age_seconds: max_age.unwrap_or(Cors::DEFAULT_MAX_AGE_SECONDS),
        forwards_unmatched: forwards?,
    })
}

fn origin(text: TextMatch) -> OriginPattern {
    match text {
        TextMatch::Exact(text) if &*text == "*" => OriginPattern::Any,
        TextMatch::Any => OriginPattern::Any,
        text => OriginPattern::Text(text),
    }
}

fn forwards(fields: &Fields<'_>) -> Option<bool> {
    match fields.text("unmatchedPreflights") {
        None | Some("UNSPECIFIED" | "FORWARD") => Some(true),
        Some("IGNORE") => Some(false),
        Some(other) => {
            let found = quoted(other);
            let message = format!("expected FORWARD or IGNORE, found {found}; the rule answers 500");
            fields.error("unmatchedPreflights", message);
            None
        }
    }
}
