//! `train`: the load of the scenarios on one waypoint after another, for a compiler that wants to see which code is warm
//! (profile-guided optimisation; `benches/pgo`). Nothing is measured.
//!
//! Each waypoint is told to end and does so in good order: an instrumented program writes its profile at its exit.

use crate::cli::TrainArgs;
use crate::compare::plan;
use crate::fault::{During, Fault};
use crate::load::Load;
use crate::neighbour::{Collector, Destination, Source, World};
use crate::scenario::{Kind, Scenario, Traffic, find};
use crate::subject::{Contender, How, Subject, Which};
use std::time::{Duration, Instant};

/// How often the load is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Gives each scenario its turn.
pub(crate) fn run(args: &TrainArgs) -> Result<(), Fault> {
    for name in &args.scenario {
        let scenario = find(name).during(format_args!(
            "no scenario {name}: `waypoint-bench compare --scenario list` tells them"
        ))?;
        let (Kind::Traffic(traffic) | Kind::Disturbed(traffic, _)) = scenario.kind else {
            return Err(Fault::new(format!("{name} is not of requests alone")));
        };
        let answered = by(&scenario, traffic, args)?;
        println!("{name}: {answered} requests");
    }
    Ok(())
}

/// One waypoint from its start to its end; gives the requests that it answered.
fn by(scenario: &Scenario, traffic: Traffic, args: &TrainArgs) -> Result<u64, Fault> {
    let world = World::new(scenario.mesh, traffic.response_bytes);
    let _destination = Destination::of_world(&world)?;
    let collector = scenario.mesh.is_traced.then(Collector::start).transpose()?;
    let collector = collector.as_ref().map(|collector| collector.address);
    let contender = Contender::new(Which::Known(How::Waypoint), args.programs.workers);
    let subject = Subject::start(&contender, 0, &world, collector, &args.programs)?;
    let source = Source::of_world(&world, subject.address)?;
    let load = Load::start(&source, plan(&world, traffic)?)?;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    while Instant::now() < end && !load.is_broken() {
        std::thread::sleep(LOOK);
    }
    let answered = load.counted().answered();
    let failures = load.stop()?.failures;
    if answered == 0 || !failures.is_empty() {
        return Err(Fault::new(format!("{answered} answered, {failures:?}")));
    }
    subject.finish()?;
    Ok(answered)
}
