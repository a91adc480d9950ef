//! What a line of the access log looks like: Envoy's format strings, parsed when config is read.
//!
//! An operator that is not known is told and reads `-`; the rest of the line stays.

use crate::ended::Ended;
use crate::expression::Side;
use http::HeaderName;
use std::borrow::Cow;

/// Istio's default text format.
const ISTIO_TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
    \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% \
    %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/// Istio's default JSON format.
const ISTIO_JSON: [(&str, &str); 24] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route_name", "%ROUTE_NAME%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
];

/// Bytes of a format string at most; what follows is cut.
const MAX_FORMAT_BYTES: usize = 16 * 1_024;

/// How a line is made.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFormat {
    pub(super) shape: Shape,
    /// Of JSON: keys without a value are left out, instead of `null`.
    pub(super) omit_empty: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Text(Vec<Piece>),
    /// Keys in their order.
    Json(Vec<(String, Vec<Piece>)>),
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Literal(String),
    Operator {
        operator: Operator,
        /// Within quotes of the format: spaces are told as they are.
        quoted: bool,
        /// Characters at most.
        limit: Option<usize>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operator {
    Field(Field),
    /// The first of these headers that is there, else a field.
    Headers(Side, Vec<HeaderName>, Option<Field>),
    /// Never known here: always `-`.
    Nothing,
}

macro_rules! fields {
    ($($variant:ident = $($name:literal)|+),* $(,)?) => {
        /// Operators that need nothing but their name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $(#[doc = concat!($($name, " "),+)] $variant),* }

        const FIELDS: &[(&str, Field)] = &[$($(($name, Field::$variant)),+),*];
    };
}

fields! {
    StartTime = "START_TIME",
    Method = "REQ(:METHOD)",
    Path = "REQ(:PATH)" | "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)",
    UrlPath = "REQ(:PATH_WITHOUT_QUERY)",
    Authority = "REQ(:AUTHORITY)" | "REQ(HOST)" | "REQ(:AUTHORITY?HOST)",
    Scheme = "REQ(:SCHEME)",
    UserAgent = "REQ(USER-AGENT)",
    RequestId = "REQ(X-REQUEST-ID)" | "STREAM_ID",
    ForwardedFor = "REQ(X-FORWARDED-FOR)",
    Protocol = "PROTOCOL",
    Code = "RESPONSE_CODE",
    Flags = "RESPONSE_FLAGS",
    CodeDetails = "RESPONSE_CODE_DETAILS",
    Termination = "CONNECTION_TERMINATION_DETAILS",
    UpstreamFailure = "UPSTREAM_TRANSPORT_FAILURE_REASON",
    Received = "BYTES_RECEIVED",
    Sent = "BYTES_SENT",
    Duration = "DURATION",
    UpstreamTime = "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)",
    UpstreamHost = "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS",
    UpstreamIp = "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    UpstreamPort = "UPSTREAM_REMOTE_PORT",
    UpstreamCluster = "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW",
    Attempts = "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    Local = "DOWNSTREAM_LOCAL_ADDRESS",
    LocalIp = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    LocalPort = "DOWNSTREAM_LOCAL_PORT",
    Remote = "DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    RemoteIp = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    RemotePort = "DOWNSTREAM_REMOTE_PORT",
    ServerName = "REQUESTED_SERVER_NAME",
    Route = "ROUTE_NAME",
    GrpcStatus = "GRPC_STATUS_NUMBER" | "GRPC_STATUS(NUMBER)",
    GrpcStatusName = "GRPC_STATUS" | "GRPC_STATUS(CAMEL_STRING)",
    PeerIdentity = "DOWNSTREAM_PEER_URI_SAN",
    UpstreamIdentity = "UPSTREAM_PEER_URI_SAN",
    TraceId = "TRACE_ID",
    SpanId = "SPAN_ID",
}

/// Operators that are Envoy's and have nothing to tell here.
const NOTHING: [&str; 2] = ["UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"];

/// What a field has to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown<'s> {
    Text(Cow<'s, str>),
    Number(u128),
    Nothing,
}

impl LogFormat {
    /// Istio's default text format.
    pub fn istio_text() -> Self {
        Self::text(ISTIO_TEXT).0
    }

    /// Istio's default JSON format, with the keys in alphabetical order, as Envoy writes them.
    pub fn istio_json() -> Self {
        let labels = ISTIO_JSON
            .iter()
            .map(|(key, format)| ((*key).to_owned(), (*format).to_owned()));
        Self::json(labels).0
    }

    /// A text format, and what of it is not understood.
    pub fn text(format: &str) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut pieces = pieces(format, &mut problems);
        if !format.ends_with('\n') {
            pieces.push(Piece::Literal("\n".to_owned()));
        }
        (Self::new(Shape::Text(pieces)), problems)
    }

    /// A JSON object of these keys, each with a format, and what of them is not understood.
    pub fn json(labels: impl IntoIterator<Item = (String, String)>) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let labels = labels.into_iter().map(|(key, format)| {
            let pieces = pieces(&format, &mut problems);
            (key, pieces)
        });
        let labels = labels.collect();
        (Self::new(Shape::Json(labels)), problems)
    }

    fn new(shape: Shape) -> Self {
        Self {
            shape,
            omit_empty: false,
        }
    }

    /// The same, which leaves out what is missing.
    #[must_use]
    pub fn omitting_empty(mut self, omit: bool) -> Self {
        self.omit_empty = omit;
        self
    }

    /// Calls `each` for every header that it tells.
    pub(crate) fn headers(&self, mut each: impl FnMut(Side, &HeaderName)) {
        let mut of = |pieces: &[Piece]| {
            for piece in pieces {
                if let Piece::Operator {
                    operator: Operator::Headers(side, names, _),
                    ..
                } = piece
                {
                    names.iter().for_each(|name| each(*side, name));
                }
            }
        };
        match &self.shape {
            Shape::Text(pieces) => of(pieces),
            Shape::Json(labels) => labels.iter().for_each(|(_, pieces)| of(pieces)),
        }
    }
}

