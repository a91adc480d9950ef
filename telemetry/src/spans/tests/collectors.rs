//! Real OTLP receivers in this process, over real sockets.

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;

/// What a collector got: headers and the message.
pub(super) type Got = (HeaderMap, ExportTraceServiceRequest);

/// What a collector answers, in order; then it takes everything.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Unavailable,
    Refuse,
    Reject(i64),
}

#[derive(Clone)]
struct Collector {
    got: mpsc::UnboundedSender<Got>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Collector {
    /// `None`: taken, with what was rejected.
    fn take(&self, got: Got) -> Result<ExportTraceServiceResponse, Answer> {
        self.got.send(got).unwrap();
        let rejected_spans = match self.answers.lock().unwrap().pop_front() {
            None => 0,
            Some(Answer::Reject(spans)) => spans,
            Some(other) => return Err(other),
        };
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            ..Default::default()
        });
        Ok(ExportTraceServiceResponse { partial_success })
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        match self.take((metadata.into_headers(), message)) {
            Ok(answer) => Ok(tonic::Response::new(answer)),
            Err(Answer::Unavailable) => Err(tonic::Status::unavailable("busy")),
            Err(_) => Err(tonic::Status::invalid_argument("no")),
        }
    }
}

/// A gRPC collector: its endpoint and what it gets.
pub(super) async fn grpc(answers: &[Answer]) -> (String, mpsc::UnboundedReceiver<Got>) {
    let (collector, got) = collector(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (endpoint, got)
}

/// An HTTP/protobuf collector at `/v1/traces`.
pub(super) async fn http(answers: &[Answer]) -> (String, mpsc::UnboundedReceiver<Got>) {
    let (collector, got) = collector(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let collector = collector.clone();
            let service = service_fn(move |request| answer(collector.clone(), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    (endpoint, got)
}

/// Accepts and never says a word.
pub(super) async fn hanging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    endpoint
}

fn collector(answers: &[Answer]) -> (Collector, mpsc::UnboundedReceiver<Got>) {
    let (sender, got) = mpsc::unbounded_channel();
    (
        Collector {
            got: sender,
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        },
        got,
    )
}

async fn answer(collector: Collector, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let status = |status| Response::builder().status(status).body(Full::default()).unwrap();
    let (parts, body) = request.into_parts();
    if parts.uri.path() != "/v1/traces" || parts.method != "POST" {
        return Ok(status(StatusCode::NOT_FOUND));
    }
    let message = ExportTraceServiceRequest::decode(body.collect().await?.to_bytes()).unwrap();
    Ok(match collector.take((parts.headers, message)) {
        Ok(answer) => Response::new(answer.encode_to_vec().into()),
        Err(Answer::Unavailable) => status(StatusCode::SERVICE_UNAVAILABLE),
        Err(_) => status(StatusCode::BAD_REQUEST),
    })
}
