//! For tests: a request with everything in it, and golden files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::plan::{LogRule, MetricsPlan, Plan, TracingPlan};
use crate::{LogFormat, Outcome, RequestProtocol, SpanId, TcpOutcome, TraceContext, TraceId, Try};
use request::{ServiceName, SpiffeId, Workload};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Owns what an [`Outcome`] borrows.
pub(crate) struct Fixture {
    pub(crate) source: Arc<Workload>,
    pub(crate) identity: SpiffeId,
    pub(crate) destination: Arc<Workload>,
    pub(crate) service: Arc<ServiceName>,
    pub(crate) trace: TraceContext,
    pub(crate) tries: Vec<Try>,
    pub(crate) plan: Arc<Plan>,
}

/// A plan that logs every request like this.
pub(crate) fn logging(format: LogFormat) -> Arc<Plan> {
    let rule = LogRule {
        format: Arc::new(format),
        filter: None,
    };
    Arc::new(Plan::new(
        TracingPlan::default(),
        Arc::new(MetricsPlan::default()),
        vec![rule],
    ))
}

pub(crate) fn workload(name: &str, version: &str, identity: Option<&SpiffeId>) -> Arc<Workload> {
    Arc::new(Workload {
        pod: format!("{name}-{version}-abcde"),
        name: format!("{name}-{version}"),
        namespace: "bookinfo".to_owned(),
        canonical_name: name.to_owned(),
        canonical_revision: version.to_owned(),
        app: name.to_owned(),
        version: version.to_owned(),
        cluster: "Kubernetes".to_owned(),
        identity: identity.cloned(),
        ..Workload::default()
    })
}

impl Default for Fixture {
    fn default() -> Self {
        let identity = SpiffeId::parse("spiffe://cluster.local/ns/shop/sa/productpage").unwrap();
        let reviews = SpiffeId::parse("spiffe://cluster.local/ns/bookinfo/sa/reviews").unwrap();
        Self {
            plan: Arc::default(),
            source: workload("productpage", "v1", None),
            identity,
            destination: workload("reviews", "v2", Some(&reviews)),
            service: Arc::new(ServiceName {
                host: "reviews.bookinfo.svc.cluster.local".into(),
                name: "reviews".into(),
                namespace: "bookinfo".into(),
            }),
            trace: TraceContext {
                trace: TraceId(0x0af7),
                span: SpanId(0xb7ad),
                parent: Some(SpanId(0x11)),
                sampled: true,
            },
            tries: vec![
                Try {
                    address: "10.1.0.7:9080".parse().unwrap(),
                    began: Duration::from_millis(1),
                    took: Duration::from_millis(2),
                    status: None,
                    error: Some("connection_refused"),
                    span: SpanId(0x21),
                },
                Try {
                    address: "10.1.0.8:9080".parse().unwrap(),
                    began: Duration::from_millis(4),
                    took: Duration::from_millis(3),
                    status: Some(200),
                    error: None,
                    span: SpanId(0x22),
                },
            ],
        }
    }
}

impl Fixture {
    /// A GET that was answered 200 on the second attempt.
    pub(crate) fn outcome(&self) -> Outcome<'_> {
        Outcome {
            start: start(),
            duration: Duration::from_micros(7_250),
            source: &self.source,
            source_identity: Some(&self.identity),
            source_address: "10.1.0.3:41234".parse().unwrap(),
            destination: Some(&self.destination),
            upstream_address: Some("10.1.0.8:9080".parse().unwrap()),
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
            forwarded_for: Some("192.0.2.1"),
            request_bytes: 0,
            response_bytes: 1_024,
            request_messages: 0,
            response_messages: 0,
            route: Some("reviews-canary/rule-0"),
            policy: None,
            rehearsed: &[],
            trace: &self.trace,
            tries: &self.tries,
            events: &[],
            plan: &self.plan,
            request_headers: &[],
            response_headers: &[],
            local_address: Some("240.0.0.7:9080".parse().unwrap()),
        }
    }

    pub(crate) fn tcp(&self) -> TcpOutcome<'_> {
        TcpOutcome {
            start: start(),
            duration: Duration::from_millis(1_500),
            source: &self.source,
            source_identity: Some(&self.identity),
            source_address: "10.1.0.3:41234".parse().unwrap(),
            destination: Some(&self.destination),
            upstream_address: Some("10.1.0.8:9080".parse().unwrap()),
            service: &self.service,
            port: 9080,
            backend: Some((&self.service, 9080)),
            sni: None,
            route: None,
            flags: "-",
            details: "",
            mtls: true,
            received: 0,
            sent: 0,
            plan: &self.plan,
            local_address: Some("240.0.0.7:9080".parse().unwrap()),
        }
    }
}

/// 2026-01-31T12:00:00.123Z.
pub(crate) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_769_860_800_123)
}

/// Compares with `testdata/<name>`; `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (number, (wanted, found)) in wanted.lines().zip(found.lines()).enumerate() {
        assert_eq!(wanted, found, "{}:{}", path.display(), number + 1);
    }
    assert_eq!(
        wanted.lines().count(),
        found.lines().count(),
        "{}: lines",
        path.display()
    );
}
