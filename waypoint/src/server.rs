//! Pingora's server: services, listeners, descriptor hand-over and signals, and nothing of what a request is.

mod admin;
mod bound;
mod hbone_app;
mod signals;

pub(crate) use admin::{Admin, Metrics, Readiness};
pub(crate) use bound::{Bound, BoundService};
pub(crate) use hbone_app::HboneApp;
pub(crate) use signals::Signals;
