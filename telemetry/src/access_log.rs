//! Istio's access log: text or JSON, off by default, written by a thread of its own.
//!
//! A request renders its line and leaves it in a bounded queue; a slow or full disk costs lines, never requests.

mod line;
mod writer;

pub(crate) use line::cluster_name;

use crate::{Outcome, TcpOutcome};
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;
use writer::Writer;

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Istio's default text format.
    Text,
    /// One JSON object a line, with the keys of Istio's JSON format in alphabetical order, as Envoy writes them.
    Json,
}

/// The writer. Never blocks; lines that find the queue full (8,192 lines, 8 MiB) are counted and dropped.
///
/// Dropping it flushes what is queued, for at most a second.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    writer: Writer,
    dropped: Counter,
}

impl AccessLog {
    /// Writes to `out` (standard output, a file) from a thread of its own.
    pub fn new(format: AccessLogFormat, out: Box<dyn std::io::Write + Send>) -> Self {
        Self::counted(format, out, Counter::default())
    }

    /// The same, counting lost lines in `dropped`: a clone of [`crate::OwnMetrics::access_log_dropped`].
    pub fn counted(format: AccessLogFormat, out: Box<dyn std::io::Write + Send>, dropped: Counter) -> Self {
        Self {
            format,
            writer: Writer::start(out, dropped.clone()),
            dropped,
        }
    }

    /// Queues a line.
    pub fn write(&self, outcome: &Outcome<'_>) {
        if !self.writer.has_room() {
            self.dropped.inc(); // Do not even render it.
            return;
        }
        let line = match self.format {
            AccessLogFormat::Text => line::text(outcome),
            AccessLogFormat::Json => line::json(outcome),
        };
        self.push(line);
    }

    /// Queues a line about a TCP connection that has ended.
    pub fn write_tcp(&self, outcome: &TcpOutcome<'_>) {
        if !self.writer.has_room() {
            self.dropped.inc();
            return;
        }
        let line = match self.format {
            AccessLogFormat::Text => line::tcp_text(outcome),
            AccessLogFormat::Json => line::tcp_json(outcome),
        };
        self.push(line);
    }

    fn push(&self, line: String) {
        if !self.writer.push(line) {
            self.dropped.inc();
        }
    }

    /// Lines lost so far: no room in the queue, or an error of the output.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Waits until all that was queued before is written, at most `patience`. True when it is. Blocks the thread.
    pub fn flush(&self, patience: Duration) -> bool {
        self.writer.flush(patience)
    }
}

#[cfg(test)]
mod tests;
