//! A request or a connection that has ended, asked by its parts: what log lines and expressions read.

use crate::expression::Side;
use crate::{Outcome, RequestProtocol, TcpOutcome};
use http::{HeaderName, HeaderValue};
use request::SpiffeId;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// Either. What a connection has not is `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    Request(&'a Outcome<'a>),
    Connection(&'a TcpOutcome<'a>),
}

/// `None` for an empty text.
fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl<'a> Ended<'a> {
    fn request(&self) -> Option<&'a Outcome<'a>> {
        match self {
            Self::Request(outcome) => Some(outcome),
            Self::Connection(_) => None,
        }
    }

    pub(crate) fn start(&self) -> SystemTime {
        match self {
            Self::Request(outcome) => outcome.start,
            Self::Connection(outcome) => outcome.start,
        }
    }

    pub(crate) fn duration(&self) -> Duration {
        match self {
            Self::Request(outcome) => outcome.duration,
            Self::Connection(outcome) => outcome.duration,
        }
    }

    pub(crate) fn method(&self) -> Option<&'a str> {
        some(self.request()?.method)
    }

    pub(crate) fn path(&self) -> Option<&'a str> {
        some(self.request()?.path)
    }

    pub(crate) fn authority(&self) -> Option<&'a str> {
        some(self.request()?.authority)
    }

    pub(crate) fn protocol(&self) -> Option<&'a str> {
        Some(self.request()?.http_version)
    }

    pub(crate) fn user_agent(&self) -> Option<&'a str> {
        some(self.request()?.user_agent?)
    }

    pub(crate) fn request_id(&self) -> Option<&'a str> {
        some(self.request()?.request_id?)
    }

    pub(crate) fn forwarded_for(&self) -> Option<&'a str> {
        some(self.request()?.forwarded_for?)
    }

    /// A header that the plan asked to keep.
    pub(crate) fn header(&self, side: Side, name: &HeaderName) -> Option<&'a str> {
        let outcome = self.request()?;
        let kept: &'a [(HeaderName, HeaderValue)] = match side {
            Side::Request => outcome.request_headers,
            Side::Response => outcome.response_headers,
        };
        let found = kept.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.to_str().ok())
    }

    pub(crate) fn received(&self) -> u64 {
        match self {
            Self::Request(outcome) => outcome.request_bytes,
            Self::Connection(outcome) => outcome.received,
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        match self {
            Self::Request(outcome) => outcome.response_bytes,
            Self::Connection(outcome) => outcome.sent,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        Some(self.request()?.status)
    }

    pub(crate) fn grpc_status(&self) -> Option<u32> {
        let outcome = self.request()?;
        outcome
            .grpc_status
            .filter(|_| outcome.protocol == RequestProtocol::Grpc)
    }

    pub(crate) fn flags(&self) -> &'static str {
        match self {
            Self::Request(outcome) => outcome.flags,
            Self::Connection(outcome) => outcome.flags,
        }
    }

    pub(crate) fn code_details(&self) -> Option<&'a str> {
        some(self.request()?.details)
    }

    /// Why a connection was ended.
    pub(crate) fn termination(&self) -> Option<&'a str> {
        match self {
            Self::Request(_) => None,
            Self::Connection(outcome) => some(outcome.details),
        }
    }

    /// Why the last attempt had no answer.
    pub(crate) fn upstream_failure(&self) -> Option<&'static str> {
        self.request()?.tries.last()?.error
    }

    /// How long the last attempt took, when it was answered: `x-envoy-upstream-service-time`.
    pub(crate) fn upstream_time(&self) -> Option<Duration> {
        let last = self.request()?.tries.last()?;
        last.status.map(|_| last.took)
    }

    pub(crate) fn attempts(&self) -> usize {
        self.request().map_or(1, |outcome| outcome.tries.len())
    }

    pub(crate) fn upstream_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Request(outcome) => outcome.upstream_address,
            Self::Connection(outcome) => outcome.upstream_address,
        }
    }

    pub(crate) fn upstream_identity(&self) -> Option<&'a str> {
        let destination = match self {
            Self::Request(outcome) => outcome.destination,
            Self::Connection(outcome) => outcome.destination,
        };
        destination?.identity.as_ref().map(SpiffeId::as_str)
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Request(outcome) => outcome.local_address,
            Self::Connection(outcome) => outcome.local_address,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Request(outcome) => outcome.port,
            Self::Connection(outcome) => outcome.port,
        }
    }

    pub(crate) fn source_address(&self) -> SocketAddr {
        match self {
            Self::Request(outcome) => outcome.source_address,
            Self::Connection(outcome) => outcome.source_address,
        }
    }

    pub(crate) fn source_identity(&self) -> Option<&'a str> {
        let identity = match self {
            Self::Request(outcome) => outcome.source_identity,
            Self::Connection(outcome) => outcome.source_identity,
        };
        identity.map(SpiffeId::as_str)
    }

    pub(crate) fn is_mtls(&self) -> bool {
        match self {
            Self::Request(outcome) => outcome.mtls,
            Self::Connection(outcome) => outcome.mtls,
        }
    }

    pub(crate) fn sni(&self) -> Option<&'a str> {
        match self {
            Self::Request(_) => None,
            Self::Connection(outcome) => some(outcome.sni?),
        }
    }

    /// A request that no route of a manifest shaped took Istio's `default`.
    pub(crate) fn route(&self) -> Option<&'a str> {
        match self {
            Self::Request(outcome) => Some(outcome.route.unwrap_or("default")),
            Self::Connection(outcome) => some(outcome.route?),
        }
    }

    pub(crate) fn trace(&self) -> Option<&'a crate::TraceContext> {
        Some(self.request()?.trace)
    }

    /// `inbound-vip|<port>|http|<host>`: the cluster name that Istio's waypoint has for the Service it is routed to.
    pub(crate) fn cluster(&self) -> Option<String> {
        match self {
            Self::Request(outcome) => outcome.backend.map(|(service, port)| cluster_name(&service.host, port)),
            Self::Connection(outcome) => outcome
                .backend
                .map(|(service, port)| format!("inbound-vip|{port}|tcp|{}", service.host)),
        }
    }
}

/// See [`Ended::cluster`].
pub(crate) fn cluster_name(host: &str, port: u16) -> String {
    format!("inbound-vip|{port}|http|{host}")
}
