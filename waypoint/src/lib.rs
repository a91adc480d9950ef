//! The waypoint itself: Pingora's server around our own proxy loop.

pub mod http1;
