//! `stage`: a mesh on this machine with a proxy in it, for loads by hand: what `compare` measures, without the measuring.

use crate::cli::StageArgs;
use crate::fault::{During, Fault};
use crate::neighbour::{Collector, Destination, World};
use crate::scenario::{Kind, Scenario, Traffic, find};
use crate::stop::Stop;
use crate::subject::{Contender, Subject, Which};
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

/// How often it is looked whether to end.
const LOOK: Duration = Duration::from_millis(100);

/// Serves until SIGINT or SIGTERM, and says how to load it.
pub(crate) fn run(args: &StageArgs) -> Result<(), Fault> {
    let scenario = find(&args.scenario).during(format_args!(
        "no scenario {}: `waypoint-bench compare --scenario list` tells them",
        args.scenario
    ))?;
    let stop = Stop::watch()?;
    let traffic = traffic(&scenario);
    let world = World::new(scenario.mesh, traffic.response_bytes);
    let _destination = Destination::of_world(&world)?;
    let collector = scenario.mesh.is_traced.then(Collector::start).transpose()?;
    let which = args.subject.clone().map_or(Which::Known(args.proxy), Which::Template);
    let contender = Contender::new(which, args.programs.workers);
    let collector = collector.as_ref().map(|collector| collector.address);
    let subject = Subject::start(&contender, 0, &world, collector, &args.programs)?;
    let certs = world.certs_of("client");
    let token = world
        .token()
        .map(|token| file(token.bearer.trim_start_matches("Bearer ")));
    let token = token.transpose()?;
    println!("{}: {}", subject.name, subject.version);
    println!("manifests in {}", world.manifests().display());
    let told = command(
        &world,
        &subject,
        traffic,
        certs.path(),
        token.as_ref().map(NamedTempFile::path),
    )?;
    println!("until Ctrl-C; in another shell:\n\n{told}\n");
    while !stop.is_told() {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// What the scenario asks for; of those of memory, what they would ask for.
fn traffic(scenario: &Scenario) -> Traffic {
    match scenario.kind {
        Kind::Traffic(traffic) | Kind::Disturbed(traffic, _) | Kind::Scaling(traffic) => traffic,
        Kind::Memory | Kind::MemoryOfRoutes => Traffic::SATURATED,
    }
}

/// The command line of that load.
fn command(
    world: &World,
    subject: &Subject,
    traffic: Traffic,
    certs: &Path,
    token: Option<&Path>,
) -> Result<String, Fault> {
    let protocol = world.holds().speaks.protocol();
    let mut words = vec![
        format!("waypoint-bench load --service {} --host echo", world.vip().authority()),
        format!("--waypoint {}", subject.address),
        format!("--waypoint-identity {}", world.proxy_identity()?.as_str()),
        format!("--certs {}", certs.display()),
        format!("--pid {}", subject.pid()),
        format!("--protocol {} --path {}", protocol.name(), world.holds().path()),
        format!("--connections {} --streams {}", traffic.connections, traffic.streams),
    ];
    words.extend((traffic.in_flight > 1).then(|| format!("--in-flight {}", traffic.in_flight)));
    words.extend((traffic.request_bytes > 0).then(|| format!("--body-bytes {}", traffic.request_bytes)));
    words.extend(traffic.rate.map(|rate| format!("--rate {rate}")));
    words.extend(traffic.is_fresh.then(|| "--new-connections".to_owned()));
    words.extend(token.map(|file| format!("--token {}", file.display())));
    Ok(words.join(" "))
}

fn file(text: &str) -> Result<NamedTempFile, Fault> {
    let file = NamedTempFile::new().during("a file for the token")?;
    std::fs::write(file.path(), text).during(file.path().display())?;
    Ok(file)
}
