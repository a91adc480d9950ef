//! Filters of rules and backendRefs. A filter that cannot be applied is never skipped: its rule (or backendRef) then
//! answers 500, as the Gateway API asks.

use super::backend_ref::BackendRef;
use super::cors;
use super::external_auth::{self, ExternalAuthRef};
use super::matches::header_name;
use crate::decode::{Fields, Problems, describe, quoted};
use http::{HeaderName, HeaderValue};
use routing::{
    Filters, HeaderModifier, HostRewrite, Nothing, PathRewrite, Redirect, RedirectPort, Rewrite, RouteKind, Seldom,
};
use serde_json::Value;

/// Filters of one rule, and entries of one list of a filter (the CRDs' limit).
const MAX_ITEMS: usize = 16;

/// The filters of one rule or backendRef.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilterSet {
    /// All but those that name a backend, ready to apply.
    pub(crate) filters: Seldom<Filters>,
    /// Mirrors, not yet resolved.
    pub(crate) mirrors: Vec<MirrorRef>,
    /// The ExternalAuth filter, not yet resolved.
    pub(crate) external_auth: Option<Box<ExternalAuthRef>>,
    /// Some filter cannot be applied: nothing may pass.
    pub(crate) is_broken: bool,
}

impl Nothing for FilterSet {
    const NOTHING: &'static Self = &Self {
        filters: Seldom::nothing(),
        mirrors: Vec::new(),
        external_auth: None,
        is_broken: false,
    };

    fn is_nothing(&self) -> bool {
        let Self {
            filters,
            mirrors,
            external_auth,
            is_broken,
        } = self;
        filters.is_nothing() && mirrors.is_empty() && external_auth.is_none() && !is_broken
    }
}

/// A RequestMirror.
#[derive(Clone, Debug)]
pub(crate) struct MirrorRef {
    /// Its place in the list of filters.
    pub(crate) index: usize,
    /// Where copies go.
    pub(crate) backend: Option<BackendRef>,
    /// Of `denominator` requests, this many.
    pub(crate) numerator: u32,
    /// Never 0.
    pub(crate) denominator: u32,
}

impl FilterSet {
    /// Reads the list `filters` of a route of this kind.
    pub(crate) fn read(fields: &Fields<'_>, kind: RouteKind, problems: &Problems) -> Self {
        let mut set = Self {
            // A filter that is left out must not be missed.
            is_broken: fields
                .get("filters")
                .is_some_and(|v| v.as_array().is_none_or(|list| list.len() > MAX_ITEMS)),
            ..Self::default()
        };
        let mut filters = Filters::default();
        let _ = fields.bounded_list("filters", MAX_ITEMS, |value, at| {
            let read = crate::decode::record(value, at, problems, |fields| {
                set.read_one(&mut filters, fields, at.position(), kind, problems)
            });
            set.is_broken |= read.flatten().is_none();
            Some(())
        });
        if filters.redirect.is_some() && filters.rewrite.is_some() {
            fields.error(
                "filters",
                "expected RequestRedirect or URLRewrite, found both: the rule answers 500",
            );
            set.is_broken = true;
        }
        set.filters = filters.into();
        set
    }

    /// `None`: it cannot be applied.
    fn read_one(
        &mut self,
        filters: &mut Filters,
        fields: &Fields<'_>,
        index: usize,
        route: RouteKind,
        problems: &Problems,
    ) -> Option<()> {
        let kind = fields.required("type")?;
        if !known(route).contains(&kind) {
            fields.leave_open();
            let known = known(route).join(", ");
            let message = format!(
                "filter {} is not supported (known: {known}): the rule answers 500",
                quoted(kind)
            );
            fields.error("type", message);
            return None;
        }
        let repeated = match kind {
            "RequestHeaderModifier" => {
                let modifier = fields.record("requestHeaderModifier", |fields| modifier(fields, problems));
                filters
                    .request_headers
                    .replace(given(fields, "requestHeaderModifier", modifier)?)
                    .is_some()
            }
            "ResponseHeaderModifier" => {
                let modifier = fields.record("responseHeaderModifier", |fields| modifier(fields, problems));
                filters
                    .response_headers
                    .replace(given(fields, "responseHeaderModifier", modifier)?)
                    .is_some()
            }
            "RequestRedirect" => {
                let redirect = fields.record("requestRedirect", redirect);
                filters
                    .redirect
                    .replace(given(fields, "requestRedirect", redirect)?)
                    .is_some()
            }
            "URLRewrite" => {
                let rewrite = fields.record("urlRewrite", rewrite);
                filters.rewrite.replace(given(fields, "urlRewrite", rewrite)?).is_some()
            }
            "CORS" => {
                let cors = fields.record("cors", cors::read);
                filters.cors.replace(given(fields, "cors", cors)?).is_some()
            }
            "ExternalAuth" => {
                let auth = fields.record("externalAuth", |fields| external_auth::read(fields, index));
                self.external_auth
                    .replace(given(fields, "externalAuth", auth)?)
                    .is_some()
            }
            _ => {
                let mirror = fields.record("requestMirror", |fields| mirror(fields, index));
                self.mirrors.push(*given(fields, "requestMirror", mirror)?);
                false
            }
        };
        if repeated {
            fields.error("type", format!("filter {kind} stands twice: the rule answers 500"));
        }
        (!repeated).then_some(())
    }
}

