//! Every way the waypoint itself answers a request or ends a connection, and what each one looks like on the wire.
//!
//! One place decides the HTTP status, the gRPC status, Envoy's response flag, the response code details and the
//! metric label of a refusal: a caller names a [`Reason`] and nothing else.

use super::ext_authz::Denial;
use super::grpc;
use authz::{AuthnError, PolicyId};
use http::StatusCode;

/// Why a request is answered by the waypoint instead of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The request head is ambiguous or hostile.
    BadRequest(&'static str),
    /// The head, or one part of it, is larger than the limits.
    HeadersTooLarge,
    /// A transfer coding we do not know.
    NotImplemented,
    /// A protocol over HTTP/2 (RFC 8441) that is not carried, or that the endpoint does not offer.
    Protocol,
    /// Neither HTTP/1.0, HTTP/1.1 nor HTTP/2.
    Version,
    /// The client sent the head or the body too slowly.
    SlowClient,
    /// Nothing matches.
    NoRoute,
    /// The Service of this tunnel is not ours any more.
    NoService,
    /// A bad token (401), or one for another audience (403).
    Token(AuthnError),
    /// An AuthorizationPolicy: `Some` names the one that denied, `None` is "no ALLOW matched".
    Policy(Option<String>),
    /// An external authoriser denied: its own answer.
    Denied(Box<Denied>),
    /// An external authoriser could not be asked: its `statusOnError`; and the policy that wanted it asked.
    AuthFailed(StatusCode, Option<String>),
    /// The body is longer than an external authoriser may see.
    BodyTooLarge,
    /// Too many bodies are held already.
    Overloaded,
    /// The rule has no backend, or a reference that resolves to nothing: 500 for its share.
    NoBackend,
    /// No TLS ClientHello where one is needed; on TCP only.
    ClientHello(&'static str),
    /// No ready endpoint.
    NoEndpoint,
    /// A circuit limit of the cluster (the label of `waypoint_overflows_total`) is reached.
    Overflow(&'static str),
    /// The names of the endpoints have no answer in DNS yet.
    Unresolved,
    /// The endpoint could not be reached.
    Connect,
    /// The endpoint closed or reset before it answered.
    Reset,
    /// The endpoint answered with something that is not HTTP.
    BadAnswer,
    /// The rule's `timeouts.request` or `timeouts.backendRequest` ran out.
    Timeout,
    /// The rule's `fault.abort`: with this HTTP status, or this gRPC status.
    Fault { status: u16, grpc: Option<u32> },
    /// A TCP connection has lasted as long as its Service lets it (`maxConnectionDuration`).
    Aged,
    /// A retry was due, and the Service's retry budget is spent.
    RetryBudget,
    /// The client went away; nobody reads the answer.
    ClientGone,
}

/// An external authoriser's denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// What the client is told.
    pub(crate) denial: Denial,
    /// The CUSTOM policy that wanted it asked; `None`: a filter did.
    pub(crate) policy: Option<String>,
}

/// Istio's name of a policy's rule.
pub(crate) fn policy_name((policy, rule): (&PolicyId, usize)) -> String {
    format!("ns[{}]-policy[{}]-rule[{rule}]", policy.namespace, policy.name)
}

/// What a [`Reason`] looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// `grpc-status` for gRPC requests.
    pub(crate) grpc: u32,
    /// Envoy's response flag.
    pub(crate) flag: &'static str,
    /// Label `reason` of `waypoint_refusals_total`.
    pub(crate) label: &'static str,
    /// Body, and `grpc-message`.
    pub(crate) body: &'static str,
}

impl Reason {
    /// Denied by this policy and rule, or because no ALLOW matched.
    pub(crate) fn denied(by: Option<(&PolicyId, usize)>) -> Self {
        Self::Policy(by.map(policy_name))
    }

