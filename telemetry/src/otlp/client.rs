//! One export call over either transport.
//!
//! gRPC is written by hand: a unary call of bytes that are encoded already is a prefix of five bytes and a status in the
//! trailers, and the same bytes can be sent again.

use super::connector::Connector;
use super::{Export, ExportProtocol, Signal};
use crate::dial::Dial;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;

/// A collector's answer is read up to here.
const MAX_ANSWER_BYTES: usize = 64 * 1_024;
/// An idle connection is kept so long.
const IDLE: Duration = Duration::from_secs(90);
const AGENT: &str = concat!("waypoint/", env!("CARGO_PKG_VERSION"));

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Taken, but for `rejected` spans or data points.
    Taken { rejected: u64 },
    /// It may work later.
    Later { why: String, after: Option<Duration> },
    /// It will not.
    Never { why: String },
}

#[derive(Debug)]
pub(crate) struct Client {
    signal: Signal,
    grpc: bool,
    client: HttpClient<Connector, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
}

impl Client {
    /// Connects when first used. Must be called within a runtime.
    ///
    /// # Errors
    /// The endpoint or a header is not valid.
    pub(crate) fn new(signal: Signal, export: &Export, dial: Arc<dyn Dial>) -> Result<Self, String> {
        let (uri, mut headers) = (export.uri(signal)?, export.header_map()?);
        let grpc = export.protocol == ExportProtocol::Grpc;
        let kind = if grpc {
            "application/grpc"
        } else {
            "application/x-protobuf"
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        if grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let connector = Connector {
            dial,
            to: export.address(signal)?,
        };
        let client = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http2_only(grpc)
            .build(connector);
        Ok(Self {
            signal,
            grpc,
            client,
            uri,
            headers,
        })
    }

    /// A batch as it goes over the wire; made once, sent as often as needed.
    pub(crate) fn payload(&self, request: Vec<u8>) -> Bytes {
        if !self.grpc {
            return request.into();
        }
        let mut bytes = BytesMut::with_capacity(request.len().saturating_add(5));
        bytes.put_u8(0); // Not compressed.
        bytes.put_u32(u32::try_from(request.len()).unwrap_or(u32::MAX));
        bytes.extend_from_slice(&request);
        bytes.freeze()
    }

    pub(crate) async fn send(&self, payload: &Bytes, timeout: Duration) -> Sent {
        match tokio::time::timeout(timeout, self.call(payload)).await {
            Ok(sent) => sent,
            Err(_) => Sent::Later {
                why: format!("no answer within {timeout:?}"),
                after: None,
            },
        }
    }

    async fn call(&self, payload: &Bytes) -> Sent {
        let mut request = Request::new(Full::new(payload.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        match self.client.request(request).await {
            Ok(answer) if self.grpc => self.grpc_answer(answer).await,
            Ok(answer) => self.http_answer(answer).await,
            Err(error) => Sent::Later {
                why: chain(&error),
                after: None,
            },
        }
    }

    async fn grpc_answer(&self, answer: Response<Incoming>) -> Sent {
        let (parts, body) = answer.into_parts();
        let body = match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
            Ok(body) => body,
            Err(error) => {
                let why = format!("the answer broke off: {error}");
                return Sent::Later { why, after: None };
            }
        };
        let status = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse::<u32>().ok();
        let trailers = body.trailers();
        let code = trailers.and_then(status).or_else(|| status(&parts.headers));
        let told = trailers.and_then(|trailers| trailers.get("grpc-message"));
        let told = told.or(parts.headers.get("grpc-message"));
        let message = told.and_then(|message| message.to_str().ok()).unwrap_or_default();
        let why = format!("HTTP {}, grpc-status {code:?}: {message}", parts.status);
        match code {
            Some(0) => self.taken(body.to_bytes().get(5..).unwrap_or_default()),
            // The retryable codes of the OTLP specification: cancelled, deadline, exhausted, aborted, out of range,
            // unavailable, data loss; and unknown, for what is between.
            Some(1 | 2 | 4 | 8 | 10 | 11 | 14 | 15) => Sent::Later { why, after: None },
            Some(_) => Sent::Never { why },
            // No gRPC at all: something in between that may go away.
            None => Sent::Later { why, after: None },
        }
    }

    async fn http_answer(&self, answer: Response<Incoming>) -> Sent {
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
                self.taken(&body.map(Collected::to_bytes).unwrap_or_default())
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

    fn taken(&self, answer: &[u8]) -> Sent {
        let rejected = match self.signal {
            Signal::Traces => ExportTraceServiceResponse::decode(answer)
                .unwrap_or_default()
                .partial_success
                .map_or(0, |partial| partial.rejected_spans),
            Signal::Metrics => ExportMetricsServiceResponse::decode(answer)
                .unwrap_or_default()
                .partial_success
                .map_or(0, |partial| partial.rejected_data_points),
        };
        Sent::Taken {
            rejected: u64::try_from(rejected).unwrap_or(0),
        }
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
