//! What a load is, in words.

use crate::cli::LoadArgs;
use crate::figure::{Figure, Goal};
use crate::machine::Machine;
use crate::process::count;
use crate::report::{Report, Row, Section, Settings};
use crate::watched::Watched;
use crate::way;

/// A report of nothing measured yet, with one section.
pub(super) fn report(args: &LoadArgs, watched: &Watched) -> (Report, Section) {
    let report = Report {
        title: "Load".to_owned(),
        notes: vec![notes(args)],
        machine: Machine::here(),
        settings: settings(args),
        sections: Vec::new(),
    };
    (report, Section::new("load", &title(args), goals(watched)))
}

/// What is loaded, in a line.
pub(super) fn title(args: &LoadArgs) -> String {
    let way = way::told(&args.way, args.connections, args.streams);
    let fresh = if args.new_connections {
        ", a new connection for each request"
    } else {
        ""
    };
    let protocol = args.ask.protocol.name();
    format!("{} {way}{fresh}, {protocol} {}", args.way.service, args.ask.path)
}

/// What is told first.
fn goals(watched: &Watched) -> Vec<Goal> {
    let mut goals = vec![Figure::P99Us];
    if watched.is_seen() {
        goals.push(Figure::CpuUs);
    }
    goals.into_iter().map(Goal::told).collect()
}

fn notes(args: &LoadArgs) -> String {
    let how = if args.rate.is_empty() {
        "A closed loop: each connection sends its next request when it has the answer to the last."
    } else {
        "An open loop: latencies count from the time at which a request was due, whether or not it could be sent then."
    };
    format!("{}. {how}", title(args))
}

fn settings(args: &LoadArgs) -> Settings {
    let rates: Vec<_> = args.rate.iter().map(u64::to_string).collect();
    let mut command = format!(
        "waypoint-bench load --service {} --connections {} --streams {} --duration {}",
        args.way.service, args.connections, args.streams, args.duration
    );
    if !rates.is_empty() {
        command.push_str(&format!(" --rate {}", rates.join(",")));
    }
    if args.new_connections {
        command.push_str(" --new-connections");
    }
    for (flag, value, usual) in [
        ("in-flight", args.in_flight, 1),
        ("body-bytes", args.ask.body_bytes, 0),
        ("threads", args.threads, 1),
    ] {
        if value != usual {
            command.push_str(&format!(" --{flag} {value}"));
        }
    }
    Settings {
        rounds: 1,
        seconds: args.duration,
        warm_up: args.warm_up,
        command,
    }
}

/// Less than this share of a rate was not what was wanted.
const REACHED: f64 = 0.95;

/// That a rate was not reached, and what may be the reason.
pub(super) fn shortfall(rate: Option<u64>, row: &Row) -> Option<String> {
    let (rate, answered) = (rate?, row.spread(Figure::PerSecond)?.median);
    (answered < count(rate) * REACHED).then(|| {
        format!(
            "{rate}/s: {answered:.0}/s were answered. Either the waypoint is full, or all streams were busy: more --streams, \
             --in-flight or --threads tell"
        )
    })
}

#[cfg(test)]
mod tests;