/// The filters that a kind of route may have; RequestMirror is the one that may be repeated.
fn known(route: RouteKind) -> &'static [&'static str] {
    const ALL: [&str; 7] = [
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "CORS",
        "ExternalAuth",
    ];
    match route {
        RouteKind::Grpc => ALL.split_at(3).0,
        RouteKind::Tls | RouteKind::Tcp => &[],
        RouteKind::Http | RouteKind::VirtualService | RouteKind::Implicit => &ALL,
    }
}

/// The body of a filter, which must be there.
fn given<T>(fields: &Fields<'_>, name: &'static str, read: Option<Option<T>>) -> Option<Box<T>> {
    if fields.get(name).is_none() {
        fields.error(
            name,
            format!("`{name}` is missing: a filter of this type needs it; the rule answers 500"),
        );
    }
    read.flatten().map(Box::new)
}

fn modifier(fields: &Fields<'_>, problems: &Problems) -> Option<HeaderModifier> {
    let mut is_whole = true;
    let mut pairs = |name: &'static str| {
        is_whole &= fields
            .get(name)
            .and_then(Value::as_array)
            .is_none_or(|list| list.len() <= MAX_ITEMS);
        let read = fields.bounded_list(name, MAX_ITEMS, |value, at| {
            let read = crate::decode::record(value, at, problems, |fields| {
                let name = modifiable(fields, header_name(fields, "name")?)?;
                let text = fields.text("value").or_else(|| fields.required("value"))?;
                match HeaderValue::from_bytes(text.as_bytes()) {
                    Ok(value) if text.len() <= 4096 => Some((name, value)),
                    _ => {
                        fields.error(
                            "value",
                            format!("expected a header value on one line, found {}", quoted(text)),
                        );
                        None
                    }
                }
            });
            is_whole &= read.as_ref().is_some_and(Option::is_some);
            read.flatten()
        });
        first_of_each(fields, name, read)
    };
    let (set, add) = (pairs("set"), pairs("add"));
    let remove = fields.texts("remove", MAX_ITEMS);
    is_whole &= remove.len() <= MAX_ITEMS;
    let removed: Vec<HeaderName> = remove
        .iter()
        .filter_map(|text| match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => modifiable_name(&name)
                .map_err(|why| fields.error("remove", why))
                .ok()
                .map(|()| name),
            Err(_) => {
                fields.error("remove", format!("expected names of headers, found {}", quoted(text)));
                None
            }
        })
        .collect();
    is_whole &= removed.len() == remove.len();
    is_whole.then_some(HeaderModifier {
        set,
        add,
        remove: removed,
    })
}

/// Of entries with equal names the first counts (HTTPHeader.name).
fn first_of_each(
    fields: &Fields<'_>,
    list: &'static str,
    mut pairs: Vec<(HeaderName, HeaderValue)>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut seen: Vec<HeaderName> = Vec::with_capacity(pairs.len());
    pairs.retain(|(name, _)| {
        let is_first = !seen.contains(name);
        if is_first {
            seen.push(name.clone());
        } else {
            fields.warning(list, format!("header {name} stands twice: the first counts"));
        }
        is_first
    });
    pairs
}

fn modifiable(fields: &Fields<'_>, name: HeaderName) -> Option<HeaderName> {
    match modifiable_name(&name) {
        Ok(()) => Some(name),
        Err(why) => {
            fields.error("name", why);
            None
        }
    }
}

/// Headers that frame the message, or name its target, are the proxy's own.
fn modifiable_name(name: &HeaderName) -> Result<(), String> {
    match name.as_str() {
        "host" => {
            Err("header Host cannot be modified: use URLRewrite with `hostname`; the rule answers 500".to_owned())
        }
        _ if is_framing(name) => Err(format!(
            "header {name} is the proxy's own and cannot be modified; the rule answers 500"
        )),
        _ => Ok(()),
    }
}

