//! Label blocks: Istio's labels in Istio's order.
//!
//! The order and the fall-backs are those of Istio's stats filter for `reporter="waypoint"`: source namespace from
//! the SPIFFE id first, then the workload; `unknown` for missing text, but `latest` for the source's revision.

use super::exposition::push_label;
use super::key::{KeyRef, Protocol};
use request::{SpiffeId, Workload};

/// The labels of both ends: all that the message counters carry.
pub(crate) fn ends(key: &KeyRef<'_>) -> String {
    let mut block = String::with_capacity(1_024);
    push_label(&mut block, "reporter", "waypoint");
    source(&mut block, key.source, key.identity);
    destination(&mut block, key);
    block
}

/// Appends what tells of the request itself.
pub(crate) fn request(block: &mut String, key: &KeyRef<'_>) {
    push_label(block, "request_protocol", key.protocol.label());
    if key.protocol != Protocol::Tcp {
        push_label(block, "response_code", &key.status.to_string());
        push_label(block, "grpc_response_status", &grpc_status(key));
    }
    push_label(block, "response_flags", or_default(key.flags, "-"));
    push_label(block, "connection_security_policy", security(key.mtls));
}

/// The labels of both ends of whatever did not fit any more.
pub(crate) fn overflow_ends() -> String {
    let mut block = String::with_capacity(1_024);
    push_label(&mut block, "reporter", "waypoint");
    for name in SOURCE_LABELS.into_iter().chain(DESTINATION_LABELS) {
        push_label(&mut block, name, "overflow");
    }
    block
}

/// Appends the request's labels for a set that did not fit: only what has few values.
pub(crate) fn overflow_request(block: &mut String, key: &KeyRef<'_>) {
    push_label(block, "request_protocol", key.protocol.label());
    if key.protocol != Protocol::Tcp {
        let known = if (100..600).contains(&key.status) {
            key.status
        } else {
            0
        };
        push_label(block, "response_code", &known.to_string());
        push_label(
            block,
            "grpc_response_status",
            if key.protocol == Protocol::Grpc { "overflow" } else { "" },
        );
    }
    push_label(block, "response_flags", "overflow");
    push_label(block, "connection_security_policy", security(key.mtls));
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

fn source(block: &mut String, workload: &Workload, identity: Option<&SpiffeId>) {
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
    for (name, value) in SOURCE_LABELS.into_iter().zip(values) {
        push_label(block, name, value);
    }
}

fn destination(block: &mut String, key: &KeyRef<'_>) {
    let workload = |read: fn(&Workload) -> &str| known(key.destination.map_or("", |end| read(end)));
    let values = [
        workload(|end| &end.name),
        workload(|end| &end.namespace),
        workload(|end| end.identity.as_ref().map_or("", SpiffeId::as_str)),
        workload(|end| &end.app),
        workload(|end| &end.version),
        known(&key.service.host),
        workload(|end| &end.canonical_name),
        workload(|end| &end.canonical_revision),
        known(&key.service.name),
        known(&key.service.namespace),
        workload(|end| &end.cluster),
    ];
    for (name, value) in DESTINATION_LABELS.into_iter().zip(values) {
        push_label(block, name, value);
    }
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
