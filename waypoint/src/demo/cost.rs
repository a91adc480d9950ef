//! CPU and memory of the waypoint, over the requests it was measured with.

use super::print::thousands;
use super::proc_stat;
use std::time::Duration;

pub(super) struct Cost {
    pid: u32,
    began: Option<Duration>,
    cpu: Duration,
    requests: u64,
}

impl Cost {
    pub(super) fn of(pid: u32) -> Self {
        Self {
            pid,
            began: None,
            cpu: Duration::ZERO,
            requests: 0,
        }
    }

    /// Measured load begins.
    pub(super) fn begin(&mut self) {
        self.began = proc_stat::cpu(self.pid);
    }

    /// It ends; so many requests were answered meanwhile.
    pub(super) fn end(&mut self, requests: u64) {
        if let (Some(began), Some(now)) = (self.began.take(), proc_stat::cpu(self.pid)) {
            self.cpu = self.cpu.saturating_add(now.saturating_sub(began));
            self.requests = self.requests.saturating_add(requests);
        }
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        let Some(resident) = proc_stat::resident(self.pid).filter(|_| self.requests > 0) else {
            return "not known: this system has no /proc".to_owned();
        };
        let requests = u32::try_from(self.requests).unwrap_or(u32::MAX);
        let each = self.cpu.checked_div(requests).unwrap_or_default();
        let build = if cfg!(debug_assertions) {
            "\n   (a debug build: expect a fraction of it from `make demo`)"
        } else {
            ""
        };
        format!(
            "waypoint, one worker: {} µs of CPU a request (mean of {}), {} MiB resident{build}",
            each.as_micros(),
            thousands(self.requests),
            resident >> 20,
        )
    }
}
