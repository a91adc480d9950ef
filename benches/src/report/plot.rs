//! The pictures: shares of the yardstick with their targets, figures by round, latencies by percentile, a load by time.

mod latencies;
mod timeline;

pub(super) use latencies::latencies;
pub(super) use timeline::timeline;

use super::svg::{Anchor, FAINT, Ink, Picture, TEXT};
use super::{Outcome, Report, Row, Section, Spread, Verdict};
use crate::figure::{Bound, Figure};
use crate::subject::{ENVOY, WAYPOINT};

const WIDTH: f64 = 860.0;
const NORMAL: Ink = Ink {
    size: 13.0,
    colour: TEXT,
    is_bold: false,
    anchor: Anchor::Start,
};
const SMALL: Ink = Ink {
    size: 11.0,
    colour: FAINT,
    ..NORMAL
};
const MET: &str = "#0c8f7a";
const MISSED: &str = "#d9730d";
const TARGET: &str = "#8a1c4a";
const YARDSTICK: &str = "#edf0f4";
/// Of subjects that are neither ours nor the yardstick, in their order.
const OTHERS: [&str; 4] = ["#9aa5b1", "#b5832a", "#7a5195", "#3f6fb5"];

/// Ours beside the yardstick in every goal that has both; None when there is none.
pub(super) fn shares(report: &Report) -> Option<String> {
    let lines: Vec<_> = report
        .sections
        .iter()
        .flat_map(|section| section.verdicts().into_iter().map(move |verdict| (section, verdict)))
        .filter(|(_, verdict)| verdict.ratio.is_some() && is_a_cost(verdict.goal.bound))
        .collect();
    if lines.is_empty() {
        return None;
    }
    const ROW: f64 = 40.0;
    const TOP: f64 = 64.0;
    const LEFT: f64 = 300.0;
    const PLOT: f64 = 370.0;
    // What is beyond twice the yardstick's ends at the edge: one outlier must not flatten the rest.
    let medians = lines.iter().filter_map(|(_, verdict)| Some(verdict.ratio?.median));
    let most = medians.fold(1.0, f64::max).min(2.0);
    let at = |share: f64| LEFT + PLOT * (share / most).clamp(0.0, 1.0);
    let bottom = rows(lines.len()) * ROW + TOP;
    let mut picture = Picture::new(WIDTH, bottom + 34.0);
    picture.rect([0.0, 0.0, WIDTH, bottom + 34.0], "#ffffff", 8.0);
    let heading = Ink {
        size: 16.0,
        is_bold: true,
        ..NORMAL
    };
    picture.text(
        [20.0, 30.0],
        "What the waypoint takes, as a share of what Envoy takes",
        heading,
    );
    for (number, (section, verdict)) in lines.iter().enumerate() {
        share(&mut picture, rows(number) * ROW + TOP, section, verdict, &at);
    }
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]
        .into_iter()
        .filter(|tick| *tick <= most)
    {
        let ink = Ink {
            anchor: Anchor::Middle,
            ..SMALL
        };
        picture.text([at(tick), TOP - 8.0], &format!("{tick}"), ink);
    }
    picture.line([at(1.0), TOP - 2.0], [at(1.0), bottom], FAINT, 1.0);
    legend(&mut picture, bottom + 20.0, report);
    Some(picture.finish("The waypoint's cost as a share of Envoy's"))
}

/// One goal: what it is, a bar with the spread of the rounds, the target, the figures.
fn share(picture: &mut Picture, y: f64, section: &Section, verdict: &Verdict, at: &dyn Fn(f64) -> f64) {
    let Some(ratio) = verdict.ratio else { return };
    let middle = y + 16.0;
    picture.text([20.0, middle - 1.0], &section.about_short(), NORMAL);
    picture.text([20.0, middle + 14.0], verdict.goal.figure.heading(), SMALL);
    picture.rect([at(0.0), y + 4.0, at(1.0) - at(0.0), 24.0], YARDSTICK, 3.0);
    let colour = if verdict.outcome == Outcome::Met { MET } else { MISSED };
    picture.rect([at(0.0), y + 4.0, at(ratio.median) - at(0.0), 24.0], colour, 3.0);
    picture.line([at(ratio.least), middle], [at(ratio.most), middle], TEXT, 1.5);
    if let Some(target) = target_share(verdict) {
        picture.line([at(target), y], [at(target), y + 32.0], TARGET, 2.5);
    }
    let figure = verdict.goal.figure;
    let show = |spread: Option<Spread>| {
        spread.map_or_else(String::new, |spread| format!("{:.*}", figure.decimals(), spread.median))
    };
    let ink = Ink {
        is_bold: true,
        ..NORMAL
    };
    picture.text([690.0, middle - 1.0], &format!("{:.2}", ratio.median), ink);
    picture.text(
        [690.0, middle + 14.0],
        &format!("{} of {}", show(verdict.own), show(verdict.other)),
        SMALL,
    );
}

