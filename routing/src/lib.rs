//! Which rule, which backend, which endpoint: Gateway API matching and what a rule does, as data.
//!
//! Pure: no time, no randomness (the caller passes the number), no I/O, no YAML. `mesh` builds the tables
//! from manifests; the proxy loop asks them once per request.
//!
//! Start reading at [`Table::find`]; `table/naive.rs` (tests) is the plain reading of the spec it must equal.
//!
//! Room is left beside the others for what is to come: a filter is a file in `filter/` and a field of [`Filters`], a
//! property of a rule a file beside `rule.rs` and a field of [`Rule`].

mod backend;
mod balance;
mod cluster;
mod endpoint;
mod explain;
mod filter;
mod health;
mod limits;
mod matching;
mod network_gateway;
mod retry_budget;
mod rule;
mod seldom;
mod session;
mod sni;
mod table;
#[cfg(test)]
mod testing;
mod tls;
mod traffic_policy;

pub use backend::{Backend, ClusterId, Pick, Target};
pub use balance::{HashCookie, HashKey};
pub use cluster::{Ask, Cluster, ClusterSpec, ClusterState};
pub use endpoint::{Endpoint, Protocol};
pub use explain::{Considered, Explanation};
pub use filter::{
    Abort, AuthBody, AuthCheck, AuthProtocol, Cors, DirectResponse, ExternalAuth, Fault, Filters, HeaderModifier,
    HeaderNames, HeaderPattern, HostRewrite, HttpAuth, Listed, Mirror, OriginPattern, PathRewrite, PathTooLong,
    Redirect, RedirectPort, Rewrite, Share,
};
pub use health::{Ejected, Health, Outcome, OutlierDetection};
pub use limits::{Counter, Keepalive, Limits, Permit, RetryShare, Usage};
pub use matching::{
    GrpcMatch, HeaderMatch, HttpMatch, IstioMatch, Matches, PathMatch, QueryMatch, RegexRoom, TextMatch,
};
pub use network_gateway::NetworkGateway;
pub use retry_budget::{RetryBudget, RetryLimits};
pub use rule::{Retry, RetryOn, RouteId, RouteKind, RouteSpec, Rule, RuleSpec, Timeouts};
pub use seldom::{Nothing, Seldom};
pub use session::{Session, SessionCarrier, Sessions};
pub use sni::SniPattern;
pub use table::{CompiledRoute, Match, Streams, Table};
pub use tls::{Slot, Tls, TlsIdentity, TlsRoots, TlsSan, TlsSettings};
pub use traffic_policy::{Balance, TrafficPolicy, Warmup};
