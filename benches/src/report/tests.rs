#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::cli::{Cli, Command};
use crate::figure::{Bound, Figure, Goal, Sample};
use crate::load::Tally;
use clap::Parser;
use hdrhistogram::Histogram;
use std::time::Duration;

fn row(name: &str, cpu_us: &[f64]) -> Row {
    let mut row = Row::new(name);
    row.version = format!("{name} 1");
    (row.idle_mib, row.loaded_mib) = (Some(10.5), Some(20.0));
    for cpu_us in cpu_us {
        let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
        latencies.record(1_000_000).unwrap();
        latencies.record(3_000_000).unwrap();
        let sample = [(Figure::CpuUs, *cpu_us), (Figure::P99Us, 900.0), (Figure::Busy, 0.9)];
        row.add(Sample::from(sample), Tally::of(latencies)).unwrap();
    }
    row
}

fn section(goals: &[Goal], rows: Vec<Row>) -> Section {
    Section {
        rows,
        ..Section::new("http1-1k", "about", goals.to_vec())
    }
}

fn report(sections: Vec<Section>) -> Report {
    let Command::Compare(args) = Cli::parse_from(["waypoint-bench", "compare"]).command else {
        panic!()
    };
    Report {
        sections,
        ..Report::of_comparison(&args)
    }
}

const SHARE: Goal = Goal::share(Figure::CpuUs, 0.4);

#[test]
fn ratios_are_taken_within_a_round_before_the_median() {
    // The machine halves its speed in the second round and doubles it in the third.
    let rows = vec![row("waypoint", &[20.0, 40.0, 11.0]), row("envoy", &[50.0, 100.0, 25.0])];
    let section = section(&[SHARE], rows);
    let ratio = section.ratio(&section.rows[0], Figure::CpuUs).unwrap();
    assert_eq!(ratio.show(2), "0.40 (0.40..0.44)");
}

#[test]
fn a_goal_is_met_missed_or_unknown() {
    let outcome = |goal, rows| section(&[goal], rows).verdicts()[0].outcome;
    let rows = |own: &[f64]| vec![row("waypoint", own), row("envoy", &[50.0, 50.0, 50.0])];
    assert_eq!(outcome(SHARE, rows(&[20.0, 19.0, 45.0])), Outcome::Met);
    assert_eq!(outcome(SHARE, rows(&[21.0, 19.0, 45.0])), Outcome::Missed);
    assert_eq!(
        outcome(SHARE, rows(&[20.2, 19.0, 45.0])),
        Outcome::Met,
        "0.404 is shown as 0.40"
    );
    assert_eq!(outcome(SHARE, vec![row("waypoint", &[1.0])]), Outcome::Unknown);
    assert_eq!(outcome(Goal::at_most(Figure::CpuUs, 20.0), rows(&[20.0])), Outcome::Met);
    assert_eq!(
        outcome(Goal::at_most(Figure::CpuUs, 19.0), rows(&[20.0])),
        Outcome::Missed
    );
    assert_eq!(outcome(Goal::told(Figure::CpuUs), rows(&[20.0])), Outcome::Told);
    assert_eq!(outcome(Goal::told(Figure::CpuUs), vec![]), Outcome::Told);
}

#[test]
fn a_gain_is_met_from_below_and_can_be_doubted() {
    let goal = Goal::at_least(Figure::CpuUs, 1.8);
    let of = |own: &[f64]| section(&[goal], vec![row("waypoint", own), row("envoy", &[2.0])]);
    let outcome = |section: &Section| section.verdicts()[0].outcome;
    assert_eq!(outcome(&of(&[1.8])), Outcome::Met);
    let mut short = of(&[1.7]);
    assert_eq!(outcome(&short), Outcome::Missed);
    assert!(!short.verdicts()[0].is_within(1.0) && short.verdicts()[0].is_within(1.1));
    short.doubts.push(Doubt {
        figure: Figure::CpuUs,
        why: "two cores".into(),
    });
    assert_eq!(outcome(&short), Outcome::Doubtful);
    assert!(short.verdicts()[0].is_within(1.0), "it does not fail a gate");
    let text = short.text();
    assert!(text.contains("target 1.8 at least: not conclusive"), "{text}");
    assert!(text.contains("CPU us/request, not conclusive: two cores"), "{text}");
    let share = |own: &[f64]| {
        let rows = vec![row("waypoint", own), row("envoy", &[2.0])];
        outcome(&section(&[Goal::share_at_least(Figure::CpuUs, 0.9)], rows))
    };
    assert_eq!((share(&[1.8]), share(&[1.7])), (Outcome::Met, Outcome::Missed));
    let report = report(vec![short]);
    assert!(markdown::render(&report).contains("not conclusive: two cores."));
    assert!(html::render(&report).contains("<p class=note>CPU us/request, not conclusive: two cores</p>"));
    assert!(report.chart().is_none(), "more is better: it is no share");
}