/// The target on the same scale.
fn target_share(verdict: &Verdict) -> Option<f64> {
    match verdict.goal.bound {
        Bound::Share(share) => Some(share),
        Bound::AtMost(limit) => Some(limit / verdict.other?.median),
        Bound::AtLeast(_) | Bound::ShareAtLeast(_) | Bound::Told => None,
    }
}

/// Of gains, more is better: they are not in the picture.
fn is_a_cost(bound: Bound) -> bool {
    matches!(bound, Bound::Share(_) | Bound::AtMost(_))
}

fn legend(picture: &mut Picture, y: f64, report: &Report) {
    let mut x = 20.0;
    for (colour, text) in [
        (MET, "target met"),
        (MISSED, "missed"),
        (YARDSTICK, "Envoy"),
        (TARGET, "target"),
    ] {
        picture.rect([x, y - 9.0, 10.0, 10.0], colour, 2.0);
        picture.text([x + 15.0, y], text, SMALL);
        x += 92.0;
    }
    let machine = &report.machine;
    let ink = Ink {
        anchor: Anchor::End,
        ..SMALL
    };
    let where_and_when = format!("{}, {} cores of {}", machine.date, machine.cores, machine.cpu);
    picture.text([WIDTH - 20.0, y], &where_and_when, ink);
}

/// A figure of every subject: its median as a bar, its rounds as dots. None when nobody has it.
pub(super) fn bars(section: &Section, figure: Figure) -> Option<String> {
    let measured: Vec<_> = section
        .rows
        .iter()
        .filter_map(|row| Some((row, row.spread(figure)?)))
        .collect();
    let most = measured.iter().map(|(_, spread)| spread.most).fold(0.0, f64::max);
    if measured.is_empty() || most <= 0.0 {
        return None;
    }
    const ROW: f64 = 34.0;
    let at = |value: f64| 110.0 + 250.0 * value / most;
    let height = rows(measured.len()) * ROW + 34.0;
    let mut picture = Picture::new(430.0, height);
    let heading = Ink {
        is_bold: true,
        ..NORMAL
    };
    picture.text([0.0, 16.0], figure.heading(), heading);
    for (number, (row, spread)) in measured.iter().enumerate() {
        let y = rows(number) * ROW + 30.0;
        picture.text([0.0, y + 15.0], &row.name, NORMAL);
        picture.rect(
            [at(0.0), y, at(spread.median) - at(0.0), 20.0],
            colour(section, row),
            3.0,
        );
        for value in row.samples.iter().filter_map(|sample| sample.get(&figure)) {
            picture.dot([at(*value), y + 10.0], 3.0, TEXT);
        }
        let shown = format!("{:.*}", figure.decimals(), spread.median);
        picture.text([at(spread.most) + 8.0, y + 15.0], &shown, NORMAL);
    }
    Some(picture.finish(&format!("{} of {}", figure.heading(), section.name)))
}

fn colour(section: &Section, row: &Row) -> &'static str {
    match row.name.as_str() {
        WAYPOINT => MET,
        ENVOY => "#c0556b",
        _ => {
            let others = section
                .rows
                .iter()
                .filter(|row| row.name != WAYPOINT && row.name != ENVOY);
            let place = others.take_while(|other| other.name != row.name).count();
            OTHERS.get(place % OTHERS.len()).copied().unwrap_or(FAINT)
        }
    }
}

#[allow(clippy::cast_precision_loss)] // a few rows
fn rows(count: usize) -> f64 {
    count as f64
}
