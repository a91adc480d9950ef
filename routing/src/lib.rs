//! Which rule, which backend, which endpoint: Gateway API matching and what a rule does, as data.
//!
//! Pure: no time, no randomness (the caller passes the number), no I/O, no YAML. `mesh` builds the tables
//! from manifests; the proxy loop asks them once per request.
//!
//! Start reading at [`Table::find`]; `naive` (tests) is the 30-line reading of the spec it must equal.

mod backend;
mod endpoint;
mod explain;
mod filter;
mod matching;
mod rule;
mod table;

pub use backend::{Backend, ClusterId, Pick, Target};
pub use endpoint::{Cluster, Endpoint, Protocol};
pub use explain::{Considered, Explanation};
pub use filter::{Filters, HeaderModifier, HostRewrite, Mirror, PathRewrite, Redirect, Rewrite};
pub use matching::{GrpcMatch, HeaderMatch, HttpMatch, Matches, PathMatch, QueryMatch, TextMatch};
pub use rule::{Retry, RouteId, RouteKind, RouteSpec, Rule, RuleSpec, Timeouts};
pub use table::{Match, Table};
