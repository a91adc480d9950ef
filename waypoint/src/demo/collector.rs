//! A trace collector in this process: takes OTLP over gRPC, as Jaeger or an OpenTelemetry Collector would, and keeps
//! the latest spans.

use super::error::{DemoError, doing};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

/// Spans kept; older ones go.
const KEPT: usize = 4096;
/// The waypoint sends a batch every second.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running collector. It stops when dropped.
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    spans: watch::Receiver<VecDeque<Span>>,
    serving: JoinHandle<()>,
}

impl Collector {
    pub(super) fn start() -> Result<Self, DemoError> {
        let failed = "start the trace collector";
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(doing(failed))?;
        let address = incoming.local_addr().map_err(doing(failed))?;
        let (sender, spans) = watch::channel(VecDeque::new());
        let router = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Receiver(sender)));
        let serving = tokio::spawn(async move {
            // It ends with the demo; spans that do not come are told by whoever waits for them.
            let _ = router.serve_with_incoming(incoming).await;
        });
        Ok(Self {
            address,
            spans,
            serving,
        })
    }

    /// The spans of `trace`, as soon as there are `count`; what there is of them when they do not come.
    pub(super) async fn trace(&self, trace: &[u8], count: usize) -> Vec<Span> {
        let of_trace = |spans: &VecDeque<Span>| -> Vec<Span> {
            spans.iter().filter(|span| span.trace_id == trace).cloned().collect()
        };
        let mut spans = self.spans.clone();
        let complete = spans.wait_for(|spans| of_trace(spans).len() >= count);
        match tokio::time::timeout(PATIENCE, complete).await {
            Ok(Ok(spans)) => of_trace(&spans),
            _ => of_trace(&self.spans.borrow()),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An attribute of a span as text; empty when it is missing.
pub(super) fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

struct Receiver(watch::Sender<VecDeque<Span>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.send_modify(|spans| {
            spans.extend(scopes.flat_map(|scope| scope.spans));
            let surplus = spans.len().saturating_sub(KEPT);
            spans.drain(..surplus);
        });
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}
