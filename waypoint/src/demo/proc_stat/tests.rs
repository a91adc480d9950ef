#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn cpu_is_found_behind_a_hostile_name() {
    let stat = "42 (way) point) S 1 42 42 0 -1 4194560 900 0 0 0 123 45 7 8 20 0 6 0 1000 1 2";
    assert_eq!(cpu_of(stat), Some(Duration::from_millis(1_680)));
    assert_eq!(cpu_of("42 (waypoint) S 1"), None);
}

#[test]
fn resident_memory_is_in_bytes() {
    assert_eq!(
        resident_of("VmPeak:\t 99 kB\nVmRSS:\t   14336 kB\n"),
        Some(14 * 1024 * 1024)
    );
    assert_eq!(resident_of("VmPeak:\t 99 kB\n"), None);
}
