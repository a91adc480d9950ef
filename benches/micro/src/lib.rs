//! What the micro-benches and the memory tests measure with: meshes of any size, and requests to them.
//!
//! `cargo bench -p micro-benches` runs them. They go through the public faces of `mesh` and `routing`, as the waypoint
//! does, so that they measure what a user's manifests cost.

mod ask;
mod world;

pub use ask::Asked;
pub use world::{NAMESPACE, RuleKind, World, first_port};
