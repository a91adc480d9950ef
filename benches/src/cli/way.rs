//! Whose waypoint is loaded, and by which way.

use super::IdentityArgs;
use clap::Args;

/// The Service and the waypoint in front of it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The way")]
pub(crate) struct WayArgs {
    /// The Service, as clients name it; its address is what tunnels ask for.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) service: String,
    /// The waypoint's tunnel port. Without it the Service is dialled in clear, and the node's tunnel does the rest.
    #[arg(long, value_name = "HOST:PORT", requires = "waypoint_identity")]
    pub(crate) waypoint: Option<String>,
    /// The identity that the waypoint must show.
    #[arg(long, value_name = "SPIFFE-ID", requires = "waypoint")]
    pub(crate) waypoint_identity: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    /// What of the proxy itself is watched meanwhile.
    #[command(flatten)]
    pub(crate) watched: WatchedArgs,
}

/// Where the proxy tells of its CPU and memory.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The proxy itself")]
pub(crate) struct WatchedArgs {
    /// A proxy's process on this machine, whose CPU and memory are told, too.
    #[arg(long, value_name = "PID", conflicts_with = "metrics")]
    pub(crate) pid: Option<u32>,
    /// The proxy's metrics, elsewhere: process_cpu_seconds_total and process_resident_memory_bytes are told, too, or
    /// Envoy's envoy_server_memory_physical_size. POD-IP:PORT is http://POD-IP:PORT/stats/prometheus. Repeatable: what
    /// several replicas take is added up.
    #[arg(long, value_name = "URL", value_parser = crate::watched::address)]
    pub(crate) metrics: Vec<http::Uri>,
}
