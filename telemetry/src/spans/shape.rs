//! Records in OTLP's form: names, attributes and status of spans.
//!
//! Attributes are those of OpenTelemetry's HTTP and RPC conventions, then the tags that Envoy and Istio write (Kiali
//! and people's saved searches know them by those names).

use super::SpansConfig;
use super::proto;
use super::record::{Record, Text};
use crate::ended::cluster_name;
use crate::{RequestProtocol, SpanEvent, SpanId, Try};
use request::{SpiffeId, Workload};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

// Fields of OTLP's messages (opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto).
const REQUEST_RESOURCE_SPANS: u32 = 1;
const RESOURCE_SPANS_RESOURCE: u32 = 1;
const RESOURCE_SPANS_SCOPE_SPANS: u32 = 2;
const SCOPE_SPANS_SCOPE: u32 = 1;
const SCOPE_SPANS_SPANS: u32 = 2;
const RESOURCE_ATTRIBUTES: u32 = 1;
const SPAN_ATTRIBUTES: u32 = 9;
const SPAN_EVENTS: u32 = 11;
const EVENT_ATTRIBUTES: u32 = 3;
/// What the attributes of most spans fit into.
const SPAN_BYTES: usize = 3 * 1_024;
const KIND_SERVER: u64 = 2;
const KIND_CLIENT: u64 = 3;
const STATUS_ERROR: u64 = 2;

/// What is the same in every span, encoded.
#[derive(Debug)]
pub(super) struct Shape {
    resource: Vec<u8>,
    scope: Vec<u8>,
    /// Attributes of every span.
    plain: Vec<u8>,
    /// The same with Istio's tags.
    common: Vec<u8>,
}

impl Shape {
    pub(super) fn new(config: &SpansConfig) -> Self {
        let (name, namespace) = config
            .service_name
            .split_once('.')
            .unwrap_or((&config.service_name, ""));
        let mut resource = Attributes::of(RESOURCE_ATTRIBUTES);
        resource.text("service.name", &config.service_name);
        resource.text("telemetry.sdk.language", "rust");
        resource.text("telemetry.sdk.name", "waypoint");
        resource.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
        for (key, value) in &config.resource {
            resource.text(key, value);
        }
        let mut common = Attributes::of(SPAN_ATTRIBUTES);
        common.text("component", "proxy");
        common.text("node_id", &config.node_id);
        let plain = common.out.clone();
        common.text("istio.mesh_id", &config.cluster);
        common.text("istio.cluster_id", &config.cluster);
        common.text("istio.canonical_service", name);
        common.text("istio.canonical_revision", "latest");
        common.text("istio.namespace", namespace);
        let mut scope = Vec::new();
        proto::bytes(&mut scope, 1, b"waypoint");
        proto::bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        Self {
            resource: resource.out,
            scope,
            plain,
            common: common.out,
        }
    }

    /// One export call: an `ExportTraceServiceRequest`.
    pub(super) fn request(&self, records: &[Record]) -> Vec<u8> {
        let mut scope_spans = Vec::new();
        proto::bytes(&mut scope_spans, SCOPE_SPANS_SCOPE, &self.scope);
        for record in records {
            proto::bytes(&mut scope_spans, SCOPE_SPANS_SPANS, &self.server(record));
            for (index, attempt) in record.tries.iter().enumerate() {
                let span = self.client(record, index, attempt);
                proto::bytes(&mut scope_spans, SCOPE_SPANS_SPANS, &span);
            }
        }
        let mut resource_spans = Vec::with_capacity(scope_spans.len() + self.resource.len() + 16);
        proto::bytes(&mut resource_spans, RESOURCE_SPANS_RESOURCE, &self.resource);
        proto::bytes(&mut resource_spans, RESOURCE_SPANS_SCOPE_SPANS, &scope_spans);
        let mut request = Vec::with_capacity(resource_spans.len() + 8);
        proto::bytes(&mut request, REQUEST_RESOURCE_SPANS, &resource_spans);
        request
    }

    /// What every span of this request has.
    fn begin(&self, record: &Record) -> Attributes {
        let tracing = record.plan.tracing();
        let mut attributes = Attributes::of(SPAN_ATTRIBUTES);
        attributes.out.reserve(SPAN_BYTES);
        let common = if tracing.istio_tags { &self.common } else { &self.plain };
        attributes.out.extend_from_slice(common);
        for (tag, value) in tracing.tags.iter().zip(&record.tags) {
            if let Some(value) = value {
                attributes.text(&tag.name, value);
            }
        }
        attributes
    }

