//! Our own metrics, `waypoint_*`: handles that any thread may bump.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

/// Handles of the unlabelled ones are fields; labelled ones have a method.
#[derive(Debug, Default)]
pub struct OwnMetrics {
    /// `waypoint_tunnels`: open CONNECT streams.
    pub tunnels: Gauge,
    /// `waypoint_connections`: open HBONE connections.
    pub connections: Gauge,
    /// `waypoint_requests_in_flight`.
    pub in_flight: Gauge,
    /// `waypoint_config_generation`.
    pub config_generation: Gauge,
    /// `waypoint_config_findings_errors`: errors in the latest config; not 0 means that something is not in force.
    pub config_errors: Gauge,
    /// `waypoint_config_rejected_total`: config updates of which at least one file was not taken.
    pub config_rejected: Counter,
    /// `waypoint_retries_total`.
    pub retries: Counter,
    /// `waypoint_mirrors_dropped_total`.
    pub mirrors_dropped: Counter,
    /// `waypoint_spans_dropped_total`.
    pub spans_dropped: Counter,
    /// `waypoint_spans_exported_total`.
    pub spans_exported: Counter,
}

impl OwnMetrics {
    /// `waypoint_handshakes_total{result}`: `ok`, `no_certificate`, `untrusted`, `timeout`, ...
    pub fn handshake(&self, _result: &'static str) {
        todo!()
    }
    /// `waypoint_dials_total{result}`.
    pub fn dial(&self, _result: &'static str) {
        todo!()
    }
    /// `waypoint_refusals_total{reason}`: one label for each refusal reason.
    pub fn refusal(&self, _reason: &'static str) {
        todo!()
    }
    /// `waypoint_policy_denials_total{policy}`.
    pub fn denial(&self, _policy: &str) {
        todo!()
    }
}
