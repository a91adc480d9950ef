//! Istio's access log: text or JSON, off by default, written by a thread of its own.

use crate::Outcome;

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Istio's default text format.
    Text,
    /// One JSON object a line.
    Json,
}

/// The writer. Never blocks; lines that find the queue full are counted and dropped.
#[derive(Debug)]
pub struct AccessLog {
    _private: (),
}

impl AccessLog {
    /// Writes to `out` (standard output, a file) from a thread of its own.
    pub fn new(_format: AccessLogFormat, _out: Box<dyn std::io::Write + Send>) -> Self {
        todo!()
    }
    /// Queues a line.
    pub fn write(&self, _outcome: &Outcome<'_>) {
        todo!()
    }
}