    /// The request as the client saw it.
    fn server(&self, record: &Record) -> Vec<u8> {
        let mut attributes = self.begin(record);
        http(&mut attributes, record);
        envoy(&mut attributes, record);
        if record.plan.tracing().istio_tags {
            ends(&mut attributes, record);
            rehearsed(&mut attributes, record);
        }
        decided(&mut attributes, record);
        let failed = server_failed(record);
        if failed {
            attributes.text("error.type", &error_type(record));
        }
        let name = match record.text(Text::Route) {
            "" => Cow::Owned(format!("{}:{}/*", record.service.host, record.port)),
            route => Cow::Borrowed(route),
        };
        let span = Place {
            record,
            id: record.trace.span,
            parent: record.trace.parent,
            remote_parent: true,
        };
        let mut span = span.build(
            &name,
            KIND_SERVER,
            (Duration::ZERO, record.duration),
            attributes,
            failed,
        );
        events(&mut span, record);
        span
    }

    /// One attempt, as the workload should see it as its parent.
    fn client(&self, record: &Record, index: usize, attempt: &Try) -> Vec<u8> {
        let last = index + 1 == record.tries.len();
        let cluster = cluster(record);
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
            workload(&mut attributes, DESTINATION, destination, destination.identity.as_ref());
        }
        let place = Place {
            record,
            id: attempt.span,
            parent: Some(record.trace.span),
            remote_parent: false,
        };
        let name = format!("router {cluster} egress");
        place.build(&name, KIND_CLIENT, (attempt.began, attempt.took), attributes, failed)
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
    let cluster = cluster(record);
    attributes.text("upstream_cluster", &cluster);
    attributes.text("upstream_cluster.name", &cluster);
    if let Some(address) = record.upstream_address {
        attributes.text("upstream_address", &address.to_string());
    }
    if let Some(status) = record.grpc_status.filter(|_| record.protocol == RequestProtocol::Grpc) {
        attributes.text("grpc.status_code", &status.to_string());
    }
}

/// Empty where the request was routed nowhere.
fn cluster(record: &Record) -> String {
    let backend = record.backend.as_ref();
    backend.map_or_else(String::new, |(service, port)| cluster_name(&service.host, *port))
}

/// Istio's tags for both ends.
fn ends(attributes: &mut Attributes, record: &Record) {
    workload(attributes, SOURCE, &record.source, record.source_identity.as_ref());
    if let Some(destination) = &record.destination {
        workload(attributes, DESTINATION, destination, destination.identity.as_ref());
    }
    if let Some((service, _)) = &record.backend {
        attributes.text("istio.destination_service", &service.host);
        attributes.text("istio.destination_service_name", &service.name);
        attributes.text("istio.destination_service_namespace", &service.namespace);
    }
    attributes.text(
        "istio.connection_security_policy",
        if record.mtls { "mutual_tls" } else { "none" },
    );
}

/// What policies in dry run would have said, by the names that Istio's tracing has for it.
fn rehearsed(attributes: &mut Attributes, record: &Record) {
    for rehearsal in &record.rehearsed {
        let [name, result] = match rehearsal.is_deny {
            false => [
                "istio.authorization.dry_run.allow_policy.name",
                "istio.authorization.dry_run.allow_policy.result",
            ],
            true => [
                "istio.authorization.dry_run.deny_policy.name",
                "istio.authorization.dry_run.deny_policy.result",
            ],
        };
        attributes.text(name, rehearsal.policy.as_deref().unwrap_or_default());
        attributes.text(result, rehearsal.result);
    }
}

/// What decided.
fn decided(attributes: &mut Attributes, record: &Record) {
    attributes.text("waypoint.route", record.text(Text::Route));
    attributes.text("waypoint.policy", record.text(Text::Policy));
    attributes.number("waypoint.retries", record.tries.len().saturating_sub(1) as u64);
}

