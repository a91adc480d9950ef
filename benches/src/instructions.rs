//! `instructions`: what one request takes of the whole waypoint, counted by callgrind. Unlike times, the figure is nearly the
//! same on a busy machine, so that a change which costs is seen where there is no quiet one.
//!
//! Two runs with different numbers of requests: what differs is the requests', the start is in both.

use crate::cli::InstructionsArgs;
use crate::compare::plan;
use crate::fault::{During, Fault};
use crate::load::Load;
use crate::neighbour::{Destination, Source, World};
use crate::scenario::{Kind, Scenario, Traffic, find};
use crate::subject::{counted, waypoint_command};
use std::time::{Duration, Instant};

/// Requests of the shorter run: the first ones fill caches.
const FEW: u64 = 100;
/// The answers have come by then, however slow valgrind is.
const ANSWERED: Duration = Duration::from_secs(300);

/// Counts and prints `NAME INSTRUCTIONS`.
pub(crate) fn run(args: &InstructionsArgs) -> Result<(), Fault> {
    for name in &args.scenario {
        let scenario = find(name).during(format_args!("no scenario {name}"))?;
        let Kind::Traffic(traffic) = scenario.kind else {
            return Err(Fault::new(format!("{name} is not of requests alone")));
        };
        let few = of_requests(&scenario, traffic, FEW, args)?;
        let many = of_requests(&scenario, traffic, FEW.saturating_add(args.requests), args)?;
        println!("request-{name} {}", many.saturating_sub(few) / args.requests);
    }
    Ok(())
}

/// Instructions of a waypoint from its start to its end, with so many requests in between, one after another.
fn of_requests(scenario: &Scenario, traffic: Traffic, requests: u64, args: &InstructionsArgs) -> Result<u64, Fault> {
    let world = World::new(scenario.mesh, traffic.response_bytes);
    let _destination = Destination::of_world(&world)?;
    let address = world.proxy_address(0);
    let subject = counted(waypoint_command(&world, address, args.waypoint.clone(), 1)?, address)?;
    let source = Source::of_world(&world, address)?;
    let mut plan = plan(&world, traffic)?;
    (plan.connections, plan.streams, plan.in_flight) = (1, 1, 1);
    plan.limit = Some(requests);
    let load = Load::start(&source, plan)?;
    let began = Instant::now();
    while load.counted().answered() < requests && !load.is_broken() && began.elapsed() < ANSWERED {
        std::thread::sleep(Duration::from_millis(20));
    }
    let answered = load.counted().answered();
    let failures = load.stop()?.failures;
    if answered < requests || !failures.is_empty() {
        return Err(Fault::new(format!("{answered} of {requests} answered, {failures:?}")));
    }
    subject.finish()
}
