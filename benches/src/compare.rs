//! `compare`: scenarios, one after another; in each, several proxies, and rounds in which each has its turn.
//!
//! Rounds are interleaved because machines change while one measures: a ratio is taken within a round, and the median
//! over rounds is what counts. The order turns by one each round, so that nobody always comes after the same one.

mod memory;
mod scaling;
mod traffic;

pub(crate) use traffic::plan;

use crate::cli::CompareArgs;
use crate::fault::Fault;
use crate::report::{Report, Row, Section};
use crate::scenario::{self, Kind, Scenario};
use crate::stop::Stop;
use crate::subject::{Contender, Which};
use std::process::ExitCode;

/// Measures, prints, writes.
pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode, Fault> {
    if args.scenario.iter().any(|name| name == "list") {
        for scenario in scenario::all() {
            println!("{:<14}{}", scenario.name, scenario.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::of_comparison(args);
    let mut scenarios = wanted(args)?;
    scenarios.retain(|scenario| !contenders(scenario, args).is_empty());
    if scenarios.is_empty() {
        return Err(Fault::new("no scenario is for what is in --only"));
    }
    eprintln!("{} scenarios, some {} min", scenarios.len(), minutes(&scenarios, args));
    let stop = Stop::watch()?;
    for scenario in scenarios.into_iter().map(|scenario| adjusted(scenario, args)) {
        eprintln!("\n{}: {}", scenario.name, scenario.about);
        let section = measure(&scenario, args, &stop);
        println!("\n{}", section.text());
        report.sections.push(section);
        // After each, so that what was measured is not lost when the next one is stopped.
        report.write(&args.files)?;
        if stop.is_told() {
            break;
        }
    }
    println!("\n{}", report.summary());
    Ok(report.verdict(args.gate))
}

/// What all turns take at least.
fn minutes(scenarios: &[Scenario], args: &CompareArgs) -> u64 {
    let turns: usize = scenarios.iter().map(|scenario| contenders(scenario, args).len()).sum();
    let seconds = args.seconds.saturating_add(args.warm_up).saturating_mul(args.rounds);
    seconds.saturating_mul(turns as u64).div_ceil(60)
}

fn wanted(args: &CompareArgs) -> Result<Vec<Scenario>, Fault> {
    if args.scenario.iter().any(|name| name == "all") {
        return Ok(scenario::all());
    }
    let find = |name: &String| {
        scenario::find(name).ok_or_else(|| Fault::new(format!("no scenario {name}: --scenario list tells them")))
    };
    args.scenario.iter().map(find).collect()
}

/// With what the command line wants otherwise.
fn adjusted(mut scenario: Scenario, args: &CompareArgs) -> Scenario {
    let size = |wanted: Option<u64>, own| wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(own);
    let mesh = &mut scenario.mesh;
    mesh.routes = size(args.routes, mesh.routes);
    mesh.policy_rules = size(args.policy_rules, mesh.policy_rules);
    if let Kind::Traffic(traffic) | Kind::Disturbed(traffic, _) | Kind::Scaling(traffic) = &mut scenario.kind {
        traffic.request_bytes = size(args.request_bytes, traffic.request_bytes);
        traffic.response_bytes = size(args.response_bytes, traffic.response_bytes);
        traffic.connections = args.connections.unwrap_or(traffic.connections);
        traffic.streams = args.streams.unwrap_or(traffic.streams);
        traffic.rate = args.rate.or(traffic.rate);
    }
    scenario
}

/// What every kind of measurement needs.
struct Task<'a> {
    scenario: &'a Scenario,
    contenders: &'a [Contender],
    args: &'a CompareArgs,
    stop: &'a Stop,
}

impl Task<'_> {
    /// Nothing more is measured when somebody wants to end.
    fn check(&self) -> Result<(), Fault> {
        if self.stop.is_told() {
            return Err(Fault::new("interrupted"));
        }
        Ok(())
    }
}

/// A fault in one scenario does not keep the others from being measured.
fn measure(scenario: &Scenario, args: &CompareArgs, stop: &Stop) -> Section {
    let contenders = contenders(scenario, args);
    let mut section = Section {
        rows: contenders.iter().map(|contender| Row::new(&contender.name)).collect(),
        ..Section::new(scenario.name, scenario.about, scenario.goals.to_vec())
    };
    let task = Task {
        scenario,
        contenders: &contenders,
        args,
        stop,
    };
    let done = match scenario.kind {
        Kind::Traffic(traffic) => traffic::run(&task, traffic, None, &mut section.rows),
        Kind::Disturbed(traffic, disturbance) => traffic::run(&task, traffic, Some(disturbance), &mut section.rows),
        Kind::Scaling(traffic) => scaling::run(&task, traffic, &mut section),
        Kind::Memory => memory::of_traffic(&task, &mut section.rows),
        Kind::MemoryOfRoutes => memory::of_routes(&task, &mut section.rows),
    };
    section.fault = done.err().map(|fault| fault.to_string());
    section
}

/// Those of the scenario that are wanted, and everybody's own; in a scenario of scaling, each a second time.
fn contenders(scenario: &Scenario, args: &CompareArgs) -> Vec<Contender> {
    let known = scenario.subjects.iter().filter(|how| args.only.contains(how));
    let templates = args.subject.iter().cloned().map(Which::Template);
    let once = known.copied().map(Which::Known).chain(templates);
    let once = once.map(|which| Contender::new(which, args.programs.workers));
    if matches!(scenario.kind, Kind::Scaling(_)) {
        let twice = |contender: Contender| {
            let doubled = contender.doubled();
            std::iter::once(contender).chain(doubled)
        };
        return once.flat_map(twice).collect();
    }
    once.collect()
}
