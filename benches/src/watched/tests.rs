#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn reading(cpu: Option<u64>, mib: f64) -> Reading {
    Reading {
        cpu: cpu.map(Duration::from_secs),
        resident_mib: Some(mib),
    }
}

#[test]
fn replicas_are_added_up_and_what_one_does_not_tell_is_not_known() {
    let both = Reading::sum(&[reading(Some(2), 20.0), reading(Some(3), 30.5)]);
    assert_eq!(both, reading(Some(5), 50.5));
    let one = Reading::sum(&[reading(Some(2), 20.0), reading(None, 1.0)]);
    assert_eq!(one, reading(None, 21.0));
}

#[test]
fn cpu_is_a_difference() {
    let (before, after) = (reading(Some(2), 0.0), reading(Some(5), 0.0));
    assert_eq!(after.cpu_since(&before), Some(Duration::from_secs(3)));
    // A replica that was started again began at nothing.
    assert_eq!(before.cpu_since(&after), Some(Duration::ZERO));
    assert_eq!(after.cpu_since(&reading(None, 0.0)), None);
}

#[test]
fn a_process_that_is_gone_is_told_before_the_load() {
    let args = WatchedArgs {
        pid: Some(u32::MAX),
        ..WatchedArgs::default()
    };
    assert!(Watched::of(&args).err().unwrap().to_string().contains("--pid"));
    assert!(!Watched::of(&WatchedArgs::default()).unwrap().is_seen());
}
