//! OTLP spans: one server span per request and one client span per upstream attempt, through a bounded queue.

use crate::{Metrics, Outcome, TraceContext};
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;

/// Which OTLP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportProtocol {
    /// OTLP over gRPC (4317).
    Grpc,
    /// OTLP over HTTP/protobuf (4318, `/v1/traces`).
    HttpProtobuf,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// `http://host:port`; for HTTP the signal path is appended unless the endpoint is signal-specific.
    pub endpoint: String,
    /// Transport.
    pub protocol: ExportProtocol,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// Per export call.
    pub timeout: Duration,
}

impl Export {
    /// From `OTEL_EXPORTER_OTLP_*` (traces-specific ones win), read through `var`. `None`: no endpoint set.
    ///
    /// # Errors
    /// The variable, what was expected, what was found.
    pub fn from_env(_var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        todo!()
    }
}

/// Settings of the tracer.
#[derive(Clone, Debug)]
pub struct SpansConfig {
    /// Where to; `None` records nothing.
    pub export: Option<Export>,
    /// Share of new traces sampled, 0.0 to 1.0. Istio's default is 0.01. A parent's decision is respected.
    pub sampling: f64,
    /// `node_id` tag: `waypoint~<ip>~<pod>.<ns>~<domain>`.
    pub node_id: String,
    /// `service.name` of the resource: `<gateway>.<namespace>`.
    pub service_name: String,
    /// Spans waiting at most (default 2,048).
    pub queue: usize,
    /// `istio.mesh_id`, cluster id.
    pub cluster: String,
}

/// The tracer.
#[derive(Debug)]
pub struct Spans {
    _private: (),
}

impl Spans {
    /// Makes it; [`Spans::run`] must be polled by a background task for anything to leave.
    pub fn new(_config: SpansConfig, _metrics: Arc<Metrics>) -> Arc<Self> {
        todo!()
    }
    /// The context of a request's server span: continues `traceparent` (or B3) in `headers`, or begins one;
    /// `random` decides sampling.
    pub fn begin(&self, _headers: &HeaderMap) -> TraceContext {
        todo!()
    }
    /// Queues the spans of a finished request when its context is sampled. Never blocks; counts what it drops.
    pub fn record(&self, _outcome: &Outcome<'_>) {
        todo!()
    }
    /// Exports batches (every 1 s or 512 spans) until `shutdown` resolves, then flushes within 2 s.
    pub async fn run(self: Arc<Self>, _shutdown: impl Future<Output = ()> + Send) {
        todo!()
    }
}
