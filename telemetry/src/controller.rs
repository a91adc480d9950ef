//! What the controller counts, `waypoint_controller_*`, beside what any watcher of a cluster counts.

use crate::metrics::{Exposition, Format, Kind, Sink};
use crate::own::{Named, NamedGauge, process};
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;

/// Handles and counts of one controller.
#[derive(Debug, Default)]
pub struct ControllerMetrics {
    /// `waypoint_controller_leader`: 1 while this one acts.
    pub leader: Gauge,
    /// `waypoint_controller_gateways`: Gateways of our classes.
    pub gateways: Gauge,
    /// `waypoint_controller_waiting`: objects that wait for another try.
    pub waiting: Gauge,
    /// `waypoint_kubernetes_watches`.
    pub watches: Gauge,
    /// `waypoint_kubernetes_watches_failing`.
    pub watches_failing: Gauge,
    /// `waypoint_kubernetes_objects`.
    pub objects: Gauge,
    passes: Named,
    writes: Named,
    watch_errors: Named,
    syncs: NamedGauge,
}

impl ControllerMetrics {
    /// `waypoint_controller_passes_total{result}`: looks at all Gateways and routes (`ok`, `failed`).
    pub fn pass(&self, result: &'static str) {
        self.passes.counter([("result", result)]).inc();
    }

    /// `waypoint_controller_writes_total{kind,verb,result}`: verb `apply`, `status`, `delete`, `lease`; result `ok`, `conflict`,
    /// `denied`, `invalid`, `not_found`, `unavailable`.
    pub fn write(&self, kind: &str, verb: &'static str, result: &'static str) {
        let labels = [("kind", kind), ("verb", verb), ("result", result)];
        self.writes.counter(labels).inc();
    }

    /// `waypoint_kubernetes_watch_errors_total{kind,reason}`.
    pub fn watch_error(&self, kind: &str, reason: &str) {
        self.watch_errors.counter([("kind", kind), ("reason", reason)]).inc();
    }

    /// `waypoint_kubernetes_last_sync_timestamp_seconds{kind}`.
    pub fn synced(&self, kind: &str, unix_seconds: u64) {
        self.syncs.set([("kind", kind)], unix_seconds);
    }

    /// All of it in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _ = self.expose(&mut Exposition::new(&mut text, Format::Text));
        text
    }

    #[allow(clippy::cast_precision_loss)] // Samples are floats in Prometheus.
    fn expose(&self, out: &mut dyn Sink) -> fmt::Result {
        for (name, help, gauge) in [
            ("waypoint_controller_leader", "1 while this one acts.", &self.leader),
            (
                "waypoint_controller_gateways",
                "Gateways of our classes.",
                &self.gateways,
            ),
            (
                "waypoint_controller_waiting",
                "Objects that wait for another try.",
                &self.waiting,
            ),
            (
                "waypoint_kubernetes_watches",
                "Lists and watches of the API server.",
                &self.watches,
            ),
            (
                "waypoint_kubernetes_watches_failing",
                "Those that fail at present.",
                &self.watches_failing,
            ),
            (
                "waypoint_kubernetes_objects",
                "Objects of the cluster that are held.",
                &self.objects,
            ),
        ] {
            out.single(name, Kind::Gauge, help, gauge.get() as f64)?;
        }
        self.passes.expose(
            out,
            "waypoint_controller_passes_total",
            "Looks at all Gateways and routes.",
        )?;
        self.writes
            .expose(out, "waypoint_controller_writes_total", "Writes to the API server.")?;
        self.watch_errors.expose(
            out,
            "waypoint_kubernetes_watch_errors_total",
            "Lists and watches of the API server that failed.",
        )?;
        self.syncs.expose(
            out,
            "waypoint_kubernetes_last_sync_timestamp_seconds",
            "When a kind was last read whole or changed, Unix time.",
        )?;
        process::expose(out)
    }
}

#[cfg(test)]
mod tests;
