//! What the micro-benches and the memory tests measure with: meshes of any size, and requests to them.
//!
//! `cargo bench -p micro-benches` runs them. They go through the public faces of `mesh`, `routing`, `authz` and `telemetry`,
//! as the waypoint does, so that they measure what a user's manifests cost.

mod ask;
mod edited;
mod policies;
mod tokens;
mod told;
mod world;

pub use ask::Asked;
pub use edited::Edited;
pub use policies::{Asks, Judged};
pub use tokens::Tokens;
pub use told::{Told, tracer};
pub use world::{NAMESPACE, RuleKind, World, first_port};
