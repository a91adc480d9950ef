//! The words of `destination`.

use super::IdentityArgs;
use clap::Args;
use std::net::SocketAddr;

/// `waypoint-bench destination`. Runs until it is told to end.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is served")]
pub(crate) struct DestinationArgs {
    /// Where it serves HTTP/1.1 and HTTP/2 with prior knowledge. Port 0: any free one, printed at start.
    #[arg(long, value_name = "IP:PORT", required_unless_present = "tcp")]
    pub(crate) http: Option<SocketAddr>,
    /// Where it gives back what it gets.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) tcp: Option<SocketAddr>,
    /// Where it takes tunnels to those two.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) hbone: Option<SocketAddr>,
    /// Bytes of each answer's body.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) body_bytes: u64,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
}
