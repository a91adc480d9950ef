//! Scenarios: what the mesh holds, what is asked of it and how often, and what is wanted of the answer.

mod table;

pub(crate) use table::{all, find};

use crate::figure::Goal;
use crate::load::Protocol;
use crate::subject::How;

/// One scenario. All of them are [`all`].
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// A line for people.
    pub(crate) about: &'static str,
    pub(crate) mesh: Mesh,
    pub(crate) kind: Kind,
    /// Which of the known subjects take part.
    pub(crate) subjects: &'static [How],
    /// The first is what the scenario is about.
    pub(crate) goals: &'static [Goal],
}

/// What the mesh holds beside one Service and its pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mesh {
    /// HTTPRoutes, each with a path prefix of its own; the last one's is asked for.
    pub(crate) routes: usize,
    /// Rules of one ALLOW policy, of which the last one matches.
    pub(crate) policy_rules: usize,
    /// A RequestAuthentication with a key of this kind.
    pub(crate) token: Option<Signing>,
    /// Every request is traced.
    pub(crate) is_traced: bool,
    /// What the Service's port speaks.
    pub(crate) speaks: Speaks,
    /// A second version of the Service, to shift traffic to.
    pub(crate) has_canary: bool,
    /// Its routes are rewritten.
    pub(crate) is_churned: bool,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    Rs256,
    Es256,
}

/// The inner protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Speaks {
    #[default]
    Http1,
    /// With prior knowledge.
    Http2,
    Grpc,
    /// Bytes there, as many back.
    Tcp,
}

impl Speaks {
    /// The name of a Service's port that says so.
    pub(crate) fn port_name(self) -> &'static str {
        match self {
            Self::Http1 => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }

    /// What clients speak to it.
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Http1 => Protocol::Http1,
            Self::Http2 => Protocol::Http2,
            Self::Grpc => Protocol::Grpc,
            Self::Tcp => Protocol::Tcp,
        }
    }

    /// Whether a connection carries several requests at once.
    pub(crate) fn is_multiplexed(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Requests, and what they cost.
    Traffic(Traffic),
    /// The same requests, with workers and with twice as many.
    Scaling(Traffic),
    /// Requests while the config changes.
    Disturbed(Traffic, Disturbance),
    /// Connections and streams, and what they hold.
    Memory,
    /// The same mesh with many routes and without.
    MemoryOfRoutes,
}

/// What changes meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// Routes are rewritten, one after another.
    Churn,
    /// Traffic is shifted from one version to the other in steps.
    Canary,
}

/// Requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) connections: u64,
    /// CONNECT streams, spread over the connections.
    pub(crate) streams: u64,
    /// Requests in flight on one stream: more than one with inner HTTP/2 only.
    pub(crate) in_flight: u64,
    /// Requests a second; None is a closed loop.
    pub(crate) rate: Option<u64>,
    pub(crate) request_bytes: usize,
    pub(crate) response_bytes: usize,
    /// Each request on a client connection of its own.
    pub(crate) is_fresh: bool,
    /// Threads of each neighbour.
    pub(crate) threads: usize,
}

impl Traffic {
    /// One HTTP/1.1 connection in each of 32 streams of one tunnel connection, as fast as they can, 1 KiB answers.
    pub(crate) const SATURATED: Self = Self {
        connections: 1,
        streams: 32,
        in_flight: 1,
        rate: None,
        request_bytes: 0,
        response_bytes: 1024,
        is_fresh: false,
        threads: 1,
    };
}

impl Mesh {
    /// Whether routes change while requests flow.
    pub(crate) fn is_changing(&self) -> bool {
        self.has_canary || self.is_churned
    }

    /// What is asked for, so that the last route and the last rule match.
    pub(crate) fn path(&self) -> String {
        match (self.speaks, self.routes, self.policy_rules) {
            (Speaks::Grpc, ..) => "/echo.Echo/Say".to_owned(),
            (_, routes @ 1.., _) => format!("{}/reviews/1", Self::route_prefix(routes.saturating_sub(1))),
            (_, _, rules @ 1..) => format!("{}1", Self::rule_prefix(rules.saturating_sub(1))),
            _ => "/reviews/1".to_owned(),
        }
    }

    /// The path prefix of a route.
    pub(crate) fn route_prefix(number: usize) -> String {
        format!("/api/v1/resource-{number}")
    }

    /// The path prefix of a policy's rule, with its slash.
    pub(crate) fn rule_prefix(number: usize) -> String {
        format!("/items/{number}/")
    }

    /// The service account that a policy's rule allows: the last rule's is the client's.
    pub(crate) fn rule_account(&self, number: usize) -> String {
        if number.saturating_add(1) == self.policy_rules {
            "client".to_owned()
        } else {
            format!("client-{number}")
        }
    }
}

#[cfg(test)]
mod tests;
