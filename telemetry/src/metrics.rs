//! Istio's metrics, by exact name and label order, with `reporter="waypoint"`.

use crate::{Outcome, OwnMetrics, TcpOutcome};

/// All series. Shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    /// Our own (`waypoint_*`).
    pub own: OwnMetrics,
}

impl Metrics {
    /// Makes the registry. `cluster` is the label `destination_cluster`'s fallback; `version` goes to `istio_build`.
    pub fn new(_version: &str) -> Self {
        todo!()
    }
    /// Counts a finished request. Handles are resolved once per (source, destination, service, code, flags).
    pub fn observe(&self, _outcome: &Outcome<'_>) {
        todo!()
    }
    /// Counts an opened TCP connection.
    pub fn tcp_opened(&self, _outcome: &TcpOutcome<'_>) {
        todo!()
    }
    /// Counts a closed TCP connection and its bytes.
    pub fn tcp_closed(&self, _outcome: &TcpOutcome<'_>) {
        todo!()
    }
    /// The text of `/stats/prometheus`.
    pub fn encode(&self) -> String {
        todo!()
    }
}
