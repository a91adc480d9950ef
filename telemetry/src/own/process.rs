//! The process's own CPU, memory and descriptors, by the names that every Prometheus client library has for them.
//!
//! Read from /proc when a scrape comes; where there is no /proc, they are missing.

use crate::metrics::{Kind, Sink, count};
use std::fmt;

/// `USER_HZ`: Linux tells CPU time to processes in hundredths of a second on every architecture it runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What /proc tells of this process.
#[derive(Debug, Default, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    threads: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
    open_fds: u64,
    max_fds: u64,
    started: f64,
}

pub(crate) fn expose(out: &mut dyn Sink) -> fmt::Result {
    let Some(usage) = read() else { return Ok(()) };
    out.single(
        "process_cpu_seconds_total",
        Kind::Counter,
        "User and system CPU time spent, seconds.",
        usage.cpu_seconds,
    )?;
    let gauges: [(&str, &str, f64); 6] = [
        (
            "process_resident_memory_bytes",
            "Resident memory, bytes.",
            count(usage.resident_bytes),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory, bytes.",
            count(usage.virtual_bytes),
        ),
        ("process_open_fds", "Open file descriptors.", count(usage.open_fds)),
        (
            "process_max_fds",
            "Most file descriptors that may be open.",
            count(usage.max_fds),
        ),
        ("process_threads", "Threads.", count(usage.threads)),
        (
            "process_start_time_seconds",
            "When the process began, Unix time.",
            usage.started,
        ),
    ];
    gauges
        .into_iter()
        .try_for_each(|(name, help, value)| out.single(name, Kind::Gauge, help, value))
}

fn read() -> Option<Usage> {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let mut usage = parse(
        &text("/proc/self/stat")?,
        &text("/proc/self/status")?,
        &text("/proc/stat")?,
    )?;
    usage.open_fds = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    usage.max_fds = text("/proc/self/limits")
        .as_deref()
        .and_then(|limits| limits.lines().find_map(|line| line.strip_prefix("Max open files")))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    Some(usage)
}

fn parse(stat: &str, status: &str, system: &str) -> Option<Usage> {
    // After the name, which may hold anything: state is field 3.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    #[allow(clippy::cast_precision_loss)] // hundredths of seconds
    let number = |field: usize| fields.get(field.checked_sub(3)?)?.trim().parse::<u64>().ok();
    let ticks = |field: usize| number(field).map(|ticks| ticks as f64 / TICKS_PER_SECOND);
    let booted: f64 = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let kib = |name: &str| -> Option<u64> {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
    };
    Some(Usage {
        cpu_seconds: ticks(14)? + ticks(15)?,
        threads: number(20)?,
        virtual_bytes: number(23)?,
        resident_bytes: kib("VmRSS:")?,
        open_fds: 0,
        max_fds: 0,
        started: booted + ticks(22)?,
    })
}

#[cfg(test)]
mod tests;
