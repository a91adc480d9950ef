//! `compare`: scenarios, one after another; in each, several proxies, and rounds in which each has its turn.
//!
//! Rounds are interleaved because machines change while one measures: a ratio is taken within a round, and the median
//! over rounds is what counts. The order turns by one each round, so that nobody always comes after the same one.

mod memory;
mod traffic;

pub(crate) use traffic::plan;

use crate::cli::CompareArgs;
use crate::fault::Fault;
use crate::report::{Report, Row, Section};
use crate::scenario::{self, Kind, Scenario};
use crate::subject::Which;
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
    scenarios.retain(|scenario| !subjects(scenario, args).is_empty());
    if scenarios.is_empty() {
        return Err(Fault::new("no scenario is for what is in --only"));
    }
    for scenario in scenarios.into_iter().map(|scenario| adjusted(scenario, args)) {
        eprintln!("\n{}: {}", scenario.name, scenario.about);
        let section = measure(&scenario, args);
        println!("\n{}", section.text());
        report.sections.push(section);
        // After each, so that what was measured is not lost when the next one is stopped.
        report.write(&args.files)?;
    }
    println!("\n{}", report.summary());
    Ok(report.verdict(args.gate))
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
    if let Kind::Traffic(traffic) | Kind::Disturbed(traffic, _) = &mut scenario.kind {
        traffic.request_bytes = size(args.request_bytes, traffic.request_bytes);
        traffic.response_bytes = size(args.response_bytes, traffic.response_bytes);
        traffic.connections = args.connections.unwrap_or(traffic.connections);
        traffic.streams = args.streams.unwrap_or(traffic.streams);
        traffic.rate = args.rate.or(traffic.rate);
    }
    scenario
}

/// A fault in one scenario does not keep the others from being measured.
fn measure(scenario: &Scenario, args: &CompareArgs) -> Section {
    let subjects = subjects(scenario, args);
    let mut section = Section {
        name: scenario.name.to_owned(),
        about: scenario.about.to_owned(),
        goals: scenario.goals.to_vec(),
        rows: subjects.iter().map(|which| Row::new(which.name())).collect(),
        fault: None,
    };
    let done = match scenario.kind {
        Kind::Traffic(traffic) => traffic::run(scenario, traffic, None, &subjects, args, &mut section.rows),
        Kind::Disturbed(traffic, disturbance) => {
            traffic::run(scenario, traffic, Some(disturbance), &subjects, args, &mut section.rows)
        }
        Kind::Memory => memory::of_traffic(scenario, &subjects, args, &mut section.rows),
        Kind::MemoryOfRoutes => memory::of_routes(scenario, &subjects, args, &mut section.rows),
    };
    section.fault = done.err().map(|fault| fault.to_string());
    section
}

/// Those of the scenario that are wanted, and everybody's own.
fn subjects(scenario: &Scenario, args: &CompareArgs) -> Vec<Which> {
    let known = scenario.subjects.iter().filter(|how| args.only.contains(how));
    let templates = args.subject.iter().cloned().map(Which::Template);
    known.copied().map(Which::Known).chain(templates).collect()
}
