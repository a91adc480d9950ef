//! What the process shows of itself while it runs: every finished request passes by [`Live::seen`], which counts it for
//! `top` and the admin page and hands it to whoever taps.
//!
//! A request pays two looks into maps that are never locked, and a few atomic adds; nothing is allocated for it once its
//! rule has been used, and with nobody tapping nothing is copied.

mod counts;
mod edges;
mod stats;
mod tap;
mod traces;
mod verdicts;

pub(crate) use edges::Edge;
pub(crate) use tap::{Filter, Tap};

use crate::proxy::Node;
use arc_swap::ArcSwap;
use authz::PolicyId;
use counts::Seen;
pub(crate) use counts::percentile;
use edges::Edges;
use mesh::{Finding, Snapshot};
use request::Head;
use routing::Rule;
use serde_json::{Value, json};
use stats::Rules;
use std::sync::Arc;
use std::time::SystemTime;
use telemetry::Outcome;
use traces::Traces;
use verdicts::Verdicts;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Live {
    rules: Rules,
    pub(crate) edges: Edges,
    verdicts: Verdicts,
    traces: Traces,
    findings: ArcSwap<Vec<Finding>>,
    pub(crate) tap: Tap,
}

/// A finished request, with what an outcome does not tell.
#[derive(Clone, Copy)]
pub(crate) struct Finished<'f> {
    pub(crate) outcome: &'f Outcome<'f>,
    pub(crate) rule: Option<&'f Arc<Rule>>,
    /// The backend that was picked, by its place in the rule.
    pub(crate) backend: Option<usize>,
    pub(crate) head: Option<&'f Head>,
}

impl Live {
    /// A request has finished.
    pub(crate) fn seen(&self, edge: &Edge, finished: &Finished<'_>) {
        let seen = Seen::of(finished.outcome);
        edge.counts.add(&seen);
        if let Some(rule) = finished.rule {
            self.rules.add(rule, finished.backend, &seen);
        }
        self.traces.add(finished, || self.rules.names(finished.rule?, None).0);
        self.tap
            .offer(finished, |rule, backend| self.rules.names(rule, backend));
    }

    /// An ALLOW policy has let a request pass.
    pub(crate) fn passed(&self, policy: &PolicyId) {
        self.verdicts.passed(policy);
    }

    /// `/api/traces`.
    pub(crate) fn traces(&self) -> Value {
        Value::Array(self.traces.told())
    }

    /// A policy has denied a request or a connection. `what` is told when it is the last one.
    pub(crate) fn denied(&self, policy: &str, client: &str, what: impl FnOnce() -> String) {
        self.verdicts.denied(policy, client, what);
    }

    /// A config came into force: its rules are counted from now on.
    pub(crate) fn published(&self, snapshot: &Arc<Snapshot>, findings: &[Finding]) {
        self.rules.published(snapshot);
        self.verdicts.published(snapshot);
        self.findings.store(Arc::new(findings.to_vec()));
    }

    /// What is wrong or doubtful in the latest config.
    pub(crate) fn findings(&self) -> Vec<Value> {
        self.findings.load().iter().map(Finding::to_json).collect()
    }

    /// `/api/stats`.
    pub(crate) fn stats(&self, node: &Node) -> Value {
        let own = &node.metrics.own;
        json!({
            "atMs": unix_ms(SystemTime::now()),
            "generation": node.snapshot.load().generation,
            "tunnels": own.tunnels.get(),
            "connections": own.connections.get(),
            "upstreamConnections": own.upstream_connections.get(),
            "requestsInFlight": own.in_flight.get(),
            "draining": node.drain.is_started(),
            "tapListeners": self.tap.listeners(),
            "rules": self.rules.told(),
            "edges": self.edges.told(),
            "policies": self.verdicts.bound(),
            "denials": self.verdicts.denials(),
        })
    }
}

pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
