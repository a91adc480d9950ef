//! Flags that the commands which serve share, with one meaning.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How a process that serves is watched, and how it reads the cluster.
#[derive(Clone, Debug, Args)]
pub struct ProcessArgs {
    /// How the API server is reached from outside a pod; several are merged as kubectl does.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG", value_delimiter = ':')]
    pub kubeconfig: Vec<PathBuf>,
    /// Between two looks for CRDs that came or went, at most, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "WAYPOINT_DISCOVERY_SECONDS",
        hide = true,
        default_value_t = 60
    )]
    pub discovery_seconds: u64,
    /// Metrics listener: /stats/prometheus.
    #[arg(long, value_name = "ADDR", env = "WAYPOINT_METRICS", default_value = "[::]:15020")]
    pub metrics: SocketAddr,
    /// Readiness listener: /healthz/ready. Ready when all was read.
    #[arg(long, value_name = "ADDR", env = "WAYPOINT_READY", default_value = "[::]:15021")]
    pub ready: SocketAddr,
    /// Istio's root namespace: where MeshConfig (ConfigMap istio) and policies for the whole mesh are.
    #[arg(
        long,
        value_name = "NS",
        env = "WAYPOINT_ROOT_NAMESPACE",
        default_value = "istio-system"
    )]
    pub root_namespace: String,
    /// Log filter, for example debug or info,waypoint::proxy=debug,waypoint::controller=debug. TRACE is only in debug
    /// builds.
    #[arg(long, value_name = "FILTER", env = "WAYPOINT_LOG", default_value = crate::logging::DEFAULT_FILTER)]
    pub log: String,
    /// Log as JSON.
    #[arg(long, env = "WAYPOINT_LOG_JSON")]
    pub log_json: bool,
}
