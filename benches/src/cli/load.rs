//! The words of `load`.

use super::{AskArgs, FilesArgs, WayArgs};
use clap::Args;

/// `waypoint-bench load`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The load")]
pub(crate) struct LoadArgs {
    /// mTLS connections; in clear there are none.
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) connections: u64,
    /// Application connections: CONNECT streams, spread over the connections (100 on each at most), or TCP connections.
    #[arg(long, value_name = "M", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) streams: u64,
    /// Requests in flight on each stream: more than 1 with http2 and grpc only.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) in_flight: u64,
    /// A new mTLS connection (in clear: TCP connection) for each request: the rate is one of handshakes then.
    #[arg(long)]
    pub(crate) new_connections: bool,
    /// Requests a second, an open loop; several are steps of equal length. Without it as many as there can be.
    #[arg(long, value_name = "RPS", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: Vec<u64>,
    /// Seconds measured, over all steps.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) duration: u64,
    /// Requests in all, the warm-up's too: it ends with the last of them, if time does not end it before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// Seconds of load before.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) warm_up: u64,
    /// Seconds that an answer may take: a connection without one is given up and another opened.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) timeout: u64,
    /// Threads that send: more where one is not enough for the waypoint (it is full at some 100,000 small requests a second).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) threads: u64,
    #[command(flatten)]
    pub(crate) way: WayArgs,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
}
