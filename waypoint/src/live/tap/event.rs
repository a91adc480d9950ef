//! One finished request as one line of JSON. No header, no query, no token is part of it.

use super::Names;
use crate::live::{Finished, unix_ms};
use serde_json::json;

pub(super) fn line(finished: &Finished<'_>, (route, backend): &Names) -> String {
    let outcome = finished.outcome;
    let source = outcome
        .source_identity
        .map(|id| format!("{}/{}", id.namespace(), id.service_account()));
    let head = finished.head;
    let event = json!({
        "atMs": unix_ms(outcome.start),
        "durationMs": outcome.duration.as_secs_f64() * 1_000.0,
        "source": source,
        "sourceWorkload": outcome.source.name,
        "service": &*outcome.service.host,
        "port": outcome.port,
        "protocol": match outcome.protocol {
            telemetry::RequestProtocol::Http => "http",
            telemetry::RequestProtocol::Grpc => "grpc",
        },
        "method": outcome.method,
        "authority": outcome.authority,
        "path": head.map(|head| head.path.as_str()),
        "hasQuery": head.is_some_and(|head| head.query.is_some()),
        "status": outcome.status,
        "grpcStatus": outcome.grpc_status,
        "flags": outcome.flags,
        "details": outcome.details,
        "route": route,
        "backend": backend,
        "upstream": outcome.upstream_address.map(|address| address.to_string()),
        "destinationWorkload": outcome.destination.map(|workload| &workload.name),
        "requestBytes": outcome.request_bytes,
        "responseBytes": outcome.response_bytes,
        "policy": outcome.policy,
        "trace": outcome.trace.sampled.then(|| format!("{:032x}", outcome.trace.trace.0)),
    });
    format!("{event}\n")
}
