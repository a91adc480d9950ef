//! Label blocks: Istio's labels in Istio's order, and what Telemetry resources change in them.
//!
//! The order and the fall-backs are those of Istio's stats filter for `reporter="waypoint"`: source namespace from
//! the SPIFFE id first, then the workload; `unknown` for missing text, but `latest` for the source's revision. The
//! destination Service is the backend's, not the one that the client addressed: `unknown` where there is none.

use super::exposition::push_label;
use super::key::{KeyRef, Protocol};
use crate::plan::{Changed, Metric};
use request::{ServiceName, SpiffeId, Workload};
use std::borrow::Cow;

type Labels<'k> = Vec<(&'k str, Cow<'k, str>)>;

/// The block of a metric.
pub(crate) fn block(key: &KeyRef<'_>, metric: Metric) -> String {
    let mut labels: Labels<'_> = vec![("reporter", "waypoint".into())];
    source(&mut labels, key.source, key.identity);
    destination(&mut labels, key);
    // Istio's message counters carry only the labels of both ends.
    if !matches!(metric, Metric::GrpcRequestMessages | Metric::GrpcResponseMessages) {
        request(&mut labels, key);
    }
    for (name, changed) in key.plan.tags(metric) {
        change(&mut labels, name, changed, key.values);
    }
    render(&labels)
}

/// The block of a metric for whatever did not fit any more: only what has few values.
pub(crate) fn overflow(key: &KeyRef<'_>, metric: Metric) -> String {
    let mut labels: Labels<'_> = vec![("reporter", "waypoint".into())];
    let ends = SOURCE_LABELS.into_iter().chain(DESTINATION_LABELS);
    labels.extend(ends.map(|name| (name, "overflow".into())));
    if !matches!(metric, Metric::GrpcRequestMessages | Metric::GrpcResponseMessages) {
        overflow_request(&mut labels, key);
    }
    render(&labels)
}

fn change<'k>(labels: &mut Labels<'k>, name: &'k str, changed: Changed<'k>, values: &'k [Box<str>]) {
    let at = labels.iter().position(|(known, _)| *known == name);
    let value = match changed {
        Changed::Removed => {
            if let Some(at) = at {
                labels.remove(at);
            }
            return;
        }
        Changed::Constant(text) => text,
        Changed::Value(place) => values.get(place).map_or("unknown", |value| value),
    };
    match at.and_then(|at| labels.get_mut(at)) {
        Some((_, known)) => *known = value.into(),
        None => labels.push((name, value.into())),
    }
}

fn render(labels: &Labels<'_>) -> String {
    let mut block = String::with_capacity(1_024);
    for (name, value) in labels {
        push_label(&mut block, name, value);
    }
    block
}

/// What tells of the request itself.
fn request(labels: &mut Labels<'_>, key: &KeyRef<'_>) {
    labels.push(("request_protocol", key.protocol.label().into()));
    if key.protocol != Protocol::Tcp {
        labels.push(("response_code", key.status.to_string().into()));
        labels.push(("grpc_response_status", grpc_status(key).into()));
    }
    labels.push(("response_flags", or_default(key.flags, "-").into()));
    labels.push(("connection_security_policy", security(key.mtls).into()));
}

fn overflow_request(labels: &mut Labels<'_>, key: &KeyRef<'_>) {
    labels.push(("request_protocol", key.protocol.label().into()));
    if key.protocol != Protocol::Tcp {
        let known = if (100..600).contains(&key.status) {
            key.status
        } else {
            0
        };
        let grpc = if key.protocol == Protocol::Grpc { "overflow" } else { "" };
        labels.push(("response_code", known.to_string().into()));
        labels.push(("grpc_response_status", grpc.into()));
    }
    labels.push(("response_flags", "overflow".into()));
    labels.push(("connection_security_policy", security(key.mtls).into()));
}

const SOURCE_LABELS: [&str; 8] = [
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
];

const DESTINATION_LABELS: [&str; 11] = [
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
];

fn source<'k>(labels: &mut Labels<'k>, workload: &'k Workload, identity: Option<&'k SpiffeId>) {
    let namespace = identity.map_or("", SpiffeId::namespace);
    let values = [
        known(&workload.name),
        known(&workload.canonical_name),
        or_default(&workload.canonical_revision, "latest"),
        or_default(namespace, known(&workload.namespace)),
        known(identity.map_or("", SpiffeId::as_str)),
        known(&workload.app),
        known(&workload.version),
        known(&workload.cluster),
    ];
    labels.extend(SOURCE_LABELS.into_iter().zip(values.map(Cow::from)));
}

fn destination<'k>(labels: &mut Labels<'k>, key: &KeyRef<'k>) {
    let end = key.destination;
    let workload = |read: fn(&Workload) -> &str| known(end.map_or("", |end| read(end)));
    let service = |read: fn(&ServiceName) -> &str| known(key.service.map_or("", |service| read(service)));
    let values = [
        workload(|end| &end.name),
        workload(|end| &end.namespace),
        workload(|end| end.identity.as_ref().map_or("", SpiffeId::as_str)),
        workload(|end| &end.app),
        workload(|end| &end.version),
        service(|service| &service.host),
        workload(|end| &end.canonical_name),
        workload(|end| &end.canonical_revision),
        service(|service| &service.name),
        service(|service| &service.namespace),
        workload(|end| &end.cluster),
    ];
    labels.extend(DESTINATION_LABELS.into_iter().zip(values.map(Cow::from)));
}

/// Filled for gRPC only. What is no code of gRPC's reads `-1`, as Envoy has it: a backend cannot invent series.
fn grpc_status(key: &KeyRef<'_>) -> String {
    match (key.protocol, key.grpc_status) {
        (Protocol::Grpc, Some(status @ 0..=16)) => status.to_string(),
        (Protocol::Grpc, Some(_)) => "-1".to_owned(),
        _ => String::new(),
    }
}

/// Istio's waypoint knows both certificates when the request ends: it never writes `unknown` here.
fn security(mtls: bool) -> &'static str {
    if mtls { "mutual_tls" } else { "none" }
}

fn known(text: &str) -> &str {
    or_default(text, "unknown")
}

fn or_default<'t>(text: &'t str, default: &'t str) -> &'t str {
    if text.is_empty() { default } else { text }
}
