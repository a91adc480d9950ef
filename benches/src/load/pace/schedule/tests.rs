#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_rate_is_evenly_spaced_from_the_start() {
    let schedule = Schedule::constant(1_000);
    assert_eq!(schedule.at(0), Duration::ZERO);
    assert_eq!(schedule.at(7), ms(7));
    assert_eq!(schedule.at(3_600_000), Duration::from_secs(3600));
    assert_eq!(Schedule::constant(3).at(3), Duration::from_secs(1), "no error adds up");
    assert_eq!(Schedule::constant(0), Schedule::constant(1));
}

#[test]
fn steps_follow_one_another_without_a_gap() {
    let schedule = Schedule::steps([10, 100, 20].map(|rate| (rate, ms(1_000))));
    assert_eq!(
        (schedule.at(9), schedule.at(10), schedule.at(11)),
        (ms(900), ms(1_000), ms(1_010))
    );
    assert_eq!(
        (schedule.at(109), schedule.at(110), schedule.at(111)),
        (ms(1_990), ms(2_000), ms(2_050))
    );
    assert_eq!(schedule.at(130), ms(3_000), "the last rate goes on");
}

#[test]
fn what_is_due_is_what_was_due_before() {
    for schedule in [
        Schedule::constant(7),
        Schedule::constant(4_000),
        Schedule::steps([(3, ms(333)), (1_000, ms(1)), (40, ms(0)), (7, ms(50))]),
        Schedule::steps([]),
    ] {
        let mut time = Duration::ZERO;
        for _ in 0..5_000 {
            let due = schedule.until(time);
            assert!(schedule.at(due - 1) <= time, "{schedule:?}: {due} by {time:?}");
            assert!(schedule.at(due) > time, "{schedule:?}: {due} by {time:?}");
            time += Duration::from_nanos(377_003);
        }
    }
}
