//! MeshConfig `extensionProviders`: those that CUSTOM policies may ask. Providers of other kinds are telemetry's.

use crate::decode::{At, Fields, Problems, describe, quoted, record};
use crate::kinds::duration;
use http::{HeaderName, HeaderValue, StatusCode};
use routing::{AuthBody, AuthCheck, AuthProtocol, HeaderNames, HeaderPattern, HttpAuth};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Istio's default of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(600);
/// More of a request's body is never held for a check, whatever a provider asks for.
pub(crate) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Providers of one mesh at most.
const MAX_PROVIDERS: usize = 1000;
/// Names in one of its lists of headers at most.
const MAX_HEADERS: usize = 256;

/// An `envoyExtAuthzGrpc` or `envoyExtAuthzHttp`, whose Service is not yet looked up.
#[derive(Clone, Debug)]
pub(crate) struct AuthProvider {
    /// Its place in the list.
    pub(crate) index: usize,
    /// `envoyExtAuthzGrpc` or `envoyExtAuthzHttp`.
    pub(crate) kind: &'static str,
    /// `name`.
    pub(crate) name: Arc<str>,
    /// The part of `service` before `/`.
    pub(crate) namespace: Option<String>,
    /// The rest of `service`.
    pub(crate) host: String,
    /// `port`.
    pub(crate) port: u16,
    /// How it is asked.
    pub(crate) check: AuthCheck,
}

/// Reads the list. A provider that is not wholly understood is left out: what its policies match is denied.
pub(crate) fn read(fields: &Fields<'_>, problems: &Problems) -> Vec<AuthProvider> {
    let mut names: Vec<String> = Vec::new();
    fields.list("extensionProviders", MAX_PROVIDERS, |value, at| {
        record(value, at, problems, |fields| {
            let name = fields.required("name")?;
            if names.iter().any(|known| known == name) {
                fields.error(
                    "name",
                    format!("provider {} stands twice: the first counts", quoted(name)),
                );
                return None;
            }
            names.push(name.to_owned());
            fields.leave_open();
            let read = |kind, http| {
                let parsed = fields.record(kind, |fields| provider(fields, http, problems))?;
                let (namespace, host, port, check) = parsed?;
                Some(AuthProvider {
                    index: at.position(),
                    kind,
                    name: Arc::from(name),
                    namespace,
                    host,
                    port,
                    check,
                })
            };
            read("envoyExtAuthzGrpc", false).or_else(|| read("envoyExtAuthzHttp", true))
        })
        .flatten()
    })
}

type Parsed = (Option<String>, String, u16, AuthCheck);

fn provider(fields: &Fields<'_>, http: bool, problems: &Problems) -> Option<Parsed> {
    // Fields of gRPC metadata and of Envoy's internals, which change no verdict.
    fields.ignore(&["clearRouteCache", "initialMetadata"]);
    let service = fields.required("service");
    if fields.get("port").is_none() {
        fields.error("port", "`port` is missing: it must be given");
    }
    let port = fields.port("port");
    let timeout = timeout(fields);
    let fail_open = match fields.get("failOpen") {
        None => Some(false),
        Some(_) => fields.boolean("failOpen"),
    };
    let status_on_error = status_on_error(fields);
    let body = body(fields);
    let fixed_headers = fixed_headers(fields, http);
    let request_headers = request_headers(fields, http);
    let protocol = if http {
        http_auth(fields)
    } else {
        Some(AuthProtocol::Grpc)
    };
    let (namespace, host) = service_name(service?, fields, problems)?;
    let check = AuthCheck {
        protocol: protocol?,
        timeout: timeout?,
        fail_open: fail_open?,
        status_on_error: status_on_error?,
        request_headers: request_headers?,
        fixed_headers: fixed_headers?,
        body: body?,
    };
    Some((namespace, host, port?, check))
}

/// `[namespace/]hostname`.
fn service_name(text: &str, fields: &Fields<'_>, problems: &Problems) -> Option<(Option<String>, String)> {
    let (namespace, host) = match text.split_once('/') {
        Some((namespace, host)) => (Some(namespace.to_owned()), host),
        None => (None, text),
    };
    if host.is_empty() || host.contains('/') || namespace.as_deref() == Some("") {
        let message = format!("expected [<namespace>/]<hostname>, found {}", quoted(text));
        problems.error(&fields.at().field("service"), message);
        return None;
    }
    Some((namespace, host.to_ascii_lowercase()))
}

/// A protobuf duration (`0.25s`), or one of the Gateway API's.
fn timeout(fields: &Fields<'_>) -> Option<Duration> {
    if fields.get("timeout").is_none() {
        return Some(TIMEOUT);
    }
    let text = fields.text("timeout")?;
    let seconds = || text.strip_suffix('s')?.parse::<f64>().ok();
    let decimal = || Duration::try_from_secs_f64(seconds()?).ok();
    let parsed = duration::parse(text).or_else(decimal).filter(|limit| !limit.is_zero());
    if parsed.is_none() {
        fields.error(
            "timeout",
            format!("expected a duration such as 2s or 0.5s, found {}", quoted(text)),
        );
    }
    parsed
}

