//! Envoy's attributes: what an expression can ask of a request or connection that has ended.

use super::Value;
use crate::ended::Ended;
use http::HeaderName;

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Request,
    Response,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// By name, for those that need nothing else.
    Known(Known),
    /// `request.headers['x']`, `response.headers['x']`.
    Header(Side, HeaderName),
}

macro_rules! known {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// Attributes by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Known { $(#[doc = $name] $variant),* }

        impl Known {
            const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),*];
        }
    };
}

known! {
    Host = "request.host",
    RequestMethod = "request.method",
    Path = "request.path",
    UrlPath = "request.url_path",
    Query = "request.query",
    Scheme = "request.scheme",
    Protocol = "request.protocol",
    UserAgent = "request.useragent",
    Id = "request.id",
    RequestSize = "request.size",
    RequestTotal = "request.total_size",
    Duration = "request.duration",
    // Not Envoy's, but written so often that it is taken for `request.duration`.
    ResponseDuration = "response.duration",
    // Not Envoy's either: whether its spans are reported.
    Sampled = "trace.sampled",
    Code = "response.code",
    CodeDetails = "response.code_details",
    Flags = "response.flags",
    GrpcStatus = "response.grpc_status",
    ResponseSize = "response.size",
    ResponseTotal = "response.total_size",
    BackendLatency = "response.backend_latency",
    Mtls = "connection.mtls",
    Sni = "connection.requested_server_name",
    PeerIdentity = "connection.uri_san_peer_certificate",
    Termination = "connection.termination_details",
    SourceAddress = "source.address",
    SourcePort = "source.port",
    DestinationAddress = "destination.address",
    DestinationPort = "destination.port",
    UpstreamAddress = "upstream.address",
    UpstreamPort = "upstream.port",
    UpstreamIdentity = "upstream.uri_san_peer_certificate",
    UpstreamFailure = "upstream.transport_failure_reason",
    Attempts = "upstream.request_attempt_count",
    Route = "xds.route_name",
    Cluster = "xds.cluster_name",
}

impl Attribute {
    /// That of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = Known::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, known)| Self::Known(*known))
    }

    /// Whether it is one of the path's.
    pub(crate) fn is_path(&self) -> bool {
        matches!(self, Self::Known(Known::Path | Known::UrlPath | Known::Query))
    }

    /// Whether it is the route's name.
    pub(crate) fn is_route(&self) -> bool {
        matches!(self, Self::Known(Known::Route))
    }

    /// Its value; `None` when there is none.
    pub(super) fn of<'v>(&self, ended: &Ended<'v>) -> Option<Value<'v>> {
        match self {
            Self::Header(side, name) => ended.header(*side, name).map(text),
            Self::Known(known) => known.of(ended),
        }
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn number<'v>(number: impl TryInto<i64>) -> Value<'v> {
    Value::Number(number.try_into().unwrap_or(i64::MAX))
}

impl Known {
    fn of<'v>(self, ended: &Ended<'v>) -> Option<Value<'v>> {
        let path = || ended.path().map(|path| path.split_once('?').unwrap_or((path, "")));
        match self {
            Self::Host => ended.authority().map(text),
            Self::RequestMethod => ended.method().map(text),
            Self::Path => ended.path().map(text),
            Self::UrlPath => path().map(|(path, _)| text(path)),
            Self::Query => path().map(|(_, query)| text(query)),
            Self::Scheme => ended.method().map(|_| text("http")),
            Self::Protocol => ended.protocol().map(text),
            Self::UserAgent => ended.user_agent().map(text),
            Self::Id => ended.request_id().map(text),
            Self::RequestSize | Self::RequestTotal => Some(number(ended.received())),
            Self::Duration | Self::ResponseDuration => Some(Value::Duration(ended.duration())),
            Self::Sampled => ended.trace().map(|trace| Value::Bool(trace.sampled)),
            Self::Code => ended.status().map(number),
            Self::CodeDetails => ended.code_details().map(text),
            Self::Flags => Some(Value::Number(flag_bits(ended.flags()))),
            Self::GrpcStatus => ended.grpc_status().map(number),
            Self::ResponseSize | Self::ResponseTotal => Some(number(ended.sent())),
            Self::BackendLatency => ended.upstream_time().map(Value::Duration),
            Self::Mtls => Some(Value::Bool(ended.is_mtls())),
            Self::Sni => ended.sni().map(text),
            Self::PeerIdentity => ended.source_identity().map(text),
            Self::Termination => ended.termination().map(text),
            Self::SourceAddress => Some(Value::Text(ended.source_address().to_string().into())),
            Self::SourcePort => Some(number(ended.source_address().port())),
            Self::DestinationAddress => ended.local_address().map(|at| Value::Text(at.to_string().into())),
            Self::DestinationPort => Some(number(ended.port())),
            Self::UpstreamAddress => ended.upstream_address().map(|at| Value::Text(at.to_string().into())),
            Self::UpstreamPort => ended.upstream_address().map(|at| number(at.port())),
            Self::UpstreamIdentity => ended.upstream_identity().map(text),
            Self::UpstreamFailure => ended.upstream_failure().map(text),
            Self::Attempts => Some(number(ended.attempts())),
            Self::Route => ended.route().map(text),
            Self::Cluster => ended.cluster().map(|name| Value::Text(name.into())),
        }
    }
}

/// Envoy's response flags as the number that `response.flags` is there.
fn flag_bits(flags: &str) -> i64 {
    const FLAGS: [(&str, u32); 17] = [
        ("LH", 0),
        ("UH", 1),
        ("UT", 2),
        ("LR", 3),
        ("UR", 4),
        ("UF", 5),
        ("UC", 6),
        ("UO", 7),
        ("NR", 8),
        ("DI", 9),
        ("FI", 10),
        ("UAEX", 12),
        ("DC", 14),
        ("URX", 15),
        ("DPE", 18),
        ("DT", 22),
        ("UPE", 23),
    ];
    flags.split(',').fold(0, |bits, flag| {
        match FLAGS.iter().find(|(known, _)| *known == flag) {
            Some((_, bit)) => bits | 1 << bit,
            // What has no number here is a flag all the same.
            None if !matches!(flag, "" | "-") => bits | 1 << 24,
            None => bits,
        }
    })
}
