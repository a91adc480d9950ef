//! The words of the floor, which nobody types.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `waypoint-bench splice-proxy`. It ends when its standard input does.
#[derive(Clone, Debug, Args)]
pub(crate) struct SpliceArgs {
    /// Where it takes tunnels.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// The folder with root-cert.pem, cert-chain.pem and key.pem.
    #[arg(long, value_name = "DIR")]
    pub(crate) certs: PathBuf,
    /// The destination's tunnel endpoint.
    #[arg(long, value_name = "ADDR")]
    pub(crate) destination: SocketAddr,
    /// The identity the destination must show.
    #[arg(long, value_name = "SPIFFE-ID")]
    pub(crate) identity: String,
    /// What every tunnel is connected to, whatever it asked for.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) target: SocketAddr,
}
