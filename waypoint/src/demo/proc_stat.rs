//! What another process has cost so far, as Linux tells it. Elsewhere there is no such line in the demo.

use std::time::Duration;

/// `USER_HZ`: what Linux promises to programs, whatever it counts in itself.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all its threads, user and system.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    cpu_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Resident memory, bytes.
pub(super) fn resident(pid: u32) -> Option<u64> {
    resident_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// proc(5): `utime` and `stime` are fields 14 and 15; field 2 is a name in parentheses that may hold anything.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, from_third) = stat.rsplit_once(')')?;
    let mut fields = from_third.split_ascii_whitespace().skip(14 - 3);
    let ticks: u32 = fields
        .next()?
        .parse::<u32>()
        .ok()?
        .checked_add(fields.next()?.parse().ok()?)?;
    TICK.checked_mul(ticks)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

#[cfg(test)]
mod tests;