#[test]
fn the_gate_allows_a_factor_and_no_failure() {
    let (good, bad) = (format!("{:?}", ExitCode::SUCCESS), format!("{:?}", ExitCode::FAILURE));
    let verdict = |gate, own: &[f64]| {
        let rows = vec![row("waypoint", own), row("envoy", &[50.0])];
        format!("{:?}", report(vec![section(&[SHARE], rows)]).verdict(gate))
    };
    assert_eq!(verdict(None, &[45.0]), good);
    assert_eq!(verdict(Some(1.0), &[20.0]), good);
    assert_eq!(verdict(Some(1.0), &[25.0]), bad);
    assert_eq!(verdict(Some(1.25), &[25.0]), good);
    let unmeasured = report(vec![section(&[SHARE], vec![row("waypoint", &[1.0])])]);
    assert_eq!(format!("{:?}", unmeasured.verdict(Some(1.0))), bad);
    let mut failed = report(vec![section(&[SHARE], vec![row("waypoint", &[1.0])])]);
    failed.sections[0].rows[0].failures.push("503 (1)".into());
    assert_eq!(format!("{:?}", failed.verdict(None)), bad);
    assert!(failed.sections[0].text().contains("FAILED waypoint: 503 (1)"));
    let mut broken = report(vec![section(&[SHARE], vec![])]);
    broken.sections[0].fault = Some("no envoy".into());
    assert_eq!(format!("{:?}", broken.verdict(None)), bad);
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
    assert_eq!(spread(&[1.0, 2.0]).show(1), "1.5 (1.0..2.0)");
    assert_eq!(spread(&[1.01, 1.02]).show(1), "1.0");
}

#[test]
fn tables_hold_every_subject_with_its_ratio_and_target() {
    let report = report(vec![section(
        &[SHARE],
        vec![row("waypoint", &[20.0]), row("envoy", &[50.0])],
    )]);
    let text = report.sections[0].text();
    assert!(text.contains("20.0            0.40        "), "{text}");
    assert!(text.contains("10.5, 20.0"), "{text}");
    assert!(
        text.contains("http1-1k: 0.40 of envoy's CPU us/request, target 0.4: met"),
        "{text}"
    );
    let markdown = markdown::render(&report);
    let wanted = "| http1-1k | CPU us/request | 20.0 | 50.0 | 0.40 | 0.4 | met |";
    assert!(markdown.contains(wanted), "{markdown}");
    assert!(markdown.contains("| waypoint | 20.0 | 0.40 |"), "{markdown}");
}

#[test]
fn the_json_is_the_report() {
    let goals = [SHARE, Goal::at_most(Figure::IdleMib, 14.0), Goal::told(Figure::P99Us)];
    let report = report(vec![section(
        &goals,
        vec![row("waypoint", &[20.0]), row("envoy", &[50.0])],
    )]);
    let json = report.json().unwrap();
    let again: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(again.json().unwrap(), json);
    assert_eq!(again.sections[0].goals[1].bound, Bound::AtMost(14.0));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["sections"][0]["rows"][0]["samples"][0]["cpu_us"], 20.0);
}

