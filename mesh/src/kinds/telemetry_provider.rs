//! MeshConfig `extensionProviders` that take telemetry, and what MeshConfig itself says of spans and the access log.

use super::telemetry::custom_tags;
use crate::decode::{Fields, Problems, quoted, record};
use crate::kinds::duration;
use std::sync::Arc;
use std::time::Duration;
use telemetry::{CustomTag, Export, ExportProtocol, LogFormat};

/// OpenTelemetry's default timeout of an export call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Providers of one mesh at most.
const MAX_PROVIDERS: usize = 1_000;
/// Headers for a collector at most.
const MAX_HEADERS: usize = 64;
/// Keys of a JSON log line at most.
const MAX_KEYS: usize = 128;

/// What a provider is.
#[derive(Clone, Debug)]
pub(crate) enum Provider {
    /// `prometheus`.
    Prometheus,
    /// `opentelemetry`.
    Collector(Arc<Export>),
    /// `envoyFileAccessLog`.
    Log(Arc<LogFormat>),
    /// One that is Istio's and not supported: the name of its kind.
    Unsupported(&'static str),
}

/// What MeshConfig says of telemetry.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    /// Providers by name, in lower case.
    pub(crate) providers: Vec<(String, Provider)>,
    /// `defaultProviders.tracing`.
    pub(crate) tracing: Option<String>,
    /// `defaultProviders.accessLogging`.
    pub(crate) access_logging: Vec<String>,
    /// `accessLogFormat` and `accessLogEncoding`.
    pub(crate) format: Option<Arc<LogFormat>>,
    /// `defaultConfig.tracing.customTags`.
    pub(crate) tags: Vec<CustomTag>,
}

/// Istio's kinds that do not take what a waypoint tells.
const UNSUPPORTED: [&str; 10] = [
    "zipkin",
    "lightstep",
    "datadog",
    "skywalking",
    "opencensus",
    "stackdriver",
    "envoyHttpAls",
    "envoyTcpAls",
    "envoyOtelAls",
    "sds",
];

impl Defaults {
    /// The provider of a name. Istio compares without case, and has `prometheus` and `envoy` without being told.
    pub(crate) fn provider(&self, name: &str) -> Option<Provider> {
        let known = self
            .providers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        match known {
            Some((_, provider)) => Some(provider.clone()),
            None if name.eq_ignore_ascii_case("prometheus") => Some(Provider::Prometheus),
            None if name.eq_ignore_ascii_case("envoy") => Some(Provider::Log(self.log_format())),
            None => None,
        }
    }

    /// Of lines whose provider names no format of its own.
    pub(crate) fn log_format(&self) -> Arc<LogFormat> {
        self.format.clone().unwrap_or_else(|| Arc::new(LogFormat::istio_text()))
    }
}

/// Reads all of it.
pub(crate) fn read(fields: &Fields<'_>, problems: &Problems) -> Defaults {
    let named = |fields: &Fields<'_>, list| {
        fields
            .texts(list, 16)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (tracing, access_logging) = fields
        .record("defaultProviders", |fields| {
            fields.leave_open();
            (named(fields, "tracing"), named(fields, "accessLogging"))
        })
        .unwrap_or_default();
    let tags = fields.record("defaultConfig", |fields| {
        fields.leave_open();
        fields.record("tracing", |fields| {
            fields.leave_open();
            custom_tags(fields, problems)
        })
    });
    let format = format(fields);
    Defaults {
        providers: providers(fields, problems, format.as_ref()),
        tracing: tracing.into_iter().next(),
        access_logging,
        format,
        tags: tags.flatten().unwrap_or_default(),
    }
}

/// `accessLogFormat` in the encoding that `accessLogEncoding` names.
fn format(fields: &Fields<'_>) -> Option<Arc<LogFormat>> {
    let is_json = fields.get("accessLogEncoding").and_then(|encoding| encoding.as_str()) == Some("JSON");
    let text = fields.text("accessLogFormat").filter(|text| !text.is_empty());
    let (format, problems) = match (text, is_json) {
        (None, false) => return None,
        (None, true) => (LogFormat::istio_json(), Vec::new()),
        (Some(text), false) => LogFormat::text(text),
        (Some(text), true) => match serde_json::from_str::<std::collections::BTreeMap<String, String>>(text) {
            Ok(labels) => LogFormat::json(labels.into_iter().take(MAX_KEYS)),
            Err(error) => {
                let message = format!("expected a JSON object of texts, since accessLogEncoding is JSON: {error}");
                fields.error("accessLogFormat", message);
                (LogFormat::istio_json(), Vec::new())
            }
        },
    };
    tell(fields, "accessLogFormat", problems);
    Some(Arc::new(format))
}

fn tell(fields: &Fields<'_>, name: &str, problems: Vec<String>) {
    for problem in problems {
        fields.warning(name, problem);
    }
}

