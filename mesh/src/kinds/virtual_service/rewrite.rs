//! `rewrite`: another path, another authority.

use crate::decode::{Fields, quoted};
use http::HeaderValue;
use routing::{Filters, HostRewrite, PathRewrite, Rewrite};

/// Reads `rewrite`. `None`: it is not there, or cannot be applied.
pub(super) fn read(fields: &Fields<'_>, filters: &mut Filters) -> Option<()> {
    filters.rewrite = fields.record("rewrite", rewrite).flatten().map(Box::new);
    filters.rewrite.as_ref().map(|_| ())
}

fn rewrite(fields: &Fields<'_>) -> Option<Rewrite> {
    let hostname = match fields.text("authority").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(HostRewrite(authority(fields, text)?)),
    };
    let is_regex = fields.get("uriRegexRewrite").is_some();
    let path = match fields.text("uri").filter(|uri| !uri.is_empty()) {
        Some(_) if is_regex => {
            fields.error(
                "uri",
                "expected `uri` or `uriRegexRewrite`, found both; the rule answers 500",
            );
            return None;
        }
        Some(uri) => Some(told(fields, "uri", PathRewrite::matched(uri))?),
        None if is_regex => Some(fields.record("uriRegexRewrite", by_regex).flatten()?),
        None => None,
    };
    Some(Rewrite { hostname, path })
}

fn authority(fields: &Fields<'_>, text: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(text).ok();
    let value = value.filter(|_| request::Authority::parse(text).is_ok());
    if value.is_none() {
        let found = quoted(text);
        let message = format!("expected a host, perhaps with a port, found {found}; the rule answers 500");
        fields.error("authority", message);
    }
    value
}

fn by_regex(fields: &Fields<'_>) -> Option<PathRewrite> {
    let pattern = fields.required("match")?;
    let rewrite = fields.text("rewrite").unwrap_or_default();
    told(
        fields,
        "match",
        PathRewrite::regex(pattern, rewrite, fields.regex_room()),
    )
}

/// The regex crate draws its errors over several lines; the last one says it.
fn told<T>(fields: &Fields<'_>, name: &'static str, read: Result<T, String>) -> Option<T> {
    read.map_err(|why| {
        let why = why.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        fields.error(name, format!("{why}; the rule answers 500"));
    })
    .ok()
}
