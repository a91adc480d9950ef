//! A load by time: how many requests, how long they took, and when some failed.

use super::{MISSED, NORMAL, SMALL};
use crate::report::svg::{Anchor, FAINT, GRID, Ink, Picture, TEXT};
use crate::report::{Moment, Section};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 850.0;
/// Of one panel.
const HEIGHT: f64 = 110.0;
const RATE: &str = "#0c8f7a";
const P50: &str = "#3f6fb5";
const P99: &str = "#8a1c4a";
/// Names below the axis.
const TICKS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Both panels; None when there are fewer than two moments.
pub(in crate::report) fn timeline(section: &Section) -> Option<String> {
    let moments = &section.timeline;
    let end = moments.last().filter(|_| moments.len() > 1)?.at;
    let x = |at: f64| LEFT + (RIGHT - LEFT) * at / end;
    let mut picture = Picture::new(WIDTH, 330.0);
    let wanted = |moment: &Moment| moment.wanted.map(|wanted| wanted as f64);
    let rates = moments
        .iter()
        .map(|moment| moment.per_second.max(wanted(moment).unwrap_or_default()));
    let rate = Panel::new(&mut picture, 34.0, "requests/s", Scale::linear(rates));
    failures(&mut picture, moments, 34.0, &x);
    rate.line(&mut picture, moments, &x, FAINT, wanted);
    rate.line(&mut picture, moments, &x, RATE, |moment| Some(moment.per_second));
    // Where nothing was answered there is none.
    let millis = |us: f64| (us > 0.0).then_some(us / 1e3);
    let latencies = moments.iter().flat_map(|moment| [moment.p50_us, moment.p99_us]);
    let latencies = latencies.filter_map(millis);
    let latency = Panel::new(&mut picture, 180.0, "latency, ms", Scale::powers(latencies));
    failures(&mut picture, moments, 180.0, &x);
    latency.line(&mut picture, moments, &x, P50, |moment| millis(moment.p50_us));
    latency.line(&mut picture, moments, &x, P99, |moment| millis(moment.p99_us));
    for share in TICKS {
        let ink = Ink {
            anchor: if share < 1.0 { Anchor::Middle } else { Anchor::End },
            ..SMALL
        };
        picture.text([x(end * share), 306.0], &format!("{:.0} s", end * share), ink);
    }
    legend(&mut picture);
    Some(picture.finish(&format!("{} by time", section.name)))
}

/// A panel with its scale.
struct Panel {
    top: f64,
    scale: Scale,
}

/// Where a value is, from the bottom (0) to the top (1).
enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// From one power of ten to another: a stall does not flatten the rest.
    Powers(f64, f64),
}

impl Scale {
    fn linear(values: impl Iterator<Item = f64>) -> Self {
        Self::Linear(values.fold(f64::MIN_POSITIVE, f64::max))
    }

    /// What is below a microsecond counts as one.
    fn powers(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::MAX, f64::min).max(1e-3).log10().floor();
        let high = values.fold(1e-3, f64::max).log10().ceil();
        Self::Powers(low, high.max(low + 1.0))
    }

    fn share(&self, value: f64) -> f64 {
        match self {
            Self::Linear(most) => value / most,
            Self::Powers(low, high) => ((value.max(1e-3).log10() - low) / (high - low)).max(0.0),
        }
    }

    /// What is named beside it.
    fn names(&self) -> Vec<f64> {
        match self {
            Self::Linear(most) => vec![0.0, most / 2.0, *most],
            Self::Powers(low, high) => {
                let powers = std::iter::successors(Some(*low), |power| Some(power + 1.0));
                powers
                    .take_while(|power| power <= high)
                    .map(|power| 10_f64.powf(power))
                    .collect()
            }
        }
    }
}

impl Panel {
    fn new(picture: &mut Picture, top: f64, name: &str, scale: Scale) -> Self {
        let panel = Self { top, scale };
        let heading = Ink {
            is_bold: true,
            ..NORMAL
        };
        picture.text([0.0, top - 14.0], name, heading);
        for value in panel.scale.names() {
            let y = panel.y(value);
            picture.line([LEFT, y], [RIGHT, y], GRID, 1.0);
            let ink = Ink {
                anchor: Anchor::End,
                ..SMALL
            };
            picture.text([LEFT - 6.0, y + 4.0], &label(value), ink);
        }
        panel
    }

    fn y(&self, value: f64) -> f64 {
        self.top + HEIGHT * (1.0 - self.scale.share(value))
    }

    fn line(
        &self,
        picture: &mut Picture,
        moments: &[Moment],
        x: &dyn Fn(f64) -> f64,
        colour: &str,
        value: impl Fn(&Moment) -> Option<f64>,
    ) {
        let points = moments
            .iter()
            .filter_map(|moment| Some([x(moment.at), self.y(value(moment)?)]));
        picture.path(&points.collect::<Vec<_>>(), colour);
    }
}

/// A bar through each moment in which some failed.
fn failures(picture: &mut Picture, moments: &[Moment], top: f64, x: &dyn Fn(f64) -> f64) {
    for moment in moments.iter().filter(|moment| moment.failed_per_second > 0.0) {
        let began = (moment.at - f64::from(moment.seconds)).max(0.0);
        picture.rect([x(began), top, x(moment.at) - x(began), HEIGHT], "#f6d9c2", 0.0);
    }
}

fn legend(picture: &mut Picture) {
    let mut left = LEFT;
    for (colour, name) in [
        (RATE, "answered"),
        (FAINT, "wanted"),
        (P50, "p50"),
        (P99, "p99"),
        (MISSED, "some failed"),
    ] {
        picture.rect([left, 314.0, 10.0, 10.0], colour, 2.0);
        let ink = Ink { colour: TEXT, ..SMALL };
        picture.text([left + 15.0, 323.0], name, ink);
        left += 110.0;
    }
}

/// Short, however large.
fn label(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1e3)
    } else if value >= 1.0 || value <= 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value}")
    }
}
