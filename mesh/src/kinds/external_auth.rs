//! The ExternalAuth filter (HTTPExternalAuthFilter, GEP-1494).

use super::backend_ref::BackendRef;
use crate::decode::{Fields, quoted};
use http::StatusCode;
use http::header::AUTHORIZATION;
use routing::{AuthBody, AuthCheck, AuthProtocol, HeaderNames, HeaderPattern, HttpAuth};
use std::time::Duration;

/// A check that takes longer has failed. The API names no limit.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What a check that failed is answered with, as Envoy does by default.
const ON_ERROR: StatusCode = StatusCode::FORBIDDEN;

/// An ExternalAuth filter whose backend is not yet resolved.
#[derive(Clone, Debug)]
pub(crate) struct ExternalAuthRef {
    /// Its place in the list of filters.
    pub(crate) index: usize,
    /// Who is asked.
    pub(crate) backend: BackendRef,
    /// How.
    pub(crate) check: AuthCheck,
}

/// Reads the body of the filter. `None` when a part of it is not understood: then nothing may pass.
pub(crate) fn read(fields: &Fields<'_>, index: usize) -> Option<ExternalAuthRef> {
    let backend = fields.record("backendRef", BackendRef::read).flatten();
    if fields.get("backendRef").is_none() {
        fields.error("backendRef", "`backendRef` is missing: nobody can be asked");
    }
    let body = match fields.get("forwardBody") {
        None => Some(None),
        Some(_) => fields.record("forwardBody", forward_body).flatten(),
    };
    let (protocol, request_headers) = match fields.required("protocol")? {
        "GRPC" => {
            none_of(fields, "http")?;
            (AuthProtocol::Grpc, grpc(fields)?)
        }
        "HTTP" => {
            none_of(fields, "grpc")?;
            http(fields)?
        }
        other => {
            fields.error("protocol", format!("expected HTTP or GRPC, found {}", quoted(other)));
            return None;
        }
    };
    let check = AuthCheck {
        protocol,
        timeout: TIMEOUT,
        fail_open: false,
        status_on_error: ON_ERROR,
        request_headers,
        fixed_headers: Vec::new(),
        body: body?,
    };
    Some(ExternalAuthRef {
        index,
        backend: backend?,
        check,
    })
}

/// The settings of the other protocol must not be there.
fn none_of(fields: &Fields<'_>, other: &'static str) -> Option<()> {
    if fields.get(other).is_none() {
        return Some(());
    }
    fields.error(other, format!("expected no `{other}` beside this protocol"));
    fields.leave_open();
    None
}

/// No list: all headers are sent.
fn grpc(fields: &Fields<'_>) -> Option<HeaderNames> {
    let names = match fields.get("grpc") {
        None => Some(HeaderNames::NONE),
        Some(_) => fields.record("grpc", |fields| names(fields, "allowedHeaders"))?,
    };
    Some(match names? {
        names if names == HeaderNames::NONE => HeaderNames::All,
        names => names,
    })
}

fn http(fields: &Fields<'_>) -> Option<(AuthProtocol, HeaderNames)> {
    let read = match fields.get("http") {
        None => Some((String::new(), HeaderNames::NONE, HeaderNames::NONE)),
        Some(_) => fields.record("http", |fields| {
            let (request, response) = (names(fields, "allowedHeaders"), names(fields, "allowedResponseHeaders"));
            Some((path(fields)?, request?, response?))
        })?,
    };
    let (path_prefix, mut request, response) = read?;
    if let HeaderNames::Only(patterns) = &mut request {
        patterns.push(HeaderPattern::Exact(AUTHORIZATION));
    }
    let auth = HttpAuth {
        path_prefix,
        // No list: all that the authoriser answers with go on to the backend.
        to_upstream: match response {
            names if names == HeaderNames::NONE => HeaderNames::All,
            names => names,
        },
        to_client_on_allow: HeaderNames::NONE,
        to_client_on_deny: HeaderNames::All,
    };
    Some((AuthProtocol::Http(auth), request))
}

fn path(fields: &Fields<'_>) -> Option<String> {
    if fields.get("path").is_none() {
        return Some(String::new());
    }
    let text = fields.text("path")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&b);
    let good = text.is_empty() || (text.starts_with('/') && text.len() <= 1024 && text.bytes().all(plain));
    if !good {
        fields.error(
            "path",
            format!("expected a path that begins with /, found {}", quoted(text)),
        );
    }
    good.then(|| text.trim_end_matches('/').to_owned())
}

/// 0: the body is not sent.
fn forward_body(fields: &Fields<'_>) -> Option<Option<AuthBody>> {
    let most = match fields.get("maxSize") {
        None => 0,
        Some(_) => fields.integer("maxSize", 0..=i64::from(u16::MAX))?,
    };
    let max_bytes = usize::try_from(most).ok()?;
    Some((max_bytes > 0).then_some(AuthBody {
        max_bytes,
        partial: false,
        as_bytes: false,
    }))
}

fn names(fields: &Fields<'_>, list: &'static str) -> Option<HeaderNames> {
    if fields.get(list).is_some_and(|value| !value.is_array()) {
        let _ = fields.texts(list, 64);
        return None;
    }
    let texts = fields.texts(list, 64);
    let mut patterns = Vec::with_capacity(texts.len());
    for text in texts {
        match http::HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => patterns.push(HeaderPattern::Exact(name)),
            Err(_) => {
                fields.error(list, format!("expected names of headers, found {}", quoted(text)));
                return None;
            }
        }
    }
    Some(HeaderNames::Only(patterns))
}
