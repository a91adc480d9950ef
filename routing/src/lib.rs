//! Which rule, which backend, which endpoint: Gateway API matching and what a rule does, as data.
//!
//! Pure: no time, no randomness (the caller passes the number), no I/O, no YAML. `mesh` builds the tables
//! from manifests; the proxy loop asks them once per request.
//!
//! Start reading at [`Table::find`]; `table/naive.rs` (tests) is the plain reading of the spec it must equal.
//!
//! Room is left beside the others for what is to come: a filter is a file in `filter/` and a field of [`Filters`]
//! (external authorisation), a property of a rule a file beside `rule.rs` and a field of [`Rule`] (session
//! persistence).

mod backend;
mod endpoint;
mod explain;
mod filter;
mod matching;
mod rule;
mod sni;
mod table;

pub use backend::{Backend, ClusterId, Pick, Target};
pub use endpoint::{Cluster, Endpoint, Protocol};
pub use explain::{Considered, Explanation};
pub use filter::{
    Abort, Cors, DirectResponse, Fault, Filters, HeaderModifier, HostRewrite, Listed, Mirror, OriginPattern,
    PathRewrite, PathTooLong, Redirect, RedirectPort, Rewrite, Share,
};
pub use matching::{
    GrpcMatch, HeaderMatch, HttpMatch, IstioMatch, Matches, PathMatch, QueryMatch, RegexRoom, TextMatch,
};
pub use rule::{Retry, RetryOn, RouteId, RouteKind, RouteSpec, Rule, RuleSpec, Timeouts};
pub use sni::SniPattern;
pub use table::{CompiledRoute, Match, Streams, Table};
