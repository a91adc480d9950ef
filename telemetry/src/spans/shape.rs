//! Records in OTLP's form: names, attributes and status of spans.
//!
//! Attributes are those of OpenTelemetry's HTTP and RPC conventions, then the tags that Envoy and Istio write (Kiali
//! and people's saved searches know them by those names).

use super::SpansConfig;
use super::record::{Record, Text};
use crate::ended::cluster_name;
use crate::{RequestProtocol, SpanEvent, SpanId, Try};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use request::{SpiffeId, Workload};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is the same in every span.
#[derive(Debug)]
pub(super) struct Shape {
    resource: Resource,
    scope: InstrumentationScope,
    /// In every span.
    plain: Vec<KeyValue>,
    /// The same with Istio's tags.
    common: Vec<KeyValue>,
}

impl Shape {
    pub(super) fn new(config: &SpansConfig) -> Self {
        let (name, namespace) = config
            .service_name
            .split_once('.')
            .unwrap_or((&config.service_name, ""));
        let mut resource = Attributes::default();
        resource.text("service.name", &config.service_name);
        resource.text("telemetry.sdk.language", "rust");
        resource.text("telemetry.sdk.name", "waypoint");
        resource.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
        for (key, value) in &config.resource {
            resource.text(key, value);
        }
        let mut plain = Attributes::default();
        plain.text("component", "proxy");
        plain.text("node_id", &config.node_id);
        let mut common = Attributes(plain.0.clone());
        common.text("istio.mesh_id", &config.cluster);
        common.text("istio.cluster_id", &config.cluster);
        common.text("istio.canonical_service", name);
        common.text("istio.canonical_revision", "latest");
        common.text("istio.namespace", namespace);
        Self {
            resource: Resource {
                attributes: resource.0,
                ..Resource::default()
            },
            scope: InstrumentationScope {
                name: "waypoint".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            },
            plain: plain.0,
            common: common.0,
        }
    }

    /// One export call.
    pub(super) fn request(&self, records: &[Record]) -> ExportTraceServiceRequest {
        let spans = records.iter().flat_map(|record| {
            let tries = record
                .tries
                .iter()
                .enumerate()
                .map(|(index, attempt)| self.client(record, index, attempt));
            std::iter::once(self.server(record)).chain(tries)
        });
        let scope_spans = ScopeSpans {
            scope: Some(self.scope.clone()),
            spans: spans.collect(),
            ..Default::default()
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        }
    }

    /// What every span of this request has.
    fn begin(&self, record: &Record) -> Attributes {
        let tracing = record.plan.tracing();
        let mut attributes = Attributes(if tracing.istio_tags { &self.common } else { &self.plain }.clone());
        for (tag, value) in tracing.tags.iter().zip(&record.tags) {
            if let Some(value) = value {
                attributes.text(&tag.name, value);
            }
        }
        attributes
    }

    /// The request as the client saw it.
    fn server(&self, record: &Record) -> Span {
        let mut attributes = self.begin(record);
        http(&mut attributes, record);
        envoy(&mut attributes, record);
        if record.plan.tracing().istio_tags {
            ends(&mut attributes, record);
        }
        decided(&mut attributes, record);
        let failed = server_failed(record);
        if failed {
            attributes.text("error.type", &error_type(record));
        }
        let name = match record.text(Text::Route) {
            "" => format!("{}:{}/*", record.service.host, record.port),
            route => route.to_owned(),
        };
        let span = Place {
            record,
            id: record.trace.span,
            parent: record.trace.parent,
            remote_parent: true,
        };
        let mut span = span.build(
            name,
            SpanKind::Server,
            (Duration::ZERO, record.duration),
            attributes,
            failed,
        );
        span.events = events(record);
        span
    }

