//! For tests: a finished request.
#![allow(clippy::unwrap_used)]

use request::{ServiceName, SpiffeId, Workload};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use telemetry::{Outcome, Plan, RequestProtocol, SpanId, TraceContext, TraceId};

/// Owns what an [`Outcome`] borrows.
pub(crate) struct Sample {
    pub(crate) source: Arc<Workload>,
    identity: SpiffeId,
    pub(crate) service: Arc<ServiceName>,
    trace: TraceContext,
    plan: Arc<Plan>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            source: Arc::default(),
            identity: SpiffeId::parse("spiffe://td/ns/shop/sa/cart").unwrap(),
            service: Arc::new(ServiceName {
                host: "reviews.demo.svc.cluster.local".into(),
                name: "reviews".into(),
                namespace: "demo".into(),
            }),
            trace: TraceContext {
                trace: TraceId(1),
                span: SpanId(1),
                parent: None,
                sampled: false,
            },
            plan: Arc::default(),
        }
    }
}

impl Sample {
    pub(crate) fn outcome(&self, status: u16, flags: &'static str, duration: Duration) -> Outcome<'_> {
        Outcome {
            start: UNIX_EPOCH,
            duration,
            source: &self.source,
            source_identity: Some(&self.identity),
            source_address: "10.0.0.1:1".parse().unwrap(),
            destination: None,
            upstream_address: None,
            service: &self.service,
            port: 80,
            backend: Some((&self.service, 80)),
            protocol: RequestProtocol::Http,
            status,
            grpc_status: None,
            flags,
            details: "via_upstream",
            mtls: true,
            method: "GET",
            authority: "reviews",
            path: "/x?access_token=secret",
            http_version: "HTTP/1.1",
            user_agent: None,
            request_id: None,
            forwarded_for: None,
            request_bytes: 0,
            response_bytes: 0,
            request_messages: 0,
            response_messages: 0,
            route: None,
            policy: None,
            rehearsed: &[],
            trace: &self.trace,
            tries: &[],
            events: &[],
            plan: &self.plan,
            request_headers: &[],
            response_headers: &[],
            local_address: None,
        }
    }
}
