//! One export call over either transport.

use super::{Export, ExportProtocol};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use std::time::Duration;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Extensions};

/// A collector's answer is read up to here.
const MAX_ANSWER_BYTES: usize = 64 * 1_024;
const AGENT: &str = concat!("waypoint/", env!("CARGO_PKG_VERSION"));

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Taken, but for `rejected` spans.
    Taken { rejected: u64 },
    /// It may work later.
    Later { why: String, after: Option<Duration> },
    /// It will not.
    Never { why: String },
}

pub(super) enum Client {
    Grpc {
        client: TraceServiceClient<Channel>,
        metadata: MetadataMap,
    },
    Http {
        client: Box<HttpClient<HttpConnector, Full<Bytes>>>,
        uri: Uri,
        headers: HeaderMap,
    },
}

/// A batch as it goes over the wire; made once, sent as often as needed.
pub(super) enum Payload {
    Message(ExportTraceServiceRequest),
    Bytes(Bytes),
}

impl Client {
    /// Connects when first used. Must be called within a runtime.
    pub(super) fn new(export: &Export) -> Result<Self, String> {
        let (uri, mut headers) = (export.uri()?, export.header_map()?);
        match export.protocol {
            ExportProtocol::Grpc => {
                let endpoint = Endpoint::from(uri)
                    .user_agent(AGENT)
                    .map_err(|error| error.to_string())?;
                let channel = endpoint.connect_timeout(export.timeout).connect_lazy();
                Ok(Self::Grpc {
                    client: TraceServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES),
                    metadata: MetadataMap::from_headers(headers),
                })
            }
            ExportProtocol::HttpProtobuf => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
                let client = HttpClient::builder(TokioExecutor::new()).build_http();
                Ok(Self::Http {
                    client: Box::new(client),
                    uri,
                    headers,
                })
            }
        }
    }

    pub(super) fn payload(&self, request: ExportTraceServiceRequest) -> Payload {
        match self {
            Self::Grpc { .. } => Payload::Message(request),
            Self::Http { .. } => Payload::Bytes(request.encode_to_vec().into()),
        }
    }

    pub(super) async fn send(&mut self, payload: &Payload, timeout: Duration) -> Sent {
        match tokio::time::timeout(timeout, self.call(payload)).await {
            Ok(sent) => sent,
            Err(_) => Sent::Later {
                why: format!("no answer within {timeout:?}"),
                after: None,
            },
        }
    }

    async fn call(&mut self, payload: &Payload) -> Sent {
        match (self, payload) {
            (Self::Grpc { client, metadata }, Payload::Message(message)) => {
                let parts = (metadata.clone(), Extensions::default(), message.clone());
                match client
                    .export(tonic::Request::from_parts(parts.0, parts.1, parts.2))
                    .await
                {
                    Ok(answer) => taken(answer.get_ref()),
                    Err(status) => grpc_failure(&status),
                }
            }
            (Self::Http { client, uri, headers }, Payload::Bytes(bytes)) => {
                let mut request = Request::new(Full::new(bytes.clone()));
                *request.method_mut() = Method::POST;
                *request.uri_mut() = uri.clone();
                *request.headers_mut() = headers.clone();
                match client.request(request).await {
                    Ok(answer) => http_answer(answer).await,
                    Err(error) => Sent::Later {
                        why: chain(&error),
                        after: None,
                    },
                }
            }
            _ => Sent::Never {
                why: "a batch made for the other transport".to_owned(),
            },
        }
    }
}

fn taken(answer: &ExportTraceServiceResponse) -> Sent {
    let rejected = answer
        .partial_success
        .as_ref()
        .map_or(0, |partial| partial.rejected_spans);
    Sent::Taken {
        rejected: u64::try_from(rejected).unwrap_or(0),
    }
}

/// The retryable codes of the OTLP specification.
fn grpc_failure(status: &tonic::Status) -> Sent {
    let why = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Sent::Later { why, after: None },
        // Transport errors that tonic has no better code for.
        Code::Unknown => Sent::Later { why, after: None },
        _ => Sent::Never { why },
    }
}

async fn http_answer(answer: Response<Incoming>) -> Sent {
    let status = answer.status();
    let after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    let why = format!("HTTP {status}");
    match status {
        // An answer that cannot be read is no reason to send again.
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
            let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            taken(&ExportTraceServiceResponse::decode(bytes).unwrap_or_default())
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Sent::Later {
            why,
            after: after.map(Duration::from_secs),
        },
        _ => Sent::Never { why },
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