/// Headers that say where a message ends and how its connection is used.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    const FRAMING: [&str; 8] = [
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "te",
        "trailer",
    ];
    FRAMING.contains(&name.as_str())
}

fn redirect(fields: &Fields<'_>) -> Option<Redirect> {
    let scheme = match fields.get("scheme") {
        None => None,
        Some(_) => match fields.text("scheme")? {
            scheme @ ("http" | "https") => Some(scheme.to_owned()),
            other => {
                fields.error("scheme", format!("expected http or https, found {}", quoted(other)));
                return None;
            }
        },
    };
    let port = match fields.get("port") {
        None => None,
        Some(_) => Some(fields.port("port")?),
    };
    let status = match fields.get("statusCode") {
        None => 302,
        Some(value) => match value.as_u64() {
            Some(status @ (301 | 302 | 303 | 307 | 308)) => u16::try_from(status).ok()?,
            _ => {
                fields.error(
                    "statusCode",
                    format!("expected 301, 302, 303, 307 or 308, found {}", describe(value)),
                );
                return None;
            }
        },
    };
    Some(Redirect {
        scheme,
        hostname: hostname(fields)?,
        port: RedirectPort::OrImplied(port),
        path: path(fields)?,
        status,
    })
}

fn rewrite(fields: &Fields<'_>) -> Option<Rewrite> {
    let hostname = match hostname(fields)? {
        None => None,
        Some(text) => Some(HostRewrite(HeaderValue::from_str(&text).ok()?)),
    };
    Some(Rewrite {
        hostname,
        path: path(fields)?,
    })
}

/// PreciseHostname: lower-case labels, no wildcard, no port.
fn hostname(fields: &Fields<'_>) -> Option<Option<String>> {
    if fields.get("hostname").is_none() {
        return Some(None);
    }
    let text = fields.text("hostname")?;
    if is_hostname(text) {
        return Some(Some(text.to_owned()));
    }
    fields.error(
        "hostname",
        format!("expected a lower-case DNS name, found {}", quoted(text)),
    );
    None
}

/// Whether a text is a lower-case DNS name (RFC 1123).
pub(crate) fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn path(fields: &Fields<'_>) -> Option<Option<PathRewrite>> {
    if fields.get("path").is_none() {
        return Some(None);
    }
    let rewrite = fields.record("path", |fields| {
        let text = |name: &'static str| {
            let text = fields.text(name).or_else(|| fields.required(name))?;
            let plain = text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'?');
            if !plain {
                fields.error(
                    name,
                    format!("expected a path of URL characters, found {}", quoted(text)),
                );
            }
            plain.then(|| text.to_owned())
        };
        match fields.required("type")? {
            "ReplaceFullPath" => text("replaceFullPath").map(PathRewrite::Full),
            "ReplacePrefixMatch" => text("replacePrefixMatch").map(PathRewrite::Prefix),
            other => {
                let known = "ReplaceFullPath or ReplacePrefixMatch";
                fields.error("type", format!("expected {known}, found {}", quoted(other)));
                fields.leave_open();
                None
            }
        }
    });
    rewrite.flatten().map(Some)
}

fn mirror(fields: &Fields<'_>, index: usize) -> Option<MirrorRef> {
    let backend = fields.record("backendRef", BackendRef::read).flatten();
    if fields.get("backendRef").is_none() {
        fields.error("backendRef", "`backendRef` is missing: nothing is mirrored");
    }
    let (numerator, denominator) = match (fields.get("percent"), fields.get("fraction")) {
        (None, None) => (1, 1),
        (Some(_), None) => (u32::try_from(fields.integer("percent", 0..=100)?).ok()?, 100),
        (None, Some(_)) => fields.record("fraction", fraction)??,
        (Some(_), Some(_)) => {
            fields.error(
                "fraction",
                "expected `percent` or `fraction`, found both: nothing is mirrored",
            );
            (0, 1)
        }
    };
    Some(MirrorRef {
        index,
        backend,
        numerator,
        denominator,
    })
}

fn fraction(fields: &Fields<'_>) -> Option<(u32, u32)> {
    let numerator = fields.integer("numerator", 0..=i64::from(i32::MAX));
    let denominator = match fields.get("denominator") {
        None => Some(100),
        Some(_) => fields.integer("denominator", 1..=i64::from(i32::MAX)),
    };
    let pair = (u32::try_from(numerator?).ok()?, u32::try_from(denominator?).ok()?);
    if pair.0 > pair.1 {
        fields.error(
            "numerator",
            format!("expected at most the denominator {}, found {}", pair.1, pair.0),
        );
        return None;
    }
    Some(pair)
}
