//! Routes and their rules: what `mesh` hands in, what `find` hands out.

use crate::{Backend, Filters, Matches, Nothing, Pick, Seldom, Session, Sessions, SniPattern};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Kinds of routes, the strongest first: on one port it alone counts (GEP-1294).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    /// GRPCRoute.
    Grpc,
    /// HTTPRoute.
    Http,
    /// TLSRoute.
    Tls,
    /// TCPRoute.
    Tcp,
    /// `http` of a VirtualService, whose rules are tried in order.
    VirtualService,
    /// The implicit route of a Service without routes.
    Implicit,
}

impl RouteKind {
    /// TLSRoute and TCPRoute: connections are routed, and what is in them is not looked into.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Tls | Self::Tcp)
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "GRPCRoute",
            Self::Http => "HTTPRoute",
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
            Self::VirtualService => "VirtualService",
            Self::Implicit => "implicit route",
        })
    }
}

/// Names a route in logs, spans and explanations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteId {
    /// Kind.
    pub kind: RouteKind,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// `HTTPRoute namespace/name`.
impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One route attached to a Service port.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Identity.
    pub id: Arc<RouteId>,
    /// `metadata.creationTimestamp` in unix seconds; older wins. Missing: `i64::MAX`.
    pub created: i64,
    /// `hostnames` of a route on a Gateway: the hosts it is for. Empty: all. (A TLSRoute's are in its matches.)
    pub hostnames: Vec<SniPattern>,
    /// Rules in order.
    pub rules: Vec<RuleSpec>,
}

/// One rule of a route.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    /// Matches, OR.
    pub matches: Matches,
    /// The rest, shared with the requests it serves.
    pub rule: Arc<Rule>,
}

/// What a matching request gets. Shared; immutable.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The route it belongs to.
    pub route: Arc<RouteId>,
    /// Position in the route.
    pub index: usize,
    /// `name` of the rule.
    pub name: Option<Arc<str>>,
    /// Rule-level filters.
    pub filters: Seldom<Filters>,
    /// Weighted backends.
    pub backends: Box<[Backend]>,
    /// Deadlines.
    pub timeouts: Seldom<Timeouts>,
    /// Retry policy; `None`: the default (2 retries where nothing was sent).
    pub retry: Option<Box<Retry>>,
    /// Session persistence, where there is any.
    pub sessions: Option<Box<Sessions>>,
}

impl Rule {
    /// Picks a backend by weight. `random` is uniform over u64.
    pub fn pick(&self, random: u64) -> Pick<'_> {
        let total: u64 = self.backends.iter().map(|backend| u64::from(backend.weight)).sum();
        // Scales `random` to 0..total; no value is likelier than another by more than total / 2^64.
        let mut point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
        for backend in &self.backends {
            match point.checked_sub(backend.weight.into()) {
                Some(rest) => point = rest,
                None => return Pick::Backend(backend),
            }
        }
        Pick::Nothing
    }

    /// The session of a client that is sent to this backend: the rule's own goes before that of the Service.
    pub fn session(&self, backend: &Backend) -> Option<&Session> {
        let sessions = self.sessions.as_deref()?;
        if sessions.rule.is_some() {
            return sessions.rule.as_ref();
        }
        let place = self.backends.iter().position(|other| std::ptr::eq(other, backend))?;
        sessions.backends.get(place)?.as_ref()
    }
}

/// `timeouts` of a rule. `None`: no limit. Zero in the manifest means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole request, retries included.
    pub request: Option<Duration>,
    /// Each try.
    pub backend_request: Option<Duration>,
}

impl Nothing for Timeouts {
    const NOTHING: &'static Self = &Self {
        request: None,
        backend_request: None,
    };

    fn is_nothing(&self) -> bool {
        self == Self::NOTHING
    }
}

/// `retry` of a rule (GEP-1731), `retries` of a VirtualService's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Statuses that are retried.
    pub codes: Vec<u16>,
    /// Failures that are retried.
    pub on: RetryOn,
    /// Retries, not tries.
    pub attempts: u32,
    /// Minimum wait before a retry.
    pub backoff: Option<Duration>,
}

impl Retry {
    /// Whether an answer with this status, and this `grpc-status` in its head, is retried.
    pub fn wants(&self, status: u16, grpc_status: Option<u32>) -> bool {
        self.codes.contains(&status) || grpc_status.is_some_and(|status| self.on.grpc.contains(&status))
    }
}

/// What a policy retries beside statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// The endpoint was not reached, or said that it had not begun (`connect-failure`, `refused-stream`).
    pub unprocessed: bool,
    /// The endpoint closed or reset before it answered (`reset`).
    pub reset: bool,
    /// The try had its time.
    pub timeout: bool,
    /// `grpc-status` of answers that are nothing else.
    pub grpc: Vec<u32>,
}

/// Every failure: what the Gateway API's `retry` means.
impl Default for RetryOn {
    fn default() -> Self {
        Self {
            unprocessed: true,
            reset: true,
            timeout: true,
            grpc: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
