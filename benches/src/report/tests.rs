#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;

fn sample(cpu_us: f64) -> Sample {
    Sample {
        requests: 1000,
        seconds: 0.5,
        cpu_us,
        sleeps: 0.5,
        busy: 0.9,
        neighbours_us: 20.0,
        p50_us: 100.0,
        p99_us: 900.0,
    }
}

fn row(kind: Kind, cpu_us: &[f64]) -> Row {
    Row {
        kind,
        version: "1".into(),
        idle_kib: 10 * 1024 + 512,
        loaded_kib: 20 * 1024,
        samples: cpu_us.iter().copied().map(sample).collect(),
        failures: Vec::new(),
    }
}

fn report(gate: Option<f64>, rows: Vec<Row>) -> Report {
    let Command::Compare(args) = Cli::parse_from(["waypoint-bench", "compare"]).command else {
        panic!()
    };
    let args = CompareArgs { gate, ..*args };
    Report {
        machine: Machine::here(),
        args,
        rows,
    }
}

#[test]
fn ratios_are_taken_within_a_round_before_the_median() {
    // The machine halves its speed in the second round and doubles it in the third.
    let own = row(Kind::Waypoint, &[20.0, 40.0, 11.0]);
    let report = report(None, vec![own.clone(), row(Kind::Envoy, &[50.0, 100.0, 25.0])]);
    let ratio = report.ratio(&own).unwrap();
    assert_eq!(ratio.show(2), "0.40 (0.40..0.44)");
}

#[test]
fn the_gate_counts_the_median_and_needs_both() {
    let rows = |own: &[f64]| vec![row(Kind::Waypoint, own), row(Kind::Envoy, &[50.0, 50.0, 50.0])];
    let verdict = |gate, rows| format!("{:?}", report(gate, rows).verdict());
    let (good, bad) = (format!("{:?}", ExitCode::SUCCESS), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(verdict(Some(0.4), rows(&[20.0, 19.0, 45.0])), good);
    assert_eq!(verdict(Some(0.4), rows(&[21.0, 19.0, 45.0])), bad);
    assert_eq!(verdict(None, rows(&[21.0, 19.0, 45.0])), good);
    assert_eq!(verdict(Some(0.4), vec![row(Kind::Waypoint, &[1.0])]), bad);
    let mut failed = rows(&[1.0, 1.0, 1.0]);
    failed[1].failures.push("503".into());
    assert_eq!(verdict(None, failed), bad);
}

#[test]
fn a_spread_is_the_median_between_its_ends() {
    let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
    assert_eq!(
        spread(&[3.0, 1.0, 2.0]),
        Spread {
            median: 2.0,
            least: 1.0,
            most: 3.0
        }
    );
    assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
    assert_eq!(spread(&[]), Spread::default());
}

#[test]
fn table_and_markdown_hold_every_subject() {
    let report = report(None, vec![row(Kind::Waypoint, &[20.0]), row(Kind::Envoy, &[50.0])]);
    let table = report.table();
    assert!(
        table.contains("20.0 (20.0..20.0)  0.40 (0.40..0.40)  2000 (2000..2000)"),
        "{table}"
    );
    assert!(table.contains("10.5, 20.0"), "{table}");
    let markdown = markdown::render(&report);
    assert!(
        markdown.contains("| waypoint | 20.0 (20.0..20.0) | 0.40 (0.40..0.40) |"),
        "{markdown}"
    );
    let json: serde_json::Value = serde_json::from_str(&json::render(&report)).unwrap();
    assert_eq!(json["subjects"][0]["rounds"][0]["cpu_us_per_request"], 20.0);
}

#[test]
fn the_harness_replaces_its_own_section_of_the_file_only() {
    let own = |figure| report(None, vec![row(Kind::Waypoint, &[figure])]);
    let fresh = markdown::replace("", &own(10.0));
    assert!(fresh.starts_with("# Results\n\n<!-- waypoint-bench"), "{fresh}");
    let (before, after) = ("# Results\n\nOf others.\n\n", "\n## Of others too\n");
    let written = format!("{before}{}{after}", fresh.trim_start_matches("# Results\n\n"));
    let again = markdown::replace(&written, &own(20.0));
    assert!(again.starts_with(before) && again.ends_with(after), "{again}");
    assert!(
        again.contains("20.0 (20.0..20.0)") && !again.contains("10.0 (10.0..10.0)"),
        "{again}"
    );
    assert_eq!(again.matches("<!--").count(), 2, "{again}");
    let foreign = markdown::replace("# Results\n\n## Of others\n", &own(10.0));
    assert!(
        foreign.starts_with("# Results\n\n## Of others\n\n<!-- waypoint-bench"),
        "{foreign}"
    );
}
