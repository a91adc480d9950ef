//! `RESULTS.md`: the table with everything one needs to doubt or repeat it.
//!
//! The file holds figures of other benches too: only what stands between the two marks is the harness's.

use super::{Report, table};
use crate::cli::CompareArgs;
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
    let (machine, args) = (&report.machine, &report.args);
    let mut text = format!(
        "## CPU of the proxy per HTTP/1.1 request, 1 KiB answers, two tunnels\n\n\
         {}, {} cores of {}, Linux {}, load average before the run {}.\n\n```\n{}\n```\n\n",
        machine.date,
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.load,
        command(args),
    );
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    text.push_str(&row(&table::HEADINGS.map(str::to_owned)));
    text.push_str(&row(&table::HEADINGS.map(|_| "---".to_owned())));
    for subject in &report.rows {
        text.push_str(&row(&table::cells(report, subject)));
    }
    text.push_str("\nMeasured:\n\n");
    for subject in &report.rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- `{}`: {}", subject.kind.name(), subject.version);
    }
    let neighbours = report.rows.iter().map(|row| {
        format!(
            "{} {:.1}",
            row.kind.name(),
            row.spread(|sample| sample.neighbours_us).median
        )
    });
    let _ = write!(
        text,
        "\nEach figure is the median over {} rounds (least..most); ratios are taken within a round. One client mTLS \
         connection per {} CONNECT streams, each a keep-alive connection in a closed loop; the destination answers \
         inside its tunnel. Client and destination run on one thread each on the same machine and cost (us of CPU per \
         request): {}. Where `core busy` is far from 100 %, the neighbours were the bottleneck and the proxy had time \
         to sleep. Every proxy has one worker. The waypoint serves Istio's metrics; Envoy has the three listeners of \
         Istio's waypoint, but none of Istio's own filters (statistics, peer metadata), so its figure is a lower bound. \
         `splice` reads nothing of what is inside the tunnels: it is the floor.\n",
        args.rounds,
        args.streams.div_ceil(args.connections),
        neighbours.collect::<Vec<_>>().join(", "),
    );
    text
}

/// What to type to get the like. Paths of this machine are left out.
fn command(args: &CompareArgs) -> String {
    let names: Vec<_> = args.only.iter().map(|kind| kind.name()).collect();
    format!(
        "waypoint-bench compare --rounds {} --seconds {} --warm-up {} --requests {} --connections {} --streams {} --only {}",
        args.rounds,
        args.seconds,
        args.warm_up,
        args.requests,
        args.connections,
        args.streams,
        names.join(",")
    )
}