#[test]
fn percentiles_are_of_all_rounds() {
    let row = row("waypoint", &[1.0, 2.0]);
    let at = |percent: f64| row.percentiles.iter().find(|(p, _)| *p == percent).unwrap().1;
    let close = |found: f64, wanted: Duration| (found / 1e6 - wanted.as_secs_f64()).abs() < 1e-5;
    assert!(close(at(50.0), Duration::from_millis(1)), "{:?}", row.percentiles);
    assert!(close(at(75.0), Duration::from_millis(3)), "{:?}", row.percentiles);
}

#[test]
fn the_harness_replaces_its_own_section_of_the_file_only() {
    let own = |figure| report(vec![section(&[SHARE], vec![row("waypoint", &[figure])])]);
    let fresh = markdown::replace("", &own(10.0));
    assert!(fresh.starts_with("# Results\n\n<!-- waypoint-bench"), "{fresh}");
    let (before, after) = ("# Results\n\nOf others.\n\n", "\n## Of others too\n");
    let written = format!("{before}{}{after}", fresh.trim_start_matches("# Results\n\n"));
    let again = markdown::replace(&written, &own(20.0));
    assert!(again.starts_with(before) && again.ends_with(after), "{again}");
    assert!(again.contains("| 20.0 |") && !again.contains("| 10.0 |"), "{again}");
    assert_eq!(again.matches("<!--").count(), 2, "{again}");
    let foreign = markdown::replace("# Results\n\n## Of others\n", &own(10.0));
    assert!(
        foreign.starts_with("# Results\n\n## Of others\n\n<!-- waypoint-bench"),
        "{foreign}"
    );
}

#[test]
fn the_page_holds_everything_and_fetches_nothing() {
    let goals = [SHARE, Goal::at_most(Figure::P99Us, 14.0)];
    let rows = vec![
        row("waypoint", &[20.0, 19.0]),
        row("envoy", &[50.0, 51.0]),
        row("<other>", &[9.0]),
    ];
    let mut report = report(vec![section(&goals, rows)]);
    report.sections[0].rows[0]
        .failures
        .push("<script>alert(1)</script>".into());
    let page = html::render(&report);
    for wanted in [
        "1 targets met",
        "1 missed",
        "latency, by percentile",
        "p99.99",
        "CPU us/request",
        "&lt;other&gt;",
    ] {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    let own = page.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["<script", "<link", "http://", "https://", "url(", "@import"] {
        assert!(!own.contains(foreign), "{foreign} in {page}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn a_load_is_drawn_by_time_with_its_failures() {
    let moment = |at: f64, failed: f64| Moment {
        at,
        seconds: 1,
        wanted: Some(100),
        per_second: 90.0,
        p50_us: 1_000.0,
        p99_us: 2_000.0,
        failed_per_second: failed,
    };
    let mut load = section(&[Goal::told(Figure::P99Us)], vec![row("100/s", &[1.0])]);
    assert!(plot::timeline(&load).is_none());
    load.timeline = vec![moment(1.0, 0.0), moment(2.0, 3.0), moment(3.0, 0.0)];
    let drawn = plot::timeline(&load).unwrap();
    assert_eq!(drawn.matches("<polyline").count(), 4, "{drawn}");
    assert_eq!(
        drawn.matches("#f6d9c2").count(),
        2,
        "one second, in both panels: {drawn}"
    );
    let report = report(vec![load]);
    assert!(html::render(&report).contains("<title>http1-1k by time</title>"));
    let again: Report = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(again.sections[0].timeline, report.sections[0].timeline);
}

#[test]
fn the_chart_shows_ours_the_target_and_the_figures() {
    let both = vec![row("waypoint", &[20.0]), row("envoy", &[50.0])];
    let chart = report(vec![section(&[SHARE], both)]).chart().unwrap();
    // From 300 to 670 is the yardstick: 0.4 of that is the bar's end, and the target.
    assert!(
        chart.contains(r##"width="148.0" height="24.0" rx="3" fill="#0c8f7a""##),
        "{chart}"
    );
    assert!(
        chart.contains(r#"x1="448.0""#) && chart.contains("20.0 of 50.0"),
        "{chart}"
    );
    assert!(
        report(vec![section(&[SHARE], vec![row("waypoint", &[20.0])])])
            .chart()
            .is_none()
    );
}
