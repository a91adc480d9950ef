//! `RESULTS.md`: the tables with everything one needs to doubt or repeat them.
//!
//! The file holds figures of other benches too: only what stands between the two marks is the harness's.

use super::{Report, table};
use std::fmt::Write;

const BEGIN: &str = "<!-- waypoint-bench: begin; run it again rather than edit this -->\n";
const END: &str = "<!-- waypoint-bench: end -->\n";

/// The file with this report in place of the one before; at its end when there is none.
pub(super) fn replace(file: &str, report: &Report) -> String {
    let section = format!("{BEGIN}\n{}\n{END}", render(report));
    let around = file.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    match around {
        Some((before, after)) => format!("{before}{section}{after}"),
        None if file.trim().is_empty() => format!("# Results\n\n{section}"),
        None => format!("{}\n\n{section}", file.trim_end()),
    }
}

/// Its section.
pub(super) fn render(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "## The waypoint beside Envoy\n\n\
         {}, {} cores of {}, Linux {}, load average before the run {}.\n\n```\n{}\n```\n\n{}\n{}",
        machine.date,
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.load,
        report.settings.command,
        table::markdown(&table::summary(report)),
        method(report),
    );
    // Writing to a String cannot fail.
    for section in &report.sections {
        let _ = write!(
            text,
            "\n### {}: {}\n\n{}",
            section.name,
            section.about,
            table::markdown(&table::section(section))
        );
        for row in &section.rows {
            for failure in &row.failures {
                let _ = writeln!(text, "\n**Failed**, {}: {failure}", row.name);
            }
        }
        if let Some(fault) = &section.fault {
            let _ = writeln!(text, "\n**Failed**: {fault}");
        }
    }
    text
}

fn method(report: &Report) -> String {
    let mut versions = Vec::new();
    for row in report.sections.iter().flat_map(|section| &section.rows) {
        let version = format!("- `{}`: {}\n", row.name, row.version);
        if !row.version.is_empty() && !versions.contains(&version) {
            versions.push(version);
        }
    }
    let settings = &report.settings;
    format!(
        "{}\nEach figure is the median over {} rounds of {} s (least..most); ratios are taken within a round, in which each \
         proxy has its turn. CPU and memory are the proxy process's, by /proc; every proxy has one worker. Client, destination \
         and collector run on one thread each on the same machine: where `core busy` is far from 100 %, they were the \
         bottleneck and the proxy had time to sleep. Latencies of open loops count from the time at which a request was due. \
         The waypoint serves Istio's metrics and decides by Istio's rules in every scenario; Envoy has the three listeners of \
         Istio's waypoint, but none of Istio's own filters (statistics, peer metadata), so its figures are a lower bound. \
         `splice` reads nothing of what is inside the tunnels: it is the floor.\n",
        versions.concat(),
        settings.rounds,
        settings.seconds,
    )
}
