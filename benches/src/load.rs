//! Requests. One kind for now: a closed loop.

mod closed_loop;
mod response;

pub(crate) use closed_loop::{ClosedLoop, Tally};
