//! A finished request, as telemetry is told of it.

use request::{ServiceName, SpiffeId, Workload};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use telemetry::{
    ClearDial, Export, ExportProtocol, Metrics, Outcome, Plan, RequestProtocol, Spans, SpansConfig, TraceContext, Try,
};

/// Owns what an [`Outcome`] borrows.
pub struct Told {
    source: Arc<Workload>,
    identity: Option<SpiffeId>,
    destination: Arc<Workload>,
    service: Arc<ServiceName>,
    plan: Arc<Plan>,
    tries: Vec<Try>,
    addresses: [SocketAddr; 2],
}

impl Told {
    /// A GET that was answered at once.
    pub fn new() -> Self {
        let addresses = [[10, 1, 0, 3], [10, 1, 0, 8]].map(|ip| SocketAddr::from((ip, 9080)));
        let identity = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/productpage").ok();
        let workload = |name: &str| {
            Arc::new(Workload {
                name: name.to_owned(),
                namespace: "bookinfo".to_owned(),
                canonical_name: name.to_owned(),
                canonical_revision: "v1".to_owned(),
                app: name.to_owned(),
                version: "v1".to_owned(),
                cluster: "Kubernetes".to_owned(),
                identity: identity.clone(),
                ..Workload::default()
            })
        };
        Self {
            source: workload("productpage"),
            destination: workload("reviews"),
            identity,
            service: Arc::new(ServiceName {
                host: "reviews.bookinfo.svc.cluster.local".into(),
                name: "reviews".into(),
                namespace: "bookinfo".into(),
            }),
            plan: Arc::default(),
            tries: vec![Try {
                address: addresses[1],
                began: Duration::from_micros(20),
                took: Duration::from_micros(700),
                status: Some(200),
                error: None,
                span: telemetry::SpanId(7),
            }],
            addresses,
        }
    }

    /// What is told of all requests of a Service.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// As it ended.
    pub fn outcome<'o>(&'o self, trace: &'o TraceContext) -> Outcome<'o> {
        Outcome {
            start: SystemTime::UNIX_EPOCH,
            duration: Duration::from_micros(750),
            source: &self.source,
            source_identity: self.identity.as_ref(),
            source_address: self.addresses[0],
            destination: Some(&self.destination),
            upstream_address: Some(self.addresses[1]),
            service: &self.service,
            port: 9080,
            backend: Some((&self.service, 9080)),
            protocol: RequestProtocol::Http,
            status: 200,
            grpc_status: None,
            flags: "-",
            details: "via_upstream",
            mtls: true,
            method: "GET",
            authority: "reviews:9080",
            path: "/reviews/0?full=1",
            http_version: "HTTP/1.1",
            user_agent: Some("curl/8.5.0"),
            request_id: Some("6f0d3b1c-1111-2222-3333-444455556666"),
            forwarded_for: None,
            request_bytes: 0,
            response_bytes: 1_024,
            request_messages: 0,
            response_messages: 0,
            route: Some("bookinfo/reviews/rule-0"),
            policy: None,
            rehearsed: &[],
            trace,
            tries: &self.tries,
            events: &[],
            plan: &self.plan,
            request_headers: &[],
            response_headers: &[],
            local_address: None,
        }
    }
}

impl Default for Told {
    fn default() -> Self {
        Self::new()
    }
}

/// A tracer with this share of sampled traces, and room for this many.
pub fn tracer(sampling: f64, queue: usize) -> Arc<Spans> {
    let config = SpansConfig {
        export: Some(Export {
            endpoint: "http://127.0.0.1:9".to_owned(),
            protocol: ExportProtocol::Grpc,
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
        }),
        sampling,
        parent_based: true,
        propagation: telemetry::Propagation::default(),
        node_id: "waypoint~10.0.0.9~waypoint-0.bookinfo~bookinfo.svc.cluster.local".to_owned(),
        service_name: "waypoint.bookinfo".to_owned(),
        resource: Vec::new(),
        batch: telemetry::Batch {
            queue,
            ..telemetry::Batch::default()
        },
        cluster: "Kubernetes".to_owned(),
    };
    Spans::new(config, Arc::new(ClearDial), Arc::new(Metrics::new("bench")))
}
