//! Istio's access log: text or JSON, off by default, written by a thread of its own.
//!
//! A request renders its line and leaves it in a bounded queue; a slow or full disk costs lines, never requests.

mod format;
mod line;
mod writer;

pub use format::LogFormat;

use crate::ended::Ended;
use crate::plan::Plan;
use crate::{Outcome, TcpOutcome};
use prometheus_client::metrics::counter::Counter;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use writer::Writer;

/// The writer. Never blocks; lines that find the queue full (8,192 lines, 8 MiB) are counted and dropped.
///
/// What is logged, and how, a [`Plan`] says. The thread starts with the first line. Dropping it flushes what is queued,
/// for at most a second.
pub struct AccessLog {
    /// Taken by the thread.
    out: Mutex<Option<Box<dyn Write + Send>>>,
    writer: OnceLock<Writer>,
    dropped: Counter,
}

impl AccessLog {
    /// Writes to `out` (standard output, a file) from a thread of its own.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self::counted(out, Counter::default())
    }

    /// The same, counting lost lines in `dropped`: a clone of [`crate::OwnMetrics::access_log_dropped`].
    pub fn counted(out: Box<dyn Write + Send>, dropped: Counter) -> Self {
        Self {
            out: Mutex::new(Some(out)),
            writer: OnceLock::new(),
            dropped,
        }
    }

    /// Queues the lines that the plan of a request asks for.
    pub fn write(&self, outcome: &Outcome<'_>) {
        self.queue(outcome.plan, &Ended::Request(outcome));
    }

    /// The same for a TCP connection that has ended.
    pub fn write_tcp(&self, outcome: &TcpOutcome<'_>) {
        self.queue(outcome.plan, &Ended::Connection(outcome));
    }

    fn queue(&self, plan: &Plan, ended: &Ended<'_>) {
        for rule in plan.log_rules() {
            if rule.filter.as_ref().is_some_and(|filter| !filter.holds(ended)) {
                continue;
            }
            let writer = self.writer();
            // Without room it is not even rendered.
            if !writer.has_room() || !writer.push(line::render(&rule.format, ended)) {
                self.dropped.inc();
            }
        }
    }

    fn writer(&self) -> &Writer {
        self.writer.get_or_init(|| {
            let out = self.out.lock().unwrap_or_else(PoisonError::into_inner).take();
            Writer::start(out.unwrap_or_else(|| Box::new(std::io::sink())), self.dropped.clone())
        })
    }

    /// Lines lost so far: no room in the queue, or an error of the output.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Waits until all that was queued before is written, at most `patience`. True when it is. Blocks the thread.
    pub fn flush(&self, patience: Duration) -> bool {
        self.writer.get().is_none_or(|writer| writer.flush(patience))
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
