#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use std::time::Instant;

#[test]
fn a_busy_thread_costs_what_it_takes() {
    let pid = std::process::id();
    let before = Usage::of(pid).unwrap();
    let worker = std::thread::spawn(move || {
        let began = Instant::now();
        while (Usage::of(pid).unwrap() - before).cpu < Duration::from_millis(50) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the CPU time of a spinning thread stands still"
            );
        }
    });
    worker.join().unwrap();
    assert!(resident_kib(pid).unwrap() > 1000);
}

#[test]
fn a_process_that_is_gone_is_a_fault() {
    assert!(Usage::of(0).is_err());
    assert!(resident_kib(0).is_err());
}