fn pieces(format: &str, problems: &mut Vec<String>) -> Vec<Piece> {
    let mut rest = crate::clip::clip(format, MAX_FORMAT_BYTES);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut quotes = 0_usize;
    let literal = |pieces: &mut Vec<Piece>, text: &str, quotes: &mut usize| {
        *quotes += text.matches('"').count();
        match pieces.last_mut() {
            Some(Piece::Literal(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => pieces.push(Piece::Literal(text.to_owned())),
        }
    };
    while let Some((before, after)) = rest.split_once('%') {
        literal(&mut pieces, before, &mut quotes);
        if let Some(after) = after.strip_prefix('%') {
            literal(&mut pieces, "%", &mut quotes);
            rest = after;
            continue;
        }
        let Some((operator, limit, after)) = split_operator(after) else {
            problems.push(format!(
                "expected an operator such as %DURATION%, found `%{}`",
                start(after)
            ));
            literal(&mut pieces, "%", &mut quotes);
            rest = after;
            continue;
        };
        rest = after;
        match parse_operator(operator) {
            Ok(Parsed::Constant(text)) => literal(&mut pieces, &text, &mut quotes),
            Ok(Parsed::Operator(operator)) => pieces.push(Piece::Operator {
                operator,
                quoted: quotes % 2 == 1,
                limit,
            }),
            Err(why) => {
                problems.push(why);
                pieces.push(Piece::Operator {
                    operator: Operator::Nothing,
                    quoted: quotes % 2 == 1,
                    limit: None,
                });
            }
        }
    }
    literal(&mut pieces, rest, &mut quotes);
    pieces
}

fn start(text: &str) -> &str {
    crate::clip::clip(text, 30)
}

/// `NAME(argument):limit%...`: the name with its argument, the limit, what follows.
fn split_operator(text: &str) -> Option<(&str, Option<usize>, &str)> {
    let name = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    let after = text.get(name..)?;
    let end = match after.strip_prefix('(') {
        Some(_) => name + after.find(')')? + 1,
        None => name,
    };
    let (operator, after) = text.split_at_checked(end)?;
    let (limit, after) = match after.strip_prefix(':') {
        Some(after) => {
            let (digits, _) = after.split_once('%')?;
            (Some(digits.parse().ok()?), after.get(digits.len()..)?)
        }
        None => (None, after),
    };
    Some((operator, limit, after.strip_prefix('%')?)).filter(|_| !operator.is_empty())
}

enum Parsed {
    Operator(Operator),
    Constant(String),
}

fn parse_operator(text: &str) -> Result<Parsed, String> {
    if let Some((_, field)) = FIELDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Ok(Parsed::Operator(Operator::Field(*field)));
    }
    if NOTHING.contains(&text) {
        return Ok(Parsed::Operator(Operator::Nothing));
    }
    let unknown = || format!("the operator %{text}% is not supported: it reads `-`");
    let environment = |name: &str| Parsed::Constant(std::env::var(name).unwrap_or_else(|_| "-".to_owned()));
    let (name, argument) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((name, argument)) => (name, argument),
        None if text == "HOSTNAME" => return Ok(environment("HOSTNAME")),
        None => return Err(unknown()),
    };
    let side = match name {
        "REQ" => Side::Request,
        "RESP" => Side::Response,
        "ENVIRONMENT" => return Ok(environment(argument)),
        _ => return Err(unknown()),
    };
    let mut names = Vec::new();
    let mut last = None;
    for name in argument.split('?') {
        let known = format!("{}({name})", if side == Side::Request { "REQ" } else { "RESP" });
        last = FIELDS
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(&known))
            .map(|(_, field)| *field);
        if last.is_some() {
            break; // What is always there: nothing behind it counts.
        }
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
        names.push(name.map_err(|_| format!("%{text}%: expected a header's name: it reads `-`"))?);
    }
    Ok(Parsed::Operator(Operator::Headers(side, names, last)))
}

