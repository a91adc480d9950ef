//! A collector in this process: takes OTLP over gRPC and over HTTP and keeps spans and metrics for the test to look at.

use super::waiting::until;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

/// A running collector. It stops when dropped.
pub struct Collector {
    /// Where it takes OTLP/gRPC.
    pub grpc: SocketAddr,
    /// Where it takes OTLP/HTTP (POST /v1/traces, protobuf).
    pub http: SocketAddr,
    spans: Spans,
    metrics: Metrics,
    tasks: [JoinHandle<()>; 2],
}

/// A span with the resource it came from.
#[derive(Clone, Debug)]
pub struct SeenSpan {
    /// `service.name` of the resource.
    pub service: String,
    /// The span.
    pub span: Span,
}

type Spans = Arc<Mutex<Vec<SeenSpan>>>;
/// The latest sum of a counter, by service and name.
type Metrics = Arc<Mutex<HashMap<(String, String), f64>>>;

impl Collector {
    /// Listens on two free ports.
    pub async fn start() -> Self {
        let spans = Spans::default();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let grpc = incoming.local_addr().unwrap();
        let metrics = Metrics::default();
        let router = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Service(spans.clone())))
            .add_service(MetricsServiceServer::new(MetricService(metrics.clone())));
        let grpc_task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let http_task = tokio::spawn(serve_http(listener, spans.clone(), metrics.clone()));
        Self {
            grpc,
            http,
            spans,
            metrics,
            tasks: [grpc_task, http_task],
        }
    }

    /// The latest sum of a counter that this service pushed.
    pub fn metric(&self, service: &str, name: &str) -> Option<f64> {
        let key = (service.to_owned(), name.to_owned());
        self.metrics.lock().unwrap().get(&key).copied()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<SeenSpan> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits for spans that satisfy `wanted`, at least `count`.
    pub async fn until(&self, what: &str, count: usize, wanted: impl Fn(&SeenSpan) -> bool) -> Vec<SeenSpan> {
        let find = || self.spans().into_iter().filter(&wanted).collect::<Vec<_>>();
        until(&format!("the collector has {what}"), async || find().len() >= count).await;
        find()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl SeenSpan {
    /// A span attribute as text.
    pub fn attribute(&self, name: &str) -> Option<String> {
        text_of(&self.span.attributes, name)
    }

    /// The trace id in hex.
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// The span id in hex.
    pub fn span_id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The parent's span id in hex, "" at the root.
    pub fn parent_id(&self) -> String {
        hex(&self.span.parent_span_id)
    }
}

struct Service(Spans);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        keep(&self.0, request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

struct MetricService(Metrics);

#[tonic::async_trait]
impl MetricsService for MetricService {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        keep_metrics(&self.0, request.into_inner());
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn keep_metrics(metrics: &Metrics, export: ExportMetricsServiceRequest) {
    let mut metrics = metrics.lock().unwrap();
    for resource in export.resource_metrics {
        let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
        let service = text_of(&attributes, "service.name").unwrap_or_default();
        for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let Some(Data::Sum(sum)) = metric.data else { continue };
            let values = sum.data_points.iter().map(|point| match point.value {
                Some(Number::AsDouble(value)) => value,
                _ => 0.0,
            });
            metrics.insert((service.clone(), metric.name), values.sum());
        }
    }
}

async fn serve_http(listener: TcpListener, spans: Spans, metrics: Metrics) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (spans, metrics) = (spans.clone(), metrics.clone());
        connections.spawn(async move {
            let service = service_fn(|request| export(request, spans.clone(), metrics.clone()));
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await
                .ok();
        });
    }
}

async fn export(request: Request<Incoming>, spans: Spans, metrics: Metrics) -> hyper::Result<Response<Full<Bytes>>> {
    let is_metrics = request.uri().path() == "/v1/metrics";
    let is_traces = request.method() == http::Method::POST && request.uri().path() == "/v1/traces";
    let is_protobuf = request
        .headers()
        .get("content-type")
        .is_some_and(|v| v == "application/x-protobuf");
    let body = request.into_body().collect().await?.to_bytes();
    if is_metrics && let Ok(export) = ExportMetricsServiceRequest::decode(body.clone()) {
        keep_metrics(&metrics, export);
        return Ok(Response::new(Full::default()));
    }
    let status = match ExportTraceServiceRequest::decode(body) {
        _ if !is_traces => StatusCode::NOT_FOUND,
        _ if !is_protobuf => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Err(_) => StatusCode::BAD_REQUEST,
        Ok(export) => {
            keep(&spans, export);
            StatusCode::OK
        }
    };
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/x-protobuf");
    Ok(response.body(Full::new(answer.into())).unwrap())
}

fn keep(spans: &Spans, export: ExportTraceServiceRequest) {
    let mut spans = spans.lock().unwrap();
    for resource in export.resource_spans {
        let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
        let service = text_of(&attributes, "service.name").unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|s| s.spans) {
            spans.push(SeenSpan {
                service: service.clone(),
                span,
            });
        }
    }
}

fn text_of(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value: &AnyValue = attributes.iter().find(|a| a.key == name)?.value.as_ref()?;
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(n) => n.to_string(),
        Value::BoolValue(b) => b.to_string(),
        Value::DoubleValue(n) => n.to_string(),
        other => format!("{other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
