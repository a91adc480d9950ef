//! Tells a cluster what became of requests at its endpoints, for outlier detection.

use super::grpc;
use super::node::Node;
use super::reason::Reason;
use http::response;
use routing::{Cluster, Ejected, Endpoint, Outcome};

/// Reports an outcome, and tells of an ejection.
pub(crate) fn report(node: &Node, cluster: &Cluster, endpoint: &Endpoint, outcome: Outcome) {
    // Most clusters have no policy for it: not even the clock is read.
    if cluster.policy.outliers.is_none() {
        return;
    }
    let now_ms = node.clock.now_ms();
    match cluster.report(endpoint, outcome, now_ms) {
        None => {}
        Some(Ejected::Until(until)) => {
            node.metrics.own.ejection("ejected");
            tracing::info!(
                endpoint = %endpoint.address,
                workload = endpoint.workload.pod,
                service = &*cluster.service.host,
                for_ms = until.saturating_sub(now_ms),
                "endpoint ejected: it failed too often in a row"
            );
        }
        Some(Ejected::Capped) => node.metrics.own.ejection("capped"),
    }
}

/// What an answer says by its head; `None`: a gRPC answer whose status is still to come.
pub(crate) fn of_answer(grpc: bool, parts: &response::Parts, grpc_status: Option<u32>) -> Option<Outcome> {
    match (grpc, grpc_status) {
        (true, Some(status)) => Some(Outcome::Answered(grpc::http_status(status))),
        (true, None) if parts.status.is_success() => None,
        _ => Some(Outcome::Answered(parts.status.as_u16())),
    }
}

/// What a failure says; `None`: it is not the endpoint's.
pub(crate) fn of_failure(reason: &Reason) -> Option<Outcome> {
    match reason {
        Reason::Connect => Some(Outcome::NotConnected),
        Reason::Reset | Reason::BadAnswer => Some(Outcome::Reset),
        Reason::Timeout => Some(Outcome::TimedOut),
        _ => None,
    }
}
