#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn proc_is_read_whatever_the_process_is_called() {
    let stat = "42 (way) point) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 7 0 12300 104857600 2560 1 1";
    let status = "Name:\tx\nVmRSS:\t   10240 kB\n";
    let system = "cpu 1 2 3\nbtime 1700000000\n";
    let usage = parse(stat, status, system).unwrap();
    assert_eq!(
        usage,
        Usage {
            cpu_seconds: 2.0,
            threads: 7,
            virtual_bytes: 104_857_600,
            resident_bytes: 10_240 * 1_024,
            open_fds: 0,
            max_fds: 0,
            started: 1_700_000_123.0,
        }
    );
    for bad in ["", "42 (x", "42 (x) S 1"] {
        assert_eq!(parse(bad, status, system), None, "{bad:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn this_process_has_memory_and_descriptors() {
    let usage = read().unwrap();
    assert!(
        usage.resident_bytes > 0 && usage.open_fds > 0 && usage.threads > 0,
        "{usage:?}"
    );
}
