//! The table, as cells, and as plain text.

use super::{Report, Row};

pub(super) const HEADINGS: [&str; 9] = [
    "proxy",
    "CPU us/request",
    "of Envoy's",
    "requests/s",
    "p50 us",
    "p99 us",
    "core busy",
    "sleeps/request",
    "RSS MiB idle, loaded",
];

pub(super) fn cells(report: &Report, row: &Row) -> [String; 9] {
    [
        row.kind.name().to_owned(),
        row.spread(|sample| sample.cpu_us).show(1),
        report.ratio(row).map_or_else(|| "-".to_owned(), |ratio| ratio.show(2)),
        row.spread(super::Sample::per_second).show(0),
        row.spread(|sample| sample.p50_us).show(0),
        row.spread(|sample| sample.p99_us).show(0),
        format!("{:.0} %", row.spread(|sample| sample.busy).median * 100.0),
        row.spread(|sample| sample.sleeps).show(2),
        format!("{}, {}", mib(row.idle_kib), mib(row.loaded_kib)),
    ]
}

fn mib(kib: u64) -> String {
    format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024)
}

/// Columns aligned with spaces.
pub(super) fn plain(report: &Report) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(report.rows.iter().map(|row| cells(report, row)));
    let mut widths = [0; 9];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let shown = lines.iter().map(|line| {
        let padded = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    shown.collect::<Vec<_>>().join("\n")
}
