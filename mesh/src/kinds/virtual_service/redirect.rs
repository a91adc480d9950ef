//! `redirect` and `directResponse`: answers that need no destination.

use crate::decode::{Fields, describe, quoted};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use routing::{DirectResponse, Filters, PathRewrite, Redirect, RedirectPort};

/// Reads `redirect`. `None`: it is not there, or cannot be answered.
pub(super) fn read(fields: &Fields<'_>, filters: &mut Filters) -> Option<()> {
    filters.redirect = fields.record("redirect", redirect).flatten().map(Box::new);
    filters.redirect.as_ref().map(|_| ())
}

/// Reads `directResponse`. `None`: it is not there, or cannot be answered.
pub(super) fn read_direct(fields: &Fields<'_>, filters: &mut Filters) -> Option<()> {
    filters.direct_response = fields.record("directResponse", direct).flatten().map(Box::new);
    filters.direct_response.as_ref().map(|_| ())
}

fn redirect(fields: &Fields<'_>) -> Option<Redirect> {
    let path = match fields.text("uri").filter(|uri| !uri.is_empty()) {
        None => None,
        Some(uri) => match PathRewrite::full(uri) {
            Ok(path) => Some(path),
            Err(why) => {
                fields.error("uri", format!("{why}; the rule answers 500"));
                return None;
            }
        },
    };
    let scheme = fields.text("scheme").filter(|scheme| !scheme.is_empty());
    if let Some(other) = scheme.filter(|scheme| !matches!(*scheme, "http" | "https")) {
        fields.error(
            "scheme",
            format!("expected http or https, found {}; the rule answers 500", quoted(other)),
        );
        return None;
    }
    let authority = fields.text("authority").filter(|authority| !authority.is_empty());
    if let Some(bad) = authority.filter(|text| request::Authority::parse(text).is_err()) {
        fields.error(
            "authority",
            format!(
                "expected a host, perhaps with a port, found {}; the rule answers 500",
                quoted(bad)
            ),
        );
        return None;
    }
    Some(Redirect {
        scheme: scheme.map(str::to_owned),
        hostname: authority.map(str::to_owned),
        port: port(fields)?,
        path,
        status: status(fields)?,
    })
}

fn port(fields: &Fields<'_>) -> Option<RedirectPort> {
    if fields.get("port").is_some() {
        return fields.port("port").map(|port| RedirectPort::OrWritten(Some(port)));
    }
    match fields.get("derivePort") {
        None => Some(RedirectPort::OrWritten(None)),
        Some(_) => match fields.text("derivePort")? {
            "FROM_PROTOCOL_DEFAULT" => Some(RedirectPort::OrWritten(None)),
            "FROM_REQUEST_PORT" => Some(RedirectPort::OfService),
            other => {
                let known = "FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT";
                let found = quoted(other);
                fields.error(
                    "derivePort",
                    format!("expected {known}, found {found}; the rule answers 500"),
                );
                None
            }
        },
    }
}

/// 301 is Istio's default.
fn status(fields: &Fields<'_>) -> Option<u16> {
    match fields.get("redirectCode") {
        None => Some(301),
        Some(value) => match value.as_u64() {
            Some(0) => Some(301),
            Some(status @ (301 | 302 | 303 | 307 | 308)) => u16::try_from(status).ok(),
            _ => {
                let found = describe(value);
                let message = format!("expected 301, 302, 303, 307 or 308, found {found}; the rule answers 500");
                fields.error("redirectCode", message);
                None
            }
        },
    }
}

fn direct(fields: &Fields<'_>) -> Option<DirectResponse> {
    let status = fields.integer("status", 200..=599);
    if fields.get("status").is_none() {
        fields.error("status", "`status` is missing: the rule answers 500");
    }
    let body = match fields.get("body") {
        None => Some(Vec::new()),
        Some(_) => fields.record("body", body).flatten(),
    };
    Some(DirectResponse {
        status: u16::try_from(status?).ok()?,
        body: body?.into(),
    })
}

fn body(fields: &Fields<'_>) -> Option<Vec<u8>> {
    let (name, body) = match (fields.get("string"), fields.get("bytes")) {
        (Some(_), Some(_)) => {
            fields.error(
                "bytes",
                "expected `string` or `bytes`, found both; the rule answers 500",
            );
            return None;
        }
        (Some(_), None) => ("string", fields.text("string")?.as_bytes().to_vec()),
        (None, Some(_)) => match STANDARD.decode(fields.text("bytes")?) {
            Ok(bytes) => ("bytes", bytes),
            Err(_) => {
                fields.error("bytes", "expected Base64; the rule answers 500");
                return None;
            }
        },
        (None, None) => return Some(Vec::new()),
    };
    if body.len() > DirectResponse::MAX_BODY_BYTES {
        let (most, found) = (DirectResponse::MAX_BODY_BYTES, body.len());
        let message = format!("expected at most {most} bytes, found {found}; the rule answers 500");
        fields.error(name, message);
        return None;
    }
    Some(body)
}
