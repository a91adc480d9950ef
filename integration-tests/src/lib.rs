//! The other side of every conversation the waypoint has: certificates, client tunnels, destinations, backends,
//! collectors, and the waypoint process itself.
//!
//! The tests in `tests/` are written in terms of [`peers`]; each file there holds one promise. Start reading at
//! [`peers::mesh_world::MeshWorld`], which puts the pieces together.

// A peer that cannot do its part must fail the test at once and say where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod peers;