fn providers(fields: &Fields<'_>, problems: &Problems, format: Option<&Arc<LogFormat>>) -> Vec<(String, Provider)> {
    fields.list("extensionProviders", MAX_PROVIDERS, |value, at| {
        record(value, at, problems, |fields| {
            fields.leave_open();
            let name = value.get("name")?.as_str()?.to_owned();
            let kind = if fields.get("prometheus").is_some() {
                Provider::Prometheus
            } else if fields.get("opentelemetry").is_some() {
                let export = fields.record("opentelemetry", |fields| collector(fields, problems));
                Provider::Collector(Arc::new(export.flatten()?))
            } else if fields.get("envoyFileAccessLog").is_some() {
                let read = fields.record("envoyFileAccessLog", |fields| file_log(fields, problems, format));
                Provider::Log(read?)
            } else {
                Provider::Unsupported(UNSUPPORTED.iter().find(|kind| value.get(**kind).is_some())?)
            };
            Some((name, kind))
        })
        .flatten()
    })
}

fn collector(fields: &Fields<'_>, problems: &Problems) -> Option<Export> {
    fields.ignore(&["maxTagLength", "resourceDetectors"]);
    if fields.get("dynatraceSampler").is_some() {
        fields.warning(
            "dynatraceSampler",
            "not supported: sampling is what Telemetry resources say",
        );
    }
    let service = fields.required("service");
    let port = fields.port("port");
    if port.is_none() && fields.get("port").is_none() {
        fields.error("port", "`port` is missing: it must be given");
    }
    let mut protocol = ExportProtocol::Grpc;
    let mut path = String::new();
    let mut timeout = None;
    let mut headers = Vec::new();
    let _ = fields.record("http", |fields| {
        protocol = ExportProtocol::HttpProtobuf;
        path = fields.text("path").unwrap_or("/v1/traces").to_owned();
        timeout = limit(fields);
        headers = collector_headers(fields, "headers", problems);
    });
    let _ = fields.record("grpc", |fields| {
        timeout = limit(fields);
        headers = collector_headers(fields, "initialMetadata", problems);
    });
    // `namespace/host`: the host alone says where.
    let service = service?;
    let host = service.split_once('/').map_or(service, |(_, host)| host);
    let export = Export {
        endpoint: format!("http://{host}:{}{path}", port?),
        protocol,
        headers,
        timeout: timeout.unwrap_or(TIMEOUT),
    };
    if let Err(why) = export.check() {
        fields.error("service", format!("{why}: nothing is sent there"));
        return None;
    }
    Some(export)
}

fn limit(fields: &Fields<'_>) -> Option<Duration> {
    let text = fields.text("timeout")?;
    let decimal = || Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok();
    let limit = duration::parse(text).or_else(decimal).filter(|limit| !limit.is_zero());
    if limit.is_none() {
        fields.error(
            "timeout",
            format!("expected a duration such as 5s, found {}", quoted(text)),
        );
    }
    limit
}

fn collector_headers(fields: &Fields<'_>, list: &'static str, problems: &Problems) -> Vec<(String, String)> {
    fields.bounded_list(list, MAX_HEADERS, |value, at| {
        record(value, at, problems, |fields| {
            let name = fields.required("name")?.to_ascii_lowercase();
            if let Some(variable) = fields.text("envName") {
                let found = std::env::var(variable).ok();
                if found.is_none() {
                    fields.warning(
                        "envName",
                        format!("{} is not set here: the header is not sent", quoted(variable)),
                    );
                }
                return Some((name, found?));
            }
            Some((name, fields.text("value")?.to_owned()))
        })
        .flatten()
    })
}

fn file_log(fields: &Fields<'_>, problems: &Problems, mesh: Option<&Arc<LogFormat>>) -> Arc<LogFormat> {
    match fields.text("path") {
        None | Some("/dev/stdout" | "/dev/stderr") => {}
        Some(other) => {
            let message = format!("a waypoint logs to its standard output, never to {}", quoted(other));
            fields.warning("path", message);
        }
    }
    let omit = fields.boolean("omitEmptyValues").unwrap_or(false);
    let own = fields.record("logFormat", |fields| {
        if let Some(text) = fields.text("text").filter(|text| !text.is_empty()) {
            let (format, unknown) = LogFormat::text(text);
            tell(fields, "text", unknown);
            return Some(format);
        }
        fields.get("labels")?;
        let mut labels = fields.entries("labels", |key, value, at| match value.as_str() {
            Some(text) => Some((key.to_owned(), text.to_owned())),
            None => {
                problems.warning(at, "expected a text: structures within a line are not supported");
                None
            }
        });
        labels.truncate(MAX_KEYS);
        let (format, unknown) = LogFormat::json(labels);
        tell(fields, "labels", unknown);
        Some(format)
    });
    match (own.flatten(), mesh) {
        (Some(format), _) => Arc::new(format.omitting_empty(omit)),
        (None, Some(mesh)) => Arc::clone(mesh),
        (None, None) => Arc::new(LogFormat::istio_text()),
    }
}
