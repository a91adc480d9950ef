//! Latencies by percentile, the tail stretched: it is where proxies differ.

use super::{NORMAL, SMALL, colour, rows};
use crate::report::svg::{Anchor, GRID, Ink, Picture};
use crate::report::{Row, Section};

/// Those of every subject; None when there are none.
pub(in crate::report) fn latencies(section: &Section) -> Option<String> {
    let measured: Vec<_> = section.rows.iter().filter(|row| !row.percentiles.is_empty()).collect();
    let shown = |row: &Row| {
        row.percentiles
            .iter()
            .copied()
            .filter(|(percent, us)| *percent < 100.0 && *us > 0.0)
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = measured.iter().flat_map(|row| shown(row)).map(|(_, us)| us).collect();
    let (least, most) = (
        all.iter().copied().reduce(f64::min)?,
        all.iter().copied().reduce(f64::max)?,
    );
    let (low, high) = (
        least.log10().floor(),
        most.log10().ceil().max(least.log10().floor() + 1.0),
    );
    // Each nine is as wide as the one before.
    let x = |percent: f64| 56.0 + 310.0 * (-(1.0 - percent / 100.0).log10() / 4.0).clamp(0.0, 1.0);
    let y = |us: f64| 178.0 - 140.0 * (us.log10() - low) / (high - low);
    let mut picture = Picture::new(430.0, 230.0);
    let heading = Ink {
        is_bold: true,
        ..NORMAL
    };
    picture.text([0.0, 16.0], "latency, by percentile", heading);
    grid(&mut picture, (low, high), &x, &y);
    for row in &measured {
        let points: Vec<_> = shown(row)
            .into_iter()
            .map(|(percent, us)| [x(percent), y(us)])
            .collect();
        picture.path(&points, colour(section, row));
    }
    let mut left = 56.0;
    for row in &measured {
        picture.rect([left, 208.0, 10.0, 10.0], colour(section, row), 2.0);
        picture.text([left + 15.0, 217.0], &row.name, SMALL);
        // Wide enough for a name of letters that are wide.
        left += 34.0 + 6.5 * rows(row.name.chars().count());
    }
    Some(picture.finish(&format!("latencies of {}", section.name)))
}

fn grid(picture: &mut Picture, (low, high): (f64, f64), x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
    for (percent, label) in [
        (0.0, "0"),
        (50.0, "p50"),
        (90.0, "p90"),
        (99.0, "p99"),
        (99.9, "p99.9"),
        (99.99, "p99.99"),
    ] {
        picture.line([x(percent), 38.0], [x(percent), 178.0], GRID, 1.0);
        let ink = Ink {
            anchor: Anchor::Middle,
            ..SMALL
        };
        picture.text([x(percent), 194.0], label, ink);
    }
    let mut decade = low;
    while decade <= high {
        let us = 10_f64.powf(decade);
        picture.line([x(0.0), y(us)], [x(99.99), y(us)], GRID, 1.0);
        let ink = Ink {
            anchor: Anchor::End,
            ..SMALL
        };
        let label = if us < 1_000.0 {
            format!("{us:.0} us")
        } else {
            format!("{:.0} ms", us / 1e3)
        };
        picture.text([x(0.0) - 6.0, y(us) + 4.0], &label, ink);
        decade += 1.0;
    }
}
