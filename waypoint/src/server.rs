//! Pingora's server: services, listeners, descriptor hand-over and signals, and nothing of what a request is.

mod admin;
mod bound;
mod hbone_app;
mod metrics;
mod signals;

pub(crate) use admin::{Admin, Readiness};
pub(crate) use bound::{Bound, BoundService};
pub(crate) use hbone_app::HboneApp;
pub(crate) use metrics::Metrics;
pub(crate) use signals::Signals;
