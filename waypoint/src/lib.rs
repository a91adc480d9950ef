//! The waypoint itself: Pingora's server around our own proxy loop.
//!
//! It wires the other crates together and knows nothing of matching, policy or YAML. Start reading at [`run`] (how a
//! process is put together), then `proxy` (what happens to a request).

mod admin_client;
pub mod check;
pub mod cli;
mod config_source;
mod control;
pub mod controller;
pub mod demo;
mod discovery;
mod dns;
pub mod explain;
pub mod http1;
mod jwks;
mod live;
pub mod logging;
mod own_certs;
mod proxy;
pub mod run;
mod server;
pub mod tap;
pub mod top;
