//! Routes and their rules: what `mesh` hands in, what `find` hands out.

use crate::{Backend, Filters, Matches, Pick};
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
    pub id: RouteId,
    /// `metadata.creationTimestamp` in unix seconds; older wins. Missing: `i64::MAX`.
    pub created: i64,
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
    pub route: RouteId,
    /// Position in the route.
    pub index: usize,
    /// `name` of the rule.
    pub name: Option<Arc<str>>,
    /// Rule-level filters.
    pub filters: Filters,
    /// Weighted backends.
    pub backends: Vec<Backend>,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Retry policy; `None`: the default (2 retries where nothing was sent).
    pub retry: Option<Retry>,
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
}

/// `timeouts` of a rule. `None`: no limit. Zero in the manifest means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole request, retries included.
    pub request: Option<Duration>,
    /// Each try.
    pub backend_request: Option<Duration>,
}

/// `retry` of a rule (GEP-1731).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Statuses that are retried.
    pub codes: Vec<u16>,
    /// Retries, not tries.
    pub attempts: u32,
    /// Minimum wait before a retry.
    pub backoff: Option<Duration>,
}

#[cfg(test)]
mod tests;
