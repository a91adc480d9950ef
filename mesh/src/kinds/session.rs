//! `sessionPersistence` (GEP-1619), the same in a route's rule and in a Service's traffic policy.

use super::duration;
use crate::decode::{Fields, quoted};
use http::HeaderName;
use std::time::Duration;

/// A sessionPersistence, before it is known for which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionSpec {
    /// `sessionName`.
    pub(crate) name: Option<String>,
    /// `type` is Header.
    pub(crate) in_header: bool,
    /// `cookieConfig.lifetimeType` is Permanent.
    pub(crate) permanent: bool,
    /// `absoluteTimeout`.
    pub(crate) absolute: Option<Duration>,
    /// `idleTimeout`.
    pub(crate) idle: Option<Duration>,
}

/// Reads the body. `None`: it is not in force, and requests are balanced as without it.
pub(crate) fn read(fields: &Fields<'_>) -> Option<SessionSpec> {
    let in_header = match fields.get("type") {
        None => Some(false),
        Some(_) => match fields.text("type")? {
            "Cookie" => Some(false),
            "Header" => Some(true),
            other => {
                fields.error("type", format!("expected Cookie or Header, found {}", quoted(other)));
                None
            }
        },
    };
    let permanent = match fields.get("cookieConfig") {
        None => Some(false),
        Some(_) => fields.record("cookieConfig", is_permanent).flatten(),
    };
    let (absolute, idle) = (timeout(fields, "absoluteTimeout"), timeout(fields, "idleTimeout"));
    let (in_header, permanent) = (in_header?, permanent?);
    if in_header && fields.get("cookieConfig").is_some() {
        fields.warning(
            "cookieConfig",
            "it is for cookies: a session in a header has no use for it",
        );
    }
    let name = match fields.get("sessionName") {
        None => None,
        Some(_) => Some(name(fields, in_header)?),
    };
    let (absolute, idle) = (absolute?, idle?);
    if permanent && !in_header && absolute.is_none() {
        fields.error(
            "absoluteTimeout",
            "`absoluteTimeout` is missing: a permanent cookie needs one",
        );
        return None;
    }
    Some(SessionSpec {
        name,
        in_header,
        permanent,
        absolute,
        idle,
    })
}

fn is_permanent(fields: &Fields<'_>) -> Option<bool> {
    if fields.get("lifetimeType").is_none() {
        return Some(false);
    }
    match fields.text("lifetimeType")? {
        "Session" => Some(false),
        "Permanent" => Some(true),
        other => {
            fields.error(
                "lifetimeType",
                format!("expected Session or Permanent, found {}", quoted(other)),
            );
            None
        }
    }
}

/// `Some(None)`: not given, or zero, which is no limit.
fn timeout(fields: &Fields<'_>, name: &'static str) -> Option<Option<Duration>> {
    if fields.get(name).is_none() {
        return Some(None);
    }
    let text = fields.text(name)?;
    let parsed = duration::parse(text);
    if parsed.is_none() {
        fields.error(name, format!("expected {}, found {}", duration::EXPECTED, quoted(text)));
    }
    parsed.map(|limit| Some(limit).filter(|limit| !limit.is_zero()))
}

/// A token (RFC 9110), which serves for cookies and headers. Headers that mean something else are not taken.
fn name(fields: &Fields<'_>, in_header: bool) -> Option<String> {
    const TAKEN: [&str; 12] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let text = fields.text("sessionName")?;
    let header = HeaderName::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| text.len() <= 128);
    let taken = |header: &HeaderName| in_header && TAKEN.contains(&header.as_str());
    match header {
        Some(header) if !taken(&header) => Some(text.to_owned()),
        _ => {
            let what = if in_header {
                "the name of a header that is free"
            } else {
                "the name of a cookie"
            };
            fields.error("sessionName", format!("expected {what}, found {}", quoted(text)));
            None
        }
    }
}