    /// Status, gRPC status, flag, label and body, in one table.
    pub(crate) fn refusal(&self) -> Refusal {
        let (status, grpc, flag, label, body) = match self {
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, 13, "DPE", "bad_request", *why),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                13,
                "DPE",
                "headers_too_large",
                "request head too large",
            ),
            Self::NotImplemented => (
                StatusCode::NOT_IMPLEMENTED,
                12,
                "DPE",
                "not_implemented",
                "transfer coding not implemented",
            ),
            Self::Protocol => (
                StatusCode::NOT_IMPLEMENTED,
                12,
                "-",
                "protocol",
                "protocol not supported",
            ),
            Self::Version => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                13,
                "DPE",
                "http_version",
                "HTTP version not supported",
            ),
            Self::SlowClient => (StatusCode::REQUEST_TIMEOUT, 4, "DT", "slow_client", "request timeout"),
            Self::NoRoute => (StatusCode::NOT_FOUND, 12, "NR", "no_route", ""),
            Self::NoService => (StatusCode::NOT_FOUND, 12, "NR", "no_service", ""),
            Self::Token(error) if error.status == 403 => (StatusCode::FORBIDDEN, 7, "-", "audience", error.reason),
            Self::Token(error) => (StatusCode::UNAUTHORIZED, 16, "-", "token", error.reason),
            Self::Policy(_) => (StatusCode::FORBIDDEN, 7, "-", "policy", "RBAC: access denied"),
            Self::Denied(denied) => {
                let status = denied.denial.status;
                (status, grpc::status_of(status.as_u16()), "UAEX", "ext_authz_denied", "")
            }
            Self::AuthFailed(status, _) => (*status, grpc::status_of(status.as_u16()), "UAEX", "ext_authz_error", ""),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                8,
                "-",
                "body_too_large",
                "Payload Too Large",
            ),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, 14, "OM", "overloaded", "overloaded"),
            Self::NoBackend => (StatusCode::INTERNAL_SERVER_ERROR, 13, "NC", "no_backend", ""),
            Self::ClientHello(why) => (StatusCode::BAD_REQUEST, 13, "DPE", "client_hello", *why),
            Self::NoEndpoint => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "UH",
                "no_endpoint",
                "no healthy upstream",
            ),
            Self::Overflow(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "UO",
                "overflow",
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            ),
            Self::Unresolved => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "DF",
                "dns",
                "DNS resolution failure",
            ),
            Self::Connect => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "UF",
                "connect_failure",
                "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
            ),
            Self::Reset => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "UC",
                "upstream_reset",
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            ),
            Self::BadAnswer => (
                StatusCode::BAD_GATEWAY,
                14,
                "UPE",
                "upstream_protocol",
                "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
            ),
            Self::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                4,
                "UT",
                "timeout",
                "upstream request timeout",
            ),
            Self::Fault { status, grpc } => (
                StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
                grpc.unwrap_or(grpc::status_of(*status)),
                "FI",
                "fault_abort",
                "fault filter abort",
            ),
            Self::Aged => (StatusCode::GATEWAY_TIMEOUT, 4, "DT", "aged", "connection too old"),
            Self::RetryBudget => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "URX",
                "retry_budget",
                "retry budget exceeded",
            ),
            // 499 is what nginx and Istio's dashboards call a client that left; it is never sent.
            Self::ClientGone => (client_closed_request(), 1, "DC", "client_gone", ""),
        };
        Refusal {
            status,
            grpc,
            flag,
            label,
            body,
        }
    }

    /// The policy that refused, or wanted somebody asked who did; `none` where no ALLOW policy matched.
    pub(crate) fn policy(&self) -> Option<&str> {
        match self {
            Self::Policy(policy) => Some(policy.as_deref().unwrap_or("none")),
            Self::Denied(denied) => denied.policy.as_deref(),
            Self::AuthFailed(_, policy) => policy.as_deref(),
            _ => None,
        }
    }

    /// Envoy's response code details, for the access log and the span.
    pub(crate) fn details(&self) -> String {
        match self {
            Self::Policy(Some(policy)) => format!("rbac_access_denied_matched_policy[{policy}]"),
            Self::Policy(None) => "rbac_access_denied_matched_policy[none]".to_owned(),
            Self::Denied(_) => "ext_authz_denied".to_owned(),
            Self::AuthFailed(..) => "ext_authz_error".to_owned(),
            Self::BodyTooLarge => "request_payload_too_large".to_owned(),
            Self::Overloaded => "overload".to_owned(),
            Self::Token(error) => format!("jwt_authn_access_denied{{{}}}", error.reason.replace(' ', "_")),
            Self::NoRoute | Self::NoService => "route_not_found".to_owned(),
            Self::NoBackend => "cluster_not_found".to_owned(),
            Self::ClientHello(why) => format!("tls_client_hello{{{}}}", why.replace(' ', "_")),
            Self::NoEndpoint => "no_healthy_upstream".to_owned(),
            Self::Overflow(_) => "upstream_reset_before_response_started{overflow}".to_owned(),
            Self::Unresolved => "dns_resolution_failure".to_owned(),
            Self::Connect => "upstream_reset_before_response_started{connection_failure}".to_owned(),
            Self::Reset => "upstream_reset_before_response_started{connection_termination}".to_owned(),
            Self::BadAnswer => "upstream_reset_before_response_started{protocol_error}".to_owned(),
            Self::Timeout => "response_timeout".to_owned(),
            Self::Fault { .. } => "fault_filter_abort".to_owned(),
            Self::Aged => "max_connection_duration".to_owned(),
            Self::RetryBudget => "retry_budget_exceeded".to_owned(),
            Self::ClientGone => "downstream_remote_disconnect".to_owned(),
            Self::SlowClient => "request_header_timeout".to_owned(),
            Self::BadRequest(why) => format!("http1.{}", why.replace(' ', "_")),
            Self::HeadersTooLarge => "http1.headers_too_large".to_owned(),
            Self::NotImplemented => "http1.invalid_transfer_encoding".to_owned(),
            Self::Protocol => "extended_connect_not_supported".to_owned(),
            Self::Version => "http1.version".to_owned(),
        }
    }
}

/// The flags of a request that was held up by a fault, in Envoy's order.
pub(crate) fn with_delay(flag: &'static str) -> &'static str {
    match flag {
        "UH" => "UH,DI",
        "UT" => "UT,DI",
        "UF" => "UF,DI",
        "UC" => "UC,DI",
        "UO" => "UO,DI",
        "FI" => "DI,FI",
        "DC" => "DI,DC",
        "UPE" => "DI,UPE",
        "DPE" => "DI,DPE",
        "NC" => "DI,NC",
        _ => "DI",
    }
}

fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests;
