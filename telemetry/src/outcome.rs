//! The one record a finished request leaves.

use crate::TraceContext;
use crate::plan::Plan;
use http::{HeaderName, HeaderValue};
use request::{ServiceName, SpiffeId, Workload};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestProtocol {
    /// `http`.
    Http,
    /// `grpc`.
    Grpc,
}

/// One upstream attempt, for its client span.
#[derive(Clone, Debug)]
pub struct Try {
    /// Where to.
    pub address: SocketAddr,
    /// When it began, after the request's start.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// Status, when an answer came.
    pub status: Option<u16>,
    /// What failed otherwise.
    pub error: Option<&'static str>,
    /// The client span's id: it was sent upstream as the parent.
    pub span: crate::SpanId,
}

/// Something that happened on the way of a sampled request, for its span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEvent {
    /// When, after the request's start.
    pub at: Duration,
    /// What: `mirror`, `fault`.
    pub name: &'static str,
    /// An attribute.
    pub detail: Option<(&'static str, String)>,
}

/// What the policies of one action that are in dry run (`istio.io/dry-run`) would have said of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// They are of `DENY`, not of `ALLOW`.
    pub is_deny: bool,
    /// `allowed` or `denied`.
    pub result: &'static str,
    /// The rule that would have decided, as Istio names it: `ns[..]-policy[..]-rule[..]`.
    pub policy: Option<String>,
}

/// A finished HTTP or gRPC request. Borrowed: building one allocates nothing.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    /// When it began.
    pub start: SystemTime,
    /// From the first byte in to the last byte out.
    pub duration: Duration,
    /// The client's workload, known by IP, identity or baggage.
    pub source: &'a Arc<Workload>,
    /// The client's identity from its certificate.
    pub source_identity: Option<&'a SpiffeId>,
    /// Peer address of the tunnel.
    pub source_address: SocketAddr,
    /// The chosen endpoint's workload; `None` when none was reached.
    pub destination: Option<&'a Arc<Workload>>,
    /// Address of the chosen endpoint.
    pub upstream_address: Option<SocketAddr>,
    /// The Service of the CONNECT authority.
    pub service: &'a Arc<ServiceName>,
    /// Service port.
    pub port: u16,
    /// The Service and port of the backend that its route chose, or would have chosen had it not been refused before.
    /// `None` where no route took it, or one that answers by itself or leads nowhere, and for a pod by its own address.
    /// Istio reads `destination_service` off the route's cluster.
    pub backend: Option<(&'a Arc<ServiceName>, u16)>,
    /// http or grpc.
    pub protocol: RequestProtocol,
    /// Status sent.
    pub status: u16,
    /// `grpc-status`, for gRPC.
    pub grpc_status: Option<u32>,
    /// Envoy's response flag: `-`, `NR`, `UAEX`, `UF`, `UT`, `UH`, `DC`, ...
    pub flags: &'static str,
    /// Envoy's response code details, for example `via_upstream`, `route_not_found`, `rbac_access_denied_matched_policy[ns[..]]`.
    pub details: &'a str,
    /// True when client and waypoint spoke mTLS.
    pub mtls: bool,
    /// Method.
    pub method: &'a str,
    /// Authority.
    pub authority: &'a str,
    /// Normalised path and query as sent.
    pub path: &'a str,
    /// `HTTP/1.1` or `HTTP/2`.
    pub http_version: &'static str,
    /// User-Agent.
    pub user_agent: Option<&'a str>,
    /// X-Request-Id.
    pub request_id: Option<&'a str>,
    /// X-Forwarded-For.
    pub forwarded_for: Option<&'a str>,
    /// Body bytes in.
    pub request_bytes: u64,
    /// Body bytes out.
    pub response_bytes: u64,
    /// gRPC messages in.
    pub request_messages: u64,
    /// gRPC messages out.
    pub response_messages: u64,
    /// `ns/name` of the route and its rule, for spans: for example `reviews-canary/rule-0`.
    pub route: Option<&'a str>,
    /// The policy that denied.
    pub policy: Option<&'a str>,
    /// What policies in dry run would have said, where the request is sampled.
    pub rehearsed: &'a [Rehearsal],
    /// Trace context of the server span.
    pub trace: &'a TraceContext,
    /// Every upstream attempt.
    pub tries: &'a [Try],
    /// What happened on the way, where the request is sampled. Retries and denials are told by other fields.
    pub events: &'a [SpanEvent],
    /// What is told of it.
    pub plan: &'a Arc<Plan>,
    /// Those of its headers that [`Plan::request_headers`] asks for.
    pub request_headers: &'a [(HeaderName, HeaderValue)],
    /// Those of the answer that [`Plan::response_headers`] asks for.
    pub response_headers: &'a [(HeaderName, HeaderValue)],
    /// The address and port that the client asked for.
    pub local_address: Option<SocketAddr>,
}

/// A finished (or still open, for the opening) TCP connection.
#[derive(Clone, Debug)]
pub struct TcpOutcome<'a> {
    /// When it began.
    pub start: SystemTime,
    /// From its first byte to its end.
    pub duration: Duration,
    /// See [`Outcome`].
    pub source: &'a Arc<Workload>,
    /// See [`Outcome`].
    pub source_identity: Option<&'a SpiffeId>,
    /// See [`Outcome`].
    pub source_address: SocketAddr,
    /// See [`Outcome`].
    pub destination: Option<&'a Arc<Workload>>,
    /// See [`Outcome`].
    pub upstream_address: Option<SocketAddr>,
    /// See [`Outcome`].
    pub service: &'a Arc<ServiceName>,
    /// See [`Outcome`].
    pub port: u16,
    /// See [`Outcome`].
    pub backend: Option<(&'a Arc<ServiceName>, u16)>,
    /// The name that a TLS client asked for, where it was read.
    pub sni: Option<&'a str>,
    /// See [`Outcome`].
    pub route: Option<&'a str>,
    /// Envoy's response flag: `-`, `NR`, `UAEX`, `UF`, `UH`, `UC`, `DC`, `DPE`.
    pub flags: &'static str,
    /// Why it ended, when that was not by its own two sides.
    pub details: &'a str,
    /// See [`Outcome`].
    pub mtls: bool,
    /// Bytes from the client (`istio_tcp_received_bytes_total`).
    pub received: u64,
    /// Bytes to the client (`istio_tcp_sent_bytes_total`).
    pub sent: u64,
    /// See [`Outcome`].
    pub plan: &'a Arc<Plan>,
    /// See [`Outcome`].
    pub local_address: Option<SocketAddr>,
}
