#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::subject::{How, Which};

fn row(name: &str, rounds: &[(f64, f64, f64)]) -> Row {
    let mut row = Row::new(name);
    for (per_second, cpu_us, busy) in rounds {
        row.samples.push(Sample::from([
            (Figure::PerSecond, *per_second),
            (Figure::CpuUs, *cpu_us),
            (Figure::Busy, *busy),
        ]));
    }
    row
}

#[test]
fn a_gain_is_of_the_same_round() {
    let mut rows = [
        row("waypoint", &[(100.0, 10.0, 1.0), (50.0, 20.0, 1.0)]),
        row("waypoint x2", &[(190.0, 10.0, 1.9), (80.0, 25.0, 1.9)]),
    ];
    gain(&Contender::new(Which::Known(How::Waypoint), 1), &mut rows);
    let gains = |figure| rows[0].samples.iter().map(|sample| sample[&figure]).collect::<Vec<_>>();
    assert_eq!(gains(Figure::Gain), [1.9, 1.6]);
    assert_eq!(gains(Figure::GainByCpu), [2.0, 1.6]);
    assert!(!rows[1].samples[0].contains_key(&Figure::Gain));
}

#[test]
fn a_round_without_an_answer_gains_nothing() {
    let (none, some) = (row("a", &[(0.0, 0.0, 0.0)]), row("b", &[(1.0, 1.0, 0.1)]));
    let gained = gained(&none.samples[0], &some.samples[0]);
    assert!(!gained.contains_key(&Figure::Gain), "{gained:?}");
}

#[test]
fn few_cores_and_idle_proxies_are_doubted() {
    let full = row("waypoint", &[(1.0, 1.0, 0.97)]);
    let idle = row("waypoint", &[(1.0, 1.0, 0.5)]);
    let told = |cores, workers, row| doubt(cores, workers, Some(row));
    assert!(told(2, 1, &full).unwrap().starts_with("2 cores for 2 workers"));
    assert_eq!(told(6, 1, &full), None);
    assert!(told(6, 2, &full).is_some());
    assert!(told(64, 1, &idle).unwrap().contains("50 %"));
}

#[test]
fn neighbours_have_what_is_left() {
    assert_eq!((neighbours(2, 1), neighbours(6, 1), neighbours(8, 1)), (1, 2, 3));
    assert_eq!((neighbours(64, 1), neighbours(4, 8)), (8, 1));
}
