//! The words of `idle`.

use super::{AskArgs, FilesArgs, WayArgs};
use clap::Args;

/// `waypoint-bench idle`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is held")]
pub(crate) struct IdleArgs {
    /// mTLS connections that are held; in clear there are none.
    #[arg(long, value_name = "C", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    pub(crate) connections: u64,
    /// Streams that are held, spread over the connections (100 on each at most): each carries one request and is kept.
    /// In clear: TCP connections.
    #[arg(long, value_name = "M", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub(crate) streams: u64,
    /// Seconds for which all are held.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) duration: u64,
    #[command(flatten)]
    pub(crate) way: WayArgs,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
}
