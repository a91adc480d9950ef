//! What a process has cost so far, from /proc.

use crate::fault::{During, Fault};
use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

/// Counters of a process, over all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on a CPU, user and system.
    pub(crate) cpu: Duration,
    /// How often a thread had nothing to do and slept.
    pub(crate) sleeps: u64,
}

impl Usage {
    /// Of a process, now. Threads that have ended are not in it: the subjects keep theirs.
    pub(crate) fn of(pid: u32) -> Result<Self, Fault> {
        let folder = format!("/proc/{pid}/task");
        let mut sum = Self::default();
        for task in fs::read_dir(&folder).during(&folder)? {
            let task = task.during(&folder)?.path();
            let (schedstat, status) = (task.join("schedstat"), task.join("status"));
            // A thread may end between the listing and either look.
            let (Ok(schedstat), Ok(text)) = (fs::read_to_string(schedstat), fs::read_to_string(&status)) else {
                continue;
            };
            let on_cpu = schedstat.split_whitespace().next().and_then(|ns| ns.parse().ok());
            sum.cpu = sum
                .cpu
                .saturating_add(Duration::from_nanos(on_cpu.during("schedstat without a time")?));
            sum.sleeps = sum
                .sleeps
                .saturating_add(value(&text, &status, "voluntary_ctxt_switches:")?);
        }
        Ok(sum)
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
        }
    }
}

/// Resident memory now, KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64, Fault> {
    field(Path::new(&format!("/proc/{pid}/status")), "VmRSS:")
}

/// Kibibytes as mebibytes.
pub(crate) fn mib(kib: u64) -> f64 {
    count(kib) / 1024.0
}

/// A count, or nanoseconds of a load's time: far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}

fn field(file: &Path, name: &str) -> Result<u64, Fault> {
    value(&fs::read_to_string(file).during(file.display())?, file, name)
}

fn value(text: &str, file: &Path, name: &str) -> Result<u64, Fault> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.during(format_args!("no {name} in {}", file.display()))
}

#[cfg(test)]
mod tests;
