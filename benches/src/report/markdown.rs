//! `RESULTS.md`: the tables with everything one needs to doubt or repeat them.
//!
//! The file holds figures of other benches too: only what stands between the two marks is the harness's.

use super::remark::Remark;
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
        "## {}\n\n{}, {} cores of {}, Linux {}, load average before the run {}.\n\n```\n{}\n```\n\n{}\n{}",
        report.title,
        machine.date,
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.load,
        report.settings.command,
        table::markdown(&table::of(report)),
        notes(report),
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
        for remark in section.remarks() {
            let _ = match remark {
                Remark::Failure(failure) => writeln!(text, "\n**Failed**, {failure}"),
                Remark::Doubt(doubt) => writeln!(text, "\n{doubt}."),
            };
        }
    }
    text
}

/// What ran, and how it was measured.
fn notes(report: &Report) -> String {
    let versions = report.versions();
    let versions = versions
        .iter()
        .map(|(name, version)| format!("- `{name}`: {version}\n"));
    let notes = report.notes.iter().map(|note| format!("\n{note}\n"));
    versions.chain(notes).collect()
}