/// The tags of one end.
type Names = [&'static str; 8];

const SOURCE: Names = [
    "istio.source_workload",
    "istio.source_namespace",
    "istio.source_principal",
    "istio.source_canonical_service",
    "istio.source_canonical_revision",
    "istio.source_app",
    "istio.source_version",
    "istio.source_cluster_id",
];

const DESTINATION: Names = [
    "istio.destination_workload",
    "istio.destination_namespace",
    "istio.destination_principal",
    "istio.destination_canonical_service",
    "istio.destination_canonical_revision",
    "istio.destination_app",
    "istio.destination_version",
    "istio.destination_cluster_id",
];

fn workload(attributes: &mut Attributes, names: Names, workload: &Workload, identity: Option<&SpiffeId>) {
    let values = [
        workload.name.as_str(),
        identity.map_or(workload.namespace.as_str(), SpiffeId::namespace),
        identity.map_or("", SpiffeId::as_str),
        &workload.canonical_name,
        &workload.canonical_revision,
        &workload.app,
        &workload.version,
        &workload.cluster,
    ];
    for (name, value) in names.into_iter().zip(values) {
        attributes.text(name, value);
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
        name: &str,
        kind: u64,
        times: (Duration, Duration),
        attributes: Attributes,
        failed: bool,
    ) -> Vec<u8> {
        let start = unix_nanos(self.record.start, times.0);
        let end = start.saturating_add(u64::try_from(times.1.as_nanos()).unwrap_or(u64::MAX));
        // Sampled, parent's remoteness known, and whether it is remote (OTLP's SpanFlags).
        let flags = 0x101
            | if self.remote_parent && self.parent.is_some() {
                0x200
            } else {
                0
            };
        let mut span = Vec::with_capacity(attributes.out.len() + 256);
        proto::bytes(&mut span, 1, &self.record.trace.trace.0.to_be_bytes());
        proto::bytes(&mut span, 2, &self.id.0.to_be_bytes());
        if let Some(parent) = self.parent {
            proto::bytes(&mut span, 4, &parent.0.to_be_bytes());
        }
        proto::bytes(&mut span, 5, name.as_bytes());
        proto::number(&mut span, 6, kind);
        proto::fixed64(&mut span, 7, start);
        proto::fixed64(&mut span, 8, end);
        span.extend_from_slice(&attributes.out);
        if failed {
            let mut status = Vec::new();
            proto::number(&mut status, 3, STATUS_ERROR);
            proto::bytes(&mut span, 15, &status);
        }
        proto::fixed32(&mut span, 16, flags);
        span
    }
}

/// What happened on the way: retries, a denial, and what was noted while it did.
fn events(span: &mut Vec<u8>, record: &Record) {
    let mut events: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut push = |at: Duration, name: &str, attributes: Attributes| {
        let at = unix_nanos(record.start, at);
        let mut event = Vec::new();
        proto::fixed64(&mut event, 1, at);
        proto::bytes(&mut event, 2, name.as_bytes());
        event.extend_from_slice(&attributes.out);
        events.push((at, event));
    };
    for SpanEvent { at, name, detail } in &record.events {
        let mut attributes = Attributes::of(EVENT_ATTRIBUTES);
        if let Some((key, value)) = detail {
            attributes.text(key, value);
        }
        push(*at, name, attributes);
    }
    for (number, pair) in record.tries.windows(2).enumerate() {
        let [before, next] = pair else { continue };
        let mut attributes = Attributes::of(EVENT_ATTRIBUTES);
        attributes.number("http.request.resend_count", number as u64 + 1);
        attributes.text("retry.after", &before.address.to_string());
        let status = before.status.map(|status| status.to_string());
        attributes.text("retry.reason", before.error.or(status.as_deref()).unwrap_or_default());
        push(next.began, "retry", attributes);
    }
    let policy = record.text(Text::Policy);
    if !policy.is_empty() {
        let mut attributes = Attributes::of(EVENT_ATTRIBUTES);
        attributes.text("waypoint.policy", policy);
        attributes.text("response_code_details", record.text(Text::Details));
        push(record.duration, "denied", attributes);
    }
    events.sort_by_key(|(at, _)| *at);
    for (_, event) in events {
        proto::bytes(span, SPAN_EVENTS, &event);
    }
}

fn unix_nanos(start: SystemTime, after: Duration) -> u64 {
    let since = start
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .saturating_add(after);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Attributes, encoded as they come; empty texts are left out.
struct Attributes {
    /// Which field they are of the message that has them.
    field: u32,
    out: Vec<u8>,
}

impl Attributes {
    fn of(field: u32) -> Self {
        Self { field, out: Vec::new() }
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            proto::text_attribute(&mut self.out, self.field, key, value);
        }
    }

    fn number(&mut self, key: &str, value: impl Into<u64>) {
        proto::number_attribute(&mut self.out, self.field, key, value.into());
    }
}