/// Default 403.
fn status_on_error(fields: &Fields<'_>) -> Option<StatusCode> {
    match fields.get("statusOnError") {
        None => return Some(StatusCode::FORBIDDEN),
        Some(Value::String(text)) if text.is_empty() => return Some(StatusCode::FORBIDDEN),
        Some(_) => {}
    }
    let text = fields.text("statusOnError")?;
    // Below 200 would be no final answer.
    let status = text.parse::<u16>().ok().filter(|status| (200..600).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    if status.is_none() {
        fields.error(
            "statusOnError",
            format!("expected a status from 200 to 599, found {}", quoted(text)),
        );
    }
    status
}

fn body(fields: &Fields<'_>) -> Option<Option<AuthBody>> {
    if fields.get("includeRequestBodyInCheck").is_none() {
        return Some(None);
    }
    let read = fields.record("includeRequestBodyInCheck", |fields| {
        let most = fields.integer("maxRequestBytes", 1..=i64::from(u32::MAX));
        if fields.get("maxRequestBytes").is_none() {
            fields.error("maxRequestBytes", "`maxRequestBytes` is missing: it must be given");
        }
        let flag = |name: &'static str| match fields.get(name) {
            None => Some(false),
            Some(_) => fields.boolean(name),
        };
        let (partial, as_bytes) = (flag("allowPartialMessage"), flag("packAsBytes"));
        let most = usize::try_from(most?).ok()?;
        if most > MAX_BODY_BYTES {
            fields.warning(
                "maxRequestBytes",
                format!("no more than {MAX_BODY_BYTES} bytes are ever held"),
            );
        }
        Some(AuthBody {
            max_bytes: most.min(MAX_BODY_BYTES),
            partial: partial?,
            as_bytes: as_bytes?,
        })
    });
    read.flatten().map(Some)
}

/// gRPC checks carry all headers; HTTP ones those that are named. The old name counts where the new one is absent.
fn request_headers(fields: &Fields<'_>, http: bool) -> Option<HeaderNames> {
    if !http {
        return Some(HeaderNames::All);
    }
    let new = header_names(fields, "includeRequestHeadersInCheck");
    let old = header_names(fields, "includeHeadersInCheck");
    let mut names = match new? {
        names if names == HeaderNames::NONE => old?,
        names => names,
    };
    if let HeaderNames::Only(patterns) = &mut names {
        patterns.push(HeaderPattern::Exact(http::header::AUTHORIZATION));
    }
    Some(names)
}

fn http_auth(fields: &Fields<'_>) -> Option<AuthProtocol> {
    let path_prefix = match fields.get("pathPrefix") {
        None => Some(""),
        Some(_) => fields.text("pathPrefix"),
    };
    let prefix = path_prefix?;
    let is_path = prefix.is_empty() || prefix.starts_with('/');
    if !is_path
        || !prefix
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'))
    {
        fields.error(
            "pathPrefix",
            format!("expected a path that begins with /, found {}", quoted(prefix)),
        );
        return None;
    }
    let to_upstream = header_names(fields, "headersToUpstreamOnAllow");
    let on_allow = header_names(fields, "headersToDownstreamOnAllow");
    let on_deny = header_names(fields, "headersToDownstreamOnDeny");
    Some(AuthProtocol::Http(HttpAuth {
        path_prefix: prefix.to_owned(),
        to_upstream: to_upstream?,
        to_client_on_allow: on_allow?,
        // Not set: the client gets all of them.
        to_client_on_deny: match on_deny? {
            names if names == HeaderNames::NONE => HeaderNames::All,
            HeaderNames::Only(mut patterns) => {
                patterns.extend(ALWAYS_ON_DENY.map(HeaderPattern::Exact));
                HeaderNames::Only(patterns)
            }
            HeaderNames::All => HeaderNames::All,
        },
    }))
}

/// What Envoy passes on beside the names of `headersToDownstreamOnDeny`.
const ALWAYS_ON_DENY: [HeaderName; 2] = [http::header::WWW_AUTHENTICATE, http::header::LOCATION];

fn header_names(fields: &Fields<'_>, list: &'static str) -> Option<HeaderNames> {
    let texts = fields.texts(list, MAX_HEADERS);
    let parsed = texts.iter().map(|text| {
        let pattern = HeaderPattern::parse(text);
        if pattern.is_none() {
            let expected = "a header name, which may begin or end with *";
            fields.error(list, format!("expected {expected}, found {}", quoted(text)));
        }
        pattern
    });
    let patterns: Vec<Option<HeaderPattern>> = parsed.collect();
    let is_list = fields.get(list).is_none_or(Value::is_array);
    let patterns: Option<Vec<HeaderPattern>> = patterns.into_iter().collect();
    patterns.filter(|_| is_list).map(HeaderNames::Only)
}

fn fixed_headers(fields: &Fields<'_>, http: bool) -> Option<Vec<(HeaderName, HeaderValue)>> {
    if !http {
        return Some(Vec::new());
    }
    let name = "includeAdditionalHeadersInCheck";
    let texts = fields.text_map(name);
    let mut out = Vec::with_capacity(texts.len());
    for (key, text) in &texts {
        let header = HeaderName::from_bytes(key.as_bytes()).ok();
        let (Some(header), Ok(value)) = (header, HeaderValue::from_str(text)) else {
            let found = describe(&Value::String(format!("{key}: {text}")));
            fields.error(name, format!("expected header names and values, found {found}"));
            return None;
        };
        if text.contains('%') {
            let message = format!("{key} is sent as it is written: format strings of Envoy are not supported");
            fields.warning(name, message);
        }
        out.push((header, value));
    }
    Some(out)
}

/// For messages about one provider.
pub(crate) fn field_of(provider: &AuthProvider, name: &str) -> String {
    let root = At::Root;
    let (data, list) = (root.field("data"), "extensionProviders");
    let mesh = data.field("mesh");
    let list = mesh.field(list);
    let item = list.index(provider.index);
    let kind = item.field(provider.kind);
    kind.field(name).to_string()
}