    /// One attempt, as the workload should see it as its parent.
    fn client(&self, record: &Record, index: usize, attempt: &Try) -> Span {
        let last = index + 1 == record.tries.len();
        let cluster = cluster_name(&record.service.host, record.port);
        let mut attributes = self.begin(record);
        attributes.text("http.request.method", record.text(Text::Method));
        attributes.text("url.path", record.text(Text::Path));
        attributes.text("server.address", &attempt.address.ip().to_string());
        attributes.number("server.port", attempt.address.port());
        attributes.text("network.peer.address", &attempt.address.ip().to_string());
        attributes.number("network.peer.port", attempt.address.port());
        attributes.text("upstream_address", &attempt.address.to_string());
        attributes.text("upstream_cluster", &cluster);
        if let Some(status) = attempt.status {
            attributes.number("http.response.status_code", status);
        }
        if index > 0 {
            attributes.number("http.request.resend_count", index as u64);
        }
        let mut failed = attempt.error.is_some() || attempt.status.is_some_and(|status| status >= 400);
        if last && record.protocol == RequestProtocol::Grpc {
            rpc(&mut attributes, record);
            failed |= record.grpc_status.is_some_and(|status| status != 0);
        }
        if failed {
            let kind = attempt
                .error
                .map_or_else(|| attempt.status.unwrap_or(0).to_string(), str::to_owned);
            attributes.text("error.type", &kind);
        }
        if last
            && record.plan.tracing().istio_tags
            && let Some(destination) = &record.destination
        {
            workload(
                &mut attributes,
                "destination",
                destination,
                destination.identity.as_ref(),
            );
        }
        let place = Place {
            record,
            id: attempt.span,
            parent: Some(record.trace.span),
            remote_parent: false,
        };
        let name = format!("router {cluster} egress");
        place.build(
            name,
            SpanKind::Client,
            (attempt.began, attempt.took),
            attributes,
            failed,
        )
    }
}

/// OpenTelemetry's conventions.
fn http(attributes: &mut Attributes, record: &Record) {
    attributes.text("http.request.method", record.text(Text::Method));
    if record.status != 0 {
        attributes.number("http.response.status_code", record.status);
    }
    attributes.text("url.scheme", "http");
    attributes.text("url.path", record.text(Text::Path));
    attributes.text("server.address", host(record.text(Text::Authority)));
    attributes.number("server.port", record.port);
    attributes.text("network.protocol.name", "http");
    attributes.text(
        "network.protocol.version",
        record.http_version.trim_start_matches("HTTP/"),
    );
    attributes.text("user_agent.original", record.text(Text::UserAgent));
    attributes.text("client.address", &record.source_address.ip().to_string());
    attributes.number("http.request.body.size", record.request_bytes);
    attributes.number("http.response.body.size", record.response_bytes);
    let retries = record.tries.len().saturating_sub(1) as u64;
    if retries > 0 {
        attributes.number("http.request.resend_count", retries);
    }
    if record.protocol == RequestProtocol::Grpc {
        rpc(attributes, record);
    }
}

fn rpc(attributes: &mut Attributes, record: &Record) {
    attributes.text("rpc.system", "grpc");
    if let Some((service, method)) = record.text(Text::Path).trim_start_matches('/').split_once('/') {
        attributes.text("rpc.service", service);
        attributes.text("rpc.method", method);
    }
    if let Some(status) = record.grpc_status {
        attributes.number("rpc.grpc.status_code", status);
    }
}

/// The tags that Envoy writes.
fn envoy(attributes: &mut Attributes, record: &Record) {
    let (authority, path) = (record.text(Text::Authority), record.text(Text::Path));
    attributes.text("http.method", record.text(Text::Method));
    attributes.text("http.url", &format!("http://{authority}{path}"));
    attributes.text("http.protocol", record.http_version);
    attributes.text("http.status_code", &record.status.to_string());
    attributes.text("user_agent", record.text(Text::UserAgent));
    attributes.text("peer.address", &record.source_address.ip().to_string());
    attributes.text("guid:x-request-id", record.text(Text::RequestId));
    attributes.text("request_size", &record.request_bytes.to_string());
    attributes.text("response_size", &record.response_bytes.to_string());
    attributes.text("response_flags", record.flags);
    attributes.text("response_code_details", record.text(Text::Details));
    attributes.text("upstream_cluster", &cluster_name(&record.service.host, record.port));
    attributes.text(
        "upstream_cluster.name",
        &cluster_name(&record.service.host, record.port),
    );
    if let Some(address) = record.upstream_address {
        attributes.text("upstream_address", &address.to_string());
    }
    if let Some(status) = record.grpc_status.filter(|_| record.protocol == RequestProtocol::Grpc) {
        attributes.text("grpc.status_code", &status.to_string());
    }
}

/// Istio's tags for both ends.
fn ends(attributes: &mut Attributes, record: &Record) {
    workload(attributes, "source", &record.source, record.source_identity.as_ref());
    if let Some(destination) = &record.destination {
        workload(attributes, "destination", destination, destination.identity.as_ref());
    }
    attributes.text("istio.destination_service", &record.service.host);
    attributes.text("istio.destination_service_name", &record.service.name);
    attributes.text("istio.destination_service_namespace", &record.service.namespace);
    attributes.text(
        "istio.connection_security_policy",
        if record.mtls { "mutual_tls" } else { "none" },
    );
}

/// What decided.
fn decided(attributes: &mut Attributes, record: &Record) {
    attributes.text("waypoint.route", record.text(Text::Route));
    attributes.text("waypoint.policy", record.text(Text::Policy));
    attributes.number("waypoint.retries", record.tries.len().saturating_sub(1) as u64);
}

