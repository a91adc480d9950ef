//! Every figure of every round, for machines.

use super::{Report, Row, Sample};
use serde_json::{Value, json};

pub(super) fn render(report: &Report) -> String {
    let machine = &report.machine;
    let args = &report.args;
    let value = json!({
        "date": machine.date,
        "machine": { "cores": machine.cores, "cpu": machine.cpu, "kernel": machine.kernel, "load_average": machine.load },
        "load": { "rounds": args.rounds, "seconds": args.seconds, "warm_up_seconds": args.warm_up,
            "connections": args.connections, "streams": args.streams },
        "subjects": report.rows.iter().map(|row| subject(report, row)).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn subject(report: &Report, row: &Row) -> Value {
    json!({
        "name": row.kind.name(), "version": row.version,
        "cpu_ratio": report.ratio(row).map(|ratio| json!({
            "median": ratio.median, "min": ratio.least, "max": ratio.most })),
        "rss_idle_bytes": row.idle_kib * 1024, "rss_loaded_bytes": row.loaded_kib * 1024,
        "failures": row.failures,
        "rounds": row.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

fn sample(sample: &Sample) -> Value {
    json!({
        "requests": sample.requests, "seconds": sample.seconds, "requests_per_second": sample.per_second(),
        "cpu_us_per_request": sample.cpu_us, "core_busy": sample.busy, "sleeps_per_request": sample.sleeps,
        "neighbours_cpu_us_per_request": sample.neighbours_us, "p50_us": sample.p50_us, "p99_us": sample.p99_us,
    })
}
