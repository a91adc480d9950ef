#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod destination_rules;
mod hostile;
mod incremental;
mod locality;
mod origination;
mod pods;
mod policies;
mod routes;
mod service_entries;
mod services;
mod telemetry;
mod topology;
mod virtual_services;
mod world;
