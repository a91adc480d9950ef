//! The command line. Every load has a bound in time and in requests.

mod ask;
mod compare;
mod destination;
mod files;
mod identity;
mod idle;
mod instructions;
mod load;
mod report;
mod splice;
mod stage;
mod train;
mod way;

pub(crate) use ask::AskArgs;
pub(crate) use compare::{CompareArgs, Programs};
pub(crate) use destination::DestinationArgs;
pub(crate) use files::{FilesArgs, PagesArgs};
pub(crate) use identity::IdentityArgs;
pub(crate) use idle::IdleArgs;
pub(crate) use instructions::InstructionsArgs;
pub(crate) use load::LoadArgs;
pub(crate) use report::ReportArgs;
pub(crate) use splice::SpliceArgs;
pub(crate) use stage::StageArgs;
pub(crate) use train::TrainArgs;
pub(crate) use way::{WatchedArgs, WayArgs};

use clap::{Parser, Subcommand};

/// What a request costs in the waypoint, beside others, on this machine.
#[derive(Debug, Parser)]
#[command(name = "waypoint-bench", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The waypoint beside Envoy and the floor, in scenarios: CPU of the proxy process per request, latency, memory.
    #[command(after_help = COMPARE)]
    Compare(Box<CompareArgs>),
    /// Load on your own waypoint: through tunnels of its own, or through those of the node it runs on.
    #[command(after_help = LOAD)]
    Load(Box<LoadArgs>),
    /// Connections and streams that are held and do nothing: what each holds of the waypoint's memory, and whether it lasts.
    #[command(after_help = IDLE)]
    Idle(Box<IdleArgs>),
    /// A whole mesh on this machine, with the waypoint, Envoy or another proxy in it, to be loaded by hand with `load`.
    #[command(after_help = STAGE)]
    Stage(Box<StageArgs>),
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
    #[command(
        after_help = "EXAMPLES:\n  waypoint-bench instructions --scenario http1-1k,policy-50\n\nIt needs valgrind."
    )]
    Instructions(InstructionsArgs),
    /// The load of the scenarios on an instrumented waypoint, for a profile-guided build of it (benches/pgo).
    #[command(
        after_help = "EXAMPLES:\n  waypoint-bench train --waypoint target/pgo/release/waypoint\n  \
        waypoint-bench train --scenario grpc-64b --seconds 10"
    )]
    Train(TrainArgs),
    /// The floor: accepts CONNECT, dials CONNECT, copies bytes. Started by `compare`.
    #[command(hide = true)]
    SpliceProxy(SpliceArgs),
}

const COMPARE: &str = "EXAMPLES:
  cargo build --release -p waypoint -p benches && target/release/waypoint-bench compare
  waypoint-bench compare --scenario list
  waypoint-bench compare --scenario all --json results.json --markdown benches/RESULTS.md
  waypoint-bench compare --scenario jwt-rs256 --only waypoint --seconds 30    # time for perf record -p PID
  waypoint-bench compare --subject 'old=/opt/waypoint-0.1 run --config {config_dir} --certs {certs_dir} --hbone {hbone} \
--namespace {namespace} --gateway {gateway} --trust-domain {trust_domain} --workers {workers}'
  waypoint-bench compare --scenario scaling    # one worker and two, of each proxy

The first three are built in; any other proxy is a command by template. It must serve the manifests in {config_dir} with
the certificates in {certs_dir} (root-cert.pem, cert-chain.pem, key.pem), take tunnels at {hbone}, and stay in the foreground
as one process, which is what is measured. In the scenario `scaling` it needs {workers}.

Exits 0; 1 when the gate was missed or a request failed; 2 when nothing could be measured.";

const STAGE: &str = "EXAMPLES:
  waypoint-bench stage                                    # our waypoint; it prints the command that loads it
  waypoint-bench stage --proxy envoy --scenario jwt-rs256    # Envoy, with a token to be checked
  waypoint-bench stage --proxy splice                     # the floor

The destination, certificates and manifests are its own, on loopback addresses. Ctrl-C ends all of it.";

const IDLE: &str = "EXAMPLES:
  # 1,000 connections of a node tunnel, 5,000 streams on them, held for a minute; memory of the waypoint's pod by its metrics.
  waypoint-bench idle --service reviews.demo:9080 --waypoint waypoint.demo:15008 --certs /certs \\
    --waypoint-identity spiffe://cluster.local/ns/demo/sa/waypoint --connections 1000 --streams 5000 --duration 60 \\
    --metrics 10.0.0.7:15020
  # In a pod of the mesh: 2,000 connections of an application, each of which has made one request.
  waypoint-bench idle --service reviews.demo:9080 --streams 2000 --metrics 10.0.0.7:15020

At the end each stream carries one more request. Exits 0; 1 when a connection or stream did not last; 2 when they could not
be opened. Ctrl-C ends it and tells what there is.";

const LOAD: &str = "EXAMPLES:
  # In a pod of the mesh: the node's ztunnel makes the tunnels. Three steps of 20 s, the proxy's own cost beside them.
  waypoint-bench load --service reviews.demo:9080 --rate 500,1000,2000 --duration 60 --metrics 10.0.0.7:15020
  # As its own ztunnel, with a certificate by istiod, over 4 connections of 50 streams, as many requests as go.
  waypoint-bench load --service reviews.demo:9080 --waypoint waypoint.demo:15008 \\
    --waypoint-identity spiffe://cluster.local/ns/demo/sa/waypoint --ca-address istiod.istio-system.svc:15012 \\
    --connections 4 --streams 200 --path /reviews/1 --token jwt.txt
  # gRPC, 8 calls in flight on each of 4 streams; 64 KiB up in HTTP/2; bytes to a port that is not HTTP.
  waypoint-bench load --service calls.demo:9090 --protocol grpc --path /echo.Echo/Say --streams 4 --in-flight 8
  waypoint-bench load --service reviews.demo:9080 --protocol http2 --body-bytes 65536 --rate 200
  waypoint-bench load --service db.demo:5432 --protocol tcp --body-bytes 100 --rate 1000
  # Handshakes: a new connection for each request, 200 a second.
  waypoint-bench load --service reviews.demo:9080 --waypoint waypoint.demo:15008 --certs /certs \\
    --waypoint-identity spiffe://cluster.local/ns/demo/sa/waypoint --new-connections --rate 200
  # On a laptop: what `waypoint-bench stage` prints; or what `waypoint demo --keep` leaves running, to a page with plots.
  waypoint-bench load --service 127.0.0.1:8080 --host reviews:9080 --path /reviews/1 --html load.html

Exits 0; 1 when a request failed; 2 when nothing could be measured. Ctrl-C ends it and tells what there is; a second one
ends it at once.";

#[cfg(test)]
mod tests;
