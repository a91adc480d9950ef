//! What the figures were taken on.

use serde::{Deserialize, Serialize};
use std::fs;

/// The machine, in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    /// Runnable threads over the last minute, before the run: others' work, which disturbs.
    pub(crate) load: String,
    pub(crate) date: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = cpuinfo
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
        Self {
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            cpu: cpu.unwrap_or("unknown").to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg")
                .split_whitespace()
                .next()
                .unwrap_or("unknown")
                .to_owned(),
            date: time::OffsetDateTime::now_utc().date().to_string(),
        }
    }
}
