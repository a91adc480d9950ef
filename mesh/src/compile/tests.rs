#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod destination_rules;
mod hostile;
mod incremental;
mod locality;
mod pods;
mod policies;
mod routes;
mod services;
mod virtual_services;
mod world;