impl Operator {
    pub(super) fn of<'s>(&self, ended: &Ended<'s>) -> Shown<'s> {
        match self {
            Self::Field(field) => field.of(ended),
            Self::Headers(side, names, last) => {
                let found = names.iter().find_map(|name| ended.header(*side, name));
                match (found, last) {
                    (None, Some(field)) => field.of(ended),
                    (found, _) => Shown::from(found),
                }
            }
            Self::Nothing => Shown::Nothing,
        }
    }

    pub(super) fn is_path(&self) -> bool {
        matches!(self, Self::Field(Field::Path) | Self::Headers(_, _, Some(Field::Path)))
    }
}

impl Field {
    fn of<'s>(self, ended: &Ended<'s>) -> Shown<'s> {
        let told = |value: Option<String>| value.map_or(Shown::Nothing, |text| Shown::Text(text.into()));
        let number = |value: Option<u64>| value.map_or(Shown::Nothing, |number| Shown::Number(number.into()));
        match self {
            Self::StartTime => told(Some(super::line::Timestamp(ended.start()).to_string())),
            Self::Method => ended.method().into(),
            Self::Path => ended.path().into(),
            Self::UrlPath => ended
                .path()
                .map(|path| path.split_once('?').map_or(path, |(path, _)| path))
                .into(),
            Self::Authority => ended.authority().into(),
            Self::Scheme => ended.method().map(|_| "http").into(),
            Self::UserAgent => ended.user_agent().into(),
            Self::RequestId => ended.request_id().into(),
            Self::ForwardedFor => ended.forwarded_for().into(),
            Self::Protocol => ended.protocol().into(),
            // Envoy has 0 for a connection.
            Self::Code => Shown::Number(ended.status().unwrap_or(0).into()),
            Self::Flags => Some(ended.flags())
                .filter(|flags| !flags.is_empty())
                .or(Some("-"))
                .into(),
            Self::CodeDetails => ended.code_details().into(),
            Self::Termination => ended.termination().into(),
            Self::UpstreamFailure => ended.upstream_failure().into(),
            Self::Received => Shown::Number(ended.received().into()),
            Self::Sent => Shown::Number(ended.sent().into()),
            Self::Duration => Shown::Number(ended.duration().as_millis()),
            Self::UpstreamTime => told(ended.upstream_time().map(|took| took.as_millis().to_string())),
            Self::UpstreamHost => told(ended.upstream_address().map(|at| at.to_string())),
            Self::UpstreamIp => told(ended.upstream_address().map(|at| at.ip().to_string())),
            Self::UpstreamPort => number(ended.upstream_address().map(|at| at.port().into())),
            Self::UpstreamCluster => told(ended.cluster()),
            Self::Attempts => Shown::Number(ended.attempts() as u128),
            Self::Local => told(ended.local_address().map(|at| at.to_string())),
            Self::LocalIp => told(ended.local_address().map(|at| at.ip().to_string())),
            Self::LocalPort => Shown::Number(ended.port().into()),
            Self::Remote => told(Some(ended.source_address().to_string())),
            Self::RemoteIp => told(Some(ended.source_address().ip().to_string())),
            Self::RemotePort => Shown::Number(ended.source_address().port().into()),
            Self::ServerName => ended.sni().into(),
            Self::Route => ended.route().into(),
            Self::GrpcStatus => number(ended.grpc_status().map(u64::from)),
            Self::GrpcStatusName => told(ended.grpc_status().map(grpc_name)),
            Self::PeerIdentity => ended.source_identity().into(),
            Self::UpstreamIdentity => ended.upstream_identity().into(),
            Self::TraceId => told(ended.trace().map(|trace| format!("{:032x}", trace.trace.0))),
            Self::SpanId => told(ended.trace().map(|trace| format!("{:016x}", trace.span.0))),
        }
    }
}

impl<'s> From<Option<&'s str>> for Shown<'s> {
    fn from(text: Option<&'s str>) -> Self {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Self::Text(text.into()),
            None => Self::Nothing,
        }
    }
}

/// The names of gRPC's codes as Envoy writes them.
fn grpc_name(status: u32) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    let known = usize::try_from(status).ok().and_then(|index| NAMES.get(index));
    known.map_or_else(|| status.to_string(), |name| (*name).to_owned())
}
