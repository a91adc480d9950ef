//! OTLP: where spans and metrics go and how they get there, over gRPC or HTTP/protobuf.

mod client;
mod connector;
mod endpoint;

pub(crate) use client::{Client, Sent};
pub(crate) use endpoint::percent_decode;

use std::time::Duration;

/// Which OTLP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportProtocol {
    /// OTLP over gRPC (4317).
    Grpc,
    /// OTLP over HTTP/protobuf (4318, `/v1/traces`, `/v1/metrics`).
    HttpProtobuf,
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// `http://host:port` or `https://host:port`; for HTTP without any path, the signal's own is appended.
    pub endpoint: String,
    /// Transport.
    pub protocol: ExportProtocol,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// Per export call.
    pub timeout: Duration,
}

impl Export {
    /// From `OTEL_EXPORTER_OTLP_{ENDPOINT,PROTOCOL,HEADERS,TIMEOUT}` (those of the signal win), read through `var`.
    /// `None`: no endpoint set, or `OTEL_SDK_DISABLED=true`, or the exporter of the signal (`OTEL_TRACES_EXPORTER`,
    /// `OTEL_METRICS_EXPORTER`) is not `otlp`. Spans are exported unless that says otherwise, metrics only if it says so.
    ///
    /// Unset, the protocol is gRPC for port 4317 and `http/protobuf` otherwise; the timeout is 10 s.
    ///
    /// # Errors
    /// The variable, what was expected, what was found.
    pub fn from_env(signal: Signal, var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        endpoint::from_env(signal, var)
    }

    /// Whether anything can be sent there at all.
    ///
    /// # Errors
    /// What was expected, what was found: the endpoint or a header is not valid.
    pub fn check(&self) -> Result<(), String> {
        self.uri(Signal::Traces)?;
        self.header_map().map(drop)
    }
}

impl Signal {
    /// The path of OTLP over HTTP.
    fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The method of OTLP over gRPC.
    fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// As variables name it.
    fn variable(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }
}
