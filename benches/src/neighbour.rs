//! The mesh around the proxy under test: certificates and manifests, the client's tunnels, the destination, a collector.
//!
//! They run in this process, each on a thread of its own, and do as little as they can: what they cost is not
//! measured, but the proxy shares the machine with them.

mod collector;
mod destination;
mod echo;
mod source;
mod thread;
mod world;

pub(crate) use collector::Collector;
pub(crate) use destination::{Application, Destination, Route, Tunnels, listen};
pub(crate) use echo::Echo;
pub(crate) use source::{Connection, Source};
pub(crate) use thread::Room;
pub(crate) use world::{Changes, PolicyRule, RouteVersions, World};

use hbone::{PoolEvents, ServerEvents};

/// Nobody counts the neighbours' connections.
pub(crate) struct NoEvents;

impl PoolEvents for NoEvents {}
impl ServerEvents for NoEvents {}
