//! The tables, as cells, and as plain text.

use super::{Report, Row, Section, Verdict};
use crate::figure::{Bound, Figure};

/// Lines of cells; the first one is the heading.
pub(super) type Table = Vec<Vec<String>>;

/// What is told of every subject where it was measured, after the goals' own figures.
const FIGURES: [Figure; 9] = [
    Figure::CpuUs,
    Figure::PerSecond,
    Figure::P50Us,
    Figure::P99Us,
    Figure::LongestUs,
    Figure::Sleeps,
    Figure::Changes,
    Figure::Shifted,
    Figure::LoadedMib,
];

/// What a report begins with.
pub(super) fn of(report: &Report) -> Table {
    let mut goals = report.sections.iter().flat_map(|section| &section.goals);
    if goals.any(|goal| goal.bound != Bound::Told) {
        summary(report)
    } else {
        overview(report)
    }
}

/// Every goal of every scenario.
pub(super) fn summary(report: &Report) -> Table {
    let headings = ["scenario", "", "waypoint", "envoy", "of Envoy's", "target", ""];
    let mut table = vec![headings.map(str::to_owned).to_vec()];
    table.extend(
        report
            .sections
            .iter()
            .flat_map(Section::verdicts)
            .map(|verdict| goal(&verdict)),
    );
    table
}

/// A line for each step of a load.
pub(super) fn overview(report: &Report) -> Table {
    const SHOWN: [Figure; 10] = [
        Figure::PerSecond,
        Figure::P50Us,
        Figure::P99Us,
        Figure::LongestUs,
        Figure::CpuUs,
        Figure::Busy,
        Figure::IdleMib,
        Figure::ConnectionKib,
        Figure::StreamKib,
        Figure::LoadedMib,
    ];
    let rows = || report.rows();
    let mut figures = SHOWN.to_vec();
    figures.retain(|figure| rows().any(|row| row.spread(*figure).is_some()));
    let mut headings = vec!["load".to_owned()];
    headings.extend(figures.iter().map(|figure| figure.heading().to_owned()));
    headings.push("failed".to_owned());
    let mut table = vec![headings];
    for row in rows() {
        let mut cells = vec![row.name.clone()];
        for figure in &figures {
            let median = row.spread(*figure).map(|spread| spread.median);
            cells.push(median.map_or_else(|| "-".to_owned(), |median| format!("{median:.*}", figure.decimals())));
        }
        cells.push(if row.failures.is_empty() {
            "-".to_owned()
        } else {
            row.failures.join(", ")
        });
        table.push(cells);
    }
    table
}

fn goal(verdict: &Verdict) -> Vec<String> {
    let figure = verdict.goal.figure;
    let show =
        |spread: Option<super::Spread>, decimals| spread.map_or_else(|| "-".to_owned(), |spread| spread.show(decimals));
    vec![
        verdict.scenario.clone(),
        figure.heading().to_owned(),
        show(verdict.own, figure.decimals()),
        show(verdict.other, figure.decimals()),
        show(verdict.ratio, 2),
        verdict.target(),
        verdict.outcome.word().to_owned(),
    ]
}

/// All subjects of one scenario.
pub(super) fn section(section: &Section) -> Table {
    let goals: Vec<_> = section.goals.iter().map(|goal| goal.figure).collect();
    let mut figures = goals.clone();
    figures.extend(FIGURES.into_iter().filter(|figure| !goals.contains(figure)));
    figures.retain(|figure| section.rows.iter().any(|row| row.spread(*figure).is_some()));
    let mut headings = vec!["proxy".to_owned()];
    for figure in &figures {
        headings.push(figure.heading().to_owned());
        if is_compared(section, *figure) {
            headings.push("of Envoy's".to_owned());
        }
    }
    let has_memory = section.rows.iter().any(|row| row.loaded_mib.is_some());
    if has_memory {
        headings.extend(["core busy", "RSS MiB idle, loaded"].map(str::to_owned));
    }
    let mut table = vec![headings];
    table.extend(section.rows.iter().map(|row| cells(section, row, &figures, has_memory)));
    table
}

fn is_compared(section: &Section, figure: Figure) -> bool {
    section
        .goals
        .iter()
        .any(|goal| goal.figure == figure && !matches!(goal.bound, Bound::AtLeast(_) | Bound::Told))
}

fn cells(section: &Section, row: &Row, figures: &[Figure], has_memory: bool) -> Vec<String> {
    let none = || "-".to_owned();
    let mut cells = vec![row.name.clone()];
    for figure in figures {
        cells.push(
            row.spread(*figure)
                .map_or_else(none, |spread| spread.show(figure.decimals())),
        );
        if is_compared(section, *figure) {
            cells.push(section.ratio(row, *figure).map_or_else(none, |ratio| ratio.show(2)));
        }
    }
    if has_memory {
        let busy = row.spread(Figure::Busy);
        cells.push(busy.map_or_else(none, |busy| format!("{:.0} %", busy.median * 100.0)));
        let mib = |mib: Option<f64>| mib.map_or_else(none, |mib| format!("{mib:.1}"));
        cells.push(format!("{}, {}", mib(row.idle_mib), mib(row.loaded_mib)));
    }
    cells
}

/// Columns aligned with spaces.
pub(super) fn plain(table: &Table) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in table {
        widths.resize(line.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let shown = table.iter().map(|line| {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// As Markdown.
pub(super) fn markdown(table: &Table) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut lines = table.iter();
    let mut text = String::new();
    if let Some(headings) = lines.next() {
        text.push_str(&row(headings));
        text.push_str(&row(&vec!["---".to_owned(); headings.len()]));
    }
    lines.for_each(|line| text.push_str(&row(line)));
    text
}