fn workload(attributes: &mut Attributes, end: &str, workload: &Workload, identity: Option<&SpiffeId>) {
    let namespace = identity.map_or(workload.namespace.as_str(), SpiffeId::namespace);
    for (name, value) in [
        ("workload", workload.name.as_str()),
        ("namespace", namespace),
        ("principal", identity.map_or("", SpiffeId::as_str)),
        ("canonical_service", &workload.canonical_name),
        ("canonical_revision", &workload.canonical_revision),
        ("app", &workload.app),
        ("version", &workload.version),
        ("cluster_id", &workload.cluster),
    ] {
        if !value.is_empty() {
            attributes.text(&format!("istio.{end}_{name}"), value);
        }
    }
}

/// The authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Status of a server span: 5xx, or a gRPC code that is the server's fault (OpenTelemetry's RPC conventions).
fn server_failed(record: &Record) -> bool {
    let grpc = record.protocol == RequestProtocol::Grpc;
    record.status >= 500 || (grpc && matches!(record.grpc_status, Some(2 | 4 | 12 | 13 | 14 | 15)))
}

fn error_type(record: &Record) -> String {
    match (record.protocol, record.grpc_status) {
        (RequestProtocol::Grpc, Some(status)) if record.status < 500 => status.to_string(),
        _ => record.status.to_string(),
    }
}

/// Where a span stands.
struct Place<'r> {
    record: &'r Record,
    id: SpanId,
    parent: Option<SpanId>,
    remote_parent: bool,
}

impl Place<'_> {
    /// `times`: beginning after the request's start, and duration.
    fn build(
        self,
        name: String,
        kind: SpanKind,
        times: (Duration, Duration),
        attributes: Attributes,
        failed: bool,
    ) -> Span {
        let start = unix_nanos(self.record.start, times.0);
        // Sampled, parent's remoteness known, and whether it is remote (OTLP's SpanFlags).
        let flags = 0x101
            | if self.remote_parent && self.parent.is_some() {
                0x200
            } else {
                0
            };
        Span {
            trace_id: self.record.trace.trace.0.to_be_bytes().to_vec(),
            span_id: self.id.0.to_be_bytes().to_vec(),
            parent_span_id: self
                .parent
                .map(|parent| parent.0.to_be_bytes().to_vec())
                .unwrap_or_default(),
            flags,
            name,
            kind: kind.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(u64::try_from(times.1.as_nanos()).unwrap_or(u64::MAX)),
            attributes: attributes.0,
            status: failed.then(|| Status {
                message: String::new(),
                code: StatusCode::Error.into(),
            }),
            ..Span::default()
        }
    }
}

/// What happened on the way: retries, a denial, and what was noted while it did.
fn events(record: &Record) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut push = |at: Duration, name: &str, attributes: Attributes| {
        events.push(Event {
            time_unix_nano: unix_nanos(record.start, at),
            name: name.to_owned(),
            attributes: attributes.0,
            ..Event::default()
        });
    };
    for SpanEvent { at, name, detail } in &record.events {
        let mut attributes = Attributes::default();
        if let Some((key, value)) = detail {
            attributes.text(key, value);
        }
        push(*at, name, attributes);
    }
    for (number, pair) in record.tries.windows(2).enumerate() {
        let [before, next] = pair else { continue };
        let mut attributes = Attributes::default();
        attributes.number("http.request.resend_count", number as u64 + 1);
        attributes.text("retry.after", &before.address.to_string());
        let status = before.status.map(|status| status.to_string());
        attributes.text("retry.reason", before.error.or(status.as_deref()).unwrap_or_default());
        push(next.began, "retry", attributes);
    }
    let policy = record.text(Text::Policy);
    if !policy.is_empty() {
        let mut attributes = Attributes::default();
        attributes.text("waypoint.policy", policy);
        attributes.text("response_code_details", record.text(Text::Details));
        push(record.duration, "denied", attributes);
    }
    events.sort_by_key(|event| event.time_unix_nano);
    events
}

fn unix_nanos(start: SystemTime, after: Duration) -> u64 {
    let since = start
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .saturating_add(after);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Attributes; empty texts are left out.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.push(key, Value::StringValue(value.to_owned()));
        }
    }

    fn number(&mut self, key: &str, value: impl Into<u64>) {
        self.push(key, Value::IntValue(i64::try_from(value.into()).unwrap_or(i64::MAX)));
    }

    fn push(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue {
            key: key.to_owned(),
            value,
            ..KeyValue::default()
        });
    }
}
