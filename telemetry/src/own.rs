//! Our own metrics, `waypoint_*`: handles that any thread may bump.

mod labelled;
pub(crate) mod process;

use crate::metrics::{Histogram, Kind, MILLISECONDS, Sink, count};
use labelled::{Labelled, render};
pub(crate) use labelled::{Named, NamedGauge};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Handles of the unlabelled ones are fields; labelled ones have a method.
#[derive(Debug, Default)]
pub struct OwnMetrics {
    /// `waypoint_tunnels`: open CONNECT streams.
    pub tunnels: Gauge,
    /// `waypoint_connections`: open HBONE connections.
    pub connections: Gauge,
    /// `waypoint_upstream_connections`: open connections to workloads, tunnels and clear ones.
    pub upstream_connections: Gauge,
    /// `waypoint_requests_in_flight`.
    pub in_flight: Gauge,
    /// `waypoint_draining`: 1 from SIGTERM on.
    pub draining: Gauge,
    /// `waypoint_config_generation`.
    pub config_generation: Gauge,
    /// `waypoint_config_findings_errors`: errors in the latest config; not 0 means that something is not in force.
    pub config_errors: Gauge,
    /// `waypoint_config_findings_warnings`: warnings in the latest config.
    pub config_warnings: Gauge,
    /// `waypoint_config_last_reload_success`: 1 when all of the latest config is in force.
    pub config_reloaded: Gauge,
    /// `waypoint_config_last_reload_timestamp_seconds`: when the config in force came, Unix time.
    pub config_reload_time: Gauge,
    /// `waypoint_upstream_idle_connections`: HTTP/1.1 connections that wait to be used again.
    pub idle_connections: Gauge,
    /// `waypoint_certificate_expiry_timestamp_seconds`: when our leaf expires, Unix time.
    pub certificate_expiry: Gauge,
    /// `waypoint_dns_names`: names that are looked up in the background.
    pub dns_names: Gauge,
    /// `waypoint_kubernetes_watches`: lists and watches of the API server.
    pub kubernetes_watches: Gauge,
    /// `waypoint_kubernetes_watches_failing`: those that failed within the last 40 s; their last good state is in force.
    pub kubernetes_watches_failing: Gauge,
    /// `waypoint_kubernetes_objects`: objects of the cluster that are held.
    pub kubernetes_objects: Gauge,
    /// `waypoint_istiod_connected`: 1 while istiod tells Services and workloads; else its last good state is in force.
    pub istiod_connected: Gauge,
    /// `waypoint_istiod_addresses`: Services and workloads that istiod has told.
    pub istiod_addresses: Gauge,
    /// `waypoint_config_updates_total`: config updates that came into force.
    pub config_updates: Counter,
    /// `waypoint_config_rejected_total`: config updates of which at least one file was not taken.
    pub config_rejected: Counter,
    /// `waypoint_certificate_rotations_total`: leaves taken into use after the first.
    pub certificate_rotations: Counter,
    /// `waypoint_retries_total`.
    pub retries: Counter,
    /// `waypoint_mirrors_total`: requests mirrored.
    pub mirrors: Counter,
    /// `waypoint_mirrors_dropped_total`.
    pub mirrors_dropped: Counter,
    /// `waypoint_spans_dropped_total`.
    pub spans_dropped: Counter,
    /// `waypoint_spans_exported_total`.
    pub spans_exported: Counter,
    /// `waypoint_access_log_dropped_total`: lines. Give a clone to [`crate::AccessLog::counted`].
    pub access_log_dropped: Counter,
    /// `waypoint_metric_series_overflow_total`: times a new label set found no room and was folded into `overflow`.
    pub series_overflow: Counter,
    /// `waypoint_upstream_requests_total{connection="new"}`: attempts that had to open a connection.
    pub dialled_requests: Counter,
    /// `waypoint_upstream_requests_total{connection="reused"}`: attempts on a connection that was there.
    pub reused_requests: Counter,
    handshakes: Labelled,
    originations: Labelled,
    connect_refusals: Labelled,
    dials: Labelled,
    dial_duration: Milliseconds,
    refusals: Labelled,
    resets: Labelled,
    tokens: Labelled,
    key_fetches: Labelled,
    limits: Labelled,
    ejections: Labelled,
    overflows: Labelled,
    external_checks: Named,
    external_check_duration: Milliseconds,
    dns_lookups: Labelled,
    metric_pushes: Labelled,
    istiod_answers: Labelled,
    kubernetes_errors: Named,
    kubernetes_syncs: NamedGauge,
    denials: Named,
    verdicts: Labelled,
    audits: Named,
    dry_runs: Named,
    backend_requests: Named,
    key_ages: NamedGauge,
    weights: RwLock<Vec<BackendWeight>>,
}

/// A backend's wanted share, for `waypoint_backend_weight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendWeight {
    /// Route and rule, as in [`crate::Outcome::route`].
    pub route: Box<str>,
    /// The backend, for example `reviews-v2:9080`.
    pub backend: Box<str>,
    /// Its weight as written.
    pub weight: u32,
}

impl OwnMetrics {
    /// `waypoint_handshakes_total{result}`: `ok`, `no_certificate`, `untrusted`, `timeout`, ...
    pub fn handshake(&self, result: &'static str) {
        self.handshakes.inc(result);
    }
    /// `waypoint_origination_handshakes_total{result}`: TLS towards endpoints outside of tunnels (`ok`, `failed`).
    pub fn origination(&self, result: &'static str) {
        self.originations.inc(result);
    }
    /// `waypoint_istiod_answers_total{result}`: what istiod told of Services and workloads (`ack`, `nack`, `unreadable`).
    pub fn istiod_answer(&self, result: &'static str) {
        self.istiod_answers.inc(result);
    }
    /// `waypoint_connect_refusals_total{reason}`: CONNECTs answered with something other than 200.
    pub fn connect_refusal(&self, reason: &'static str) {
        self.connect_refusals.inc(reason);
    }
    /// `waypoint_dials_total{result}`.
    pub fn dial(&self, result: &'static str) {
        self.dials.inc(result);
    }
    /// `waypoint_dial_duration_milliseconds`: how long a new upstream connection took to be usable.
    pub fn dial_took(&self, took: Duration) {
        self.dial_duration.record(took);
    }
    /// `waypoint_refusals_total{reason}`: one label for each refusal reason.
    pub fn refusal(&self, reason: &'static str) {
        self.refusals.inc(reason);
    }
    /// `waypoint_policy_denials_total{policy}`. At most 2,000 policies are told apart.
    pub fn denial(&self, policy: &str) {
        self.denials.counter([("policy", policy)]).inc();
    }
    /// `waypoint_policy_audits_total{policy}`: requests that an AUDIT policy matches.
    pub fn audit(&self, policy: &str) {
        self.audits.counter([("policy", policy)]).inc();
    }
    /// `waypoint_policy_dry_run_total{policy,action,result}`: what the policies in dry run would have said, those of `DENY`
    /// and those of `ALLOW` each by themselves (`allowed`, `denied`; policy `none`: none of them matches).
    pub fn dry_run(&self, policy: &str, action: &'static str, result: &'static str) {
        let labels = [("policy", policy), ("action", action), ("result", result)];
        self.dry_runs.counter(labels).inc();
    }
    /// `waypoint_resets_total{side}`: streams cut before their end by `downstream` or `upstream`.
    pub fn reset(&self, side: &'static str) {
        self.resets.inc(side);
    }
    /// `waypoint_tokens_total{result}`: requests with a JWT by what became of it: `ok`, or why it was refused in Envoy's words
    /// (`Jwt is expired`, ...).
    pub fn token(&self, result: &'static str) {
        self.tokens.inc(result);
    }
    /// `waypoint_jwks_fetches_total{result}`.
    pub fn key_fetch(&self, result: &'static str) {
        self.key_fetches.inc(result);
    }
    /// `waypoint_jwks_fetch_timestamp_seconds{source}`: when a key set was last fetched, Unix time. At most 2,000 sources.
    pub fn keys_fetched(&self, source: &str, unix_seconds: u64) {
        self.key_ages.set([("source", source)], unix_seconds);
    }
    /// `waypoint_policy_verdicts_total{verdict}`: requests and connections that policies judged (`allow`, `deny`).
    pub fn verdict(&self, verdict: &'static str) {
        self.verdicts.inc(verdict);
    }
    /// `waypoint_external_authorization_total{provider,result}`: calls to an external authoriser, by what became of them
    /// (`allowed`, `denied`, `timeout`, `connect`, `error`).
    /// `waypoint_external_authorization_duration_milliseconds`: how long they took.
    pub fn external_check(&self, provider: &str, result: &'static str, took: Duration) {
        self.external_checks
            .counter([("provider", provider), ("result", result)])
            .inc();
        self.external_check_duration.record(took);
    }
    /// `waypoint_limits_hit_total{limit}`: a bound that stopped something.
    pub fn limit(&self, limit: &'static str) {
        self.limits.inc(limit);
    }
    /// `waypoint_ejections_total{result}`: endpoints that failed too often (`ejected`, or `capped`: too many are already).
    pub fn ejection(&self, result: &'static str) {
        self.ejections.inc(result);
    }
    /// `waypoint_overflows_total{limit}`: what a circuit limit refused (`connections`, `pending`, `requests`, `retries`).
    pub fn overflow(&self, limit: &'static str) {
        self.overflows.inc(limit);
    }
    /// `waypoint_metric_pushes_total{result}`: OTLP calls with metrics (`ok`, `failed`).
    pub fn metric_push(&self, result: &'static str) {
        self.metric_pushes.inc(result);
    }
    /// `waypoint_dns_lookups_total{result}`: `ok`, `nothing` (no such address), `refused` (an address that is never
    /// connected to), `failed`.
    pub fn dns_lookup(&self, result: &'static str) {
        self.dns_lookups.inc(result);
    }
    /// `waypoint_kubernetes_watch_errors_total{kind,reason}`: lists and watches that failed.
    pub fn kubernetes_watch_error(&self, kind: &str, reason: &str) {
        self.kubernetes_errors
            .counter([("kind", kind), ("reason", reason)])
            .inc();
    }
    /// `waypoint_kubernetes_last_sync_timestamp_seconds{kind}`: when the objects of a kind were last read whole, or one of
    /// them changed; Unix time.
    pub fn kubernetes_synced(&self, kind: &str, unix_seconds: u64) {
        self.kubernetes_syncs.set([("kind", kind)], unix_seconds);
    }
    /// `waypoint_backend_requests_total{route,backend}`: the handle for one backend of a rule, to be kept with it.
    /// Beside [`OwnMetrics::set_weights`] it shows the measured share.
    pub fn backend_requests(&self, route: &str, backend: &str) -> Counter {
        self.backend_requests.counter([("route", route), ("backend", backend)])
    }
    /// `waypoint_backend_weight{route,backend}`: replaces all; call it for every snapshot. Keeps the first 2,000.
    pub fn set_weights(&self, mut weights: Vec<BackendWeight>) {
        weights.truncate(Named::LIMIT);
        *self.weights.write().unwrap_or_else(PoisonError::into_inner) = weights;
    }

    pub(crate) fn expose(&self, out: &mut dyn Sink) -> fmt::Result {
        for (name, help, gauge) in self.gauges() {
            #[allow(clippy::cast_precision_loss)] // as all samples
            out.single(name, Kind::Gauge, help, gauge.get() as f64)?;
        }
        for (name, help, counter) in self.counters() {
            out.single(name, Kind::Counter, help, count(counter.get()))?;
        }
        for (name, label, help, family) in self.families() {
            family.expose(out, name, label, help)?;
        }
        let name = "waypoint_dial_duration_milliseconds";
        out.family(
            name,
            Kind::Histogram,
            "Time until a new upstream connection was usable.",
        )?;
        out.histogram(name, "", &self.dial_duration.0, None)?;
        self.external_checks.expose(
            out,
            "waypoint_external_authorization_total",
            "Calls to external authorisers.",
        )?;
        let name = "waypoint_external_authorization_duration_milliseconds";
        out.family(
            name,
            Kind::Histogram,
            "Time that a call to an external authoriser took.",
        )?;
        out.histogram(name, "", &self.external_check_duration.0, None)?;
        let name = "waypoint_upstream_requests_total";
        out.family(
            name,
            Kind::Counter,
            "Attempts by whether their connection was there before.",
        )?;
        out.sample(name, "connection=\"new\"", count(self.dialled_requests.get()))?;
        out.sample(name, "connection=\"reused\"", count(self.reused_requests.get()))?;
        self.key_ages.expose(
            out,
            "waypoint_jwks_fetch_timestamp_seconds",
            "When a key set was last fetched, Unix time.",
        )?;
        self.kubernetes_errors.expose(
            out,
            "waypoint_kubernetes_watch_errors_total",
            "Lists and watches of the API server that failed.",
        )?;
        self.kubernetes_syncs.expose(
            out,
            "waypoint_kubernetes_last_sync_timestamp_seconds",
            "When a kind was last read whole or changed, Unix time.",
        )?;
        self.denials.expose(
            out,
            "waypoint_policy_denials_total",
            "Requests denied by an AuthorizationPolicy.",
        )?;
        self.audits.expose(
            out,
            "waypoint_policy_audits_total",
            "Requests that an AUDIT policy matches.",
        )?;
        self.dry_runs.expose(
            out,
            "waypoint_policy_dry_run_total",
            "What policies in dry run would have said of a request.",
        )?;
        self.backend_requests.expose(
            out,
            "waypoint_backend_requests_total",
            "Requests by the backend picked.",
        )?;
        self.expose_weights(out)?;
        process::expose(out)
    }

    fn expose_weights(&self, out: &mut dyn Sink) -> fmt::Result {
        let weights = self.weights.read().unwrap_or_else(PoisonError::into_inner).clone();
        if weights.is_empty() {
            return Ok(());
        }
        let name = "waypoint_backend_weight";
        out.family(name, Kind::Gauge, "Weight of a backend, as configured.")?;
        for BackendWeight { route, backend, weight } in &weights {
            out.sample(
                name,
                &render([("route", route), ("backend", backend)]),
                f64::from(*weight),
            )?;
        }
        Ok(())
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Gauge); 18] {
        [
            ("waypoint_tunnels", "Open CONNECT streams.", &self.tunnels),
            ("waypoint_connections", "Open HBONE connections.", &self.connections),
            (
                "waypoint_upstream_connections",
                "Open connections to workloads.",
                &self.upstream_connections,
            ),
            (
                "waypoint_requests_in_flight",
                "Requests begun and not finished.",
                &self.in_flight,
            ),
            ("waypoint_draining", "1 while shutting down.", &self.draining),
            (
                "waypoint_config_generation",
                "Generation of the configuration in force.",
                &self.config_generation,
            ),
            (
                "waypoint_config_findings_errors",
                "Errors in the latest configuration.",
                &self.config_errors,
            ),
            (
                "waypoint_config_findings_warnings",
                "Warnings in the latest configuration.",
                &self.config_warnings,
            ),
            (
                "waypoint_config_last_reload_success",
                "1 when all of the latest configuration is in force.",
                &self.config_reloaded,
            ),
            (
                "waypoint_config_last_reload_timestamp_seconds",
                "When the configuration in force came, Unix time.",
                &self.config_reload_time,
            ),
            (
                "waypoint_upstream_idle_connections",
                "HTTP/1.1 connections that wait to be used again.",
                &self.idle_connections,
            ),
            (
                "waypoint_certificate_expiry_timestamp_seconds",
                "When our certificate expires, Unix time; 0 before there is one.",
                &self.certificate_expiry,
            ),
            (
                "waypoint_dns_names",
                "Names looked up in the background.",
                &self.dns_names,
            ),
            (
                "waypoint_kubernetes_watches",
                "Lists and watches of the API server.",
                &self.kubernetes_watches,
            ),
            (
                "waypoint_kubernetes_watches_failing",
                "Of those, the ones that fail.",
                &self.kubernetes_watches_failing,
            ),
            (
                "waypoint_kubernetes_objects",
                "Objects of the cluster that are held.",
                &self.kubernetes_objects,
            ),
            (
                "waypoint_istiod_connected",
                "1 while istiod tells Services and workloads.",
                &self.istiod_connected,
            ),
            (
                "waypoint_istiod_addresses",
                "Services and workloads that istiod has told.",
                &self.istiod_addresses,
            ),
        ]
    }

    fn counters(&self) -> [(&'static str, &'static str, &Counter); 10] {
        [
            (
                "waypoint_config_updates_total",
                "Configurations that came into force.",
                &self.config_updates,
            ),
            (
                "waypoint_config_rejected_total",
                "Updates not taken, or not whole.",
                &self.config_rejected,
            ),
            (
                "waypoint_certificate_rotations_total",
                "Certificates replaced.",
                &self.certificate_rotations,
            ),
            (
                "waypoint_retries_total",
                "Upstream attempts after the first.",
                &self.retries,
            ),
            ("waypoint_mirrors_total", "Requests mirrored.", &self.mirrors),
            (
                "waypoint_mirrors_dropped_total",
                "Mirrors given up.",
                &self.mirrors_dropped,
            ),
            (
                "waypoint_spans_dropped_total",
                "Spans that found no room or no collector.",
                &self.spans_dropped,
            ),
            (
                "waypoint_spans_exported_total",
                "Spans that a collector took.",
                &self.spans_exported,
            ),
            (
                "waypoint_access_log_dropped_total",
                "Access log lines lost.",
                &self.access_log_dropped,
            ),
            (
                "waypoint_metric_series_overflow_total",
                "Label sets folded into overflow.",
                &self.series_overflow,
            ),
        ]
    }

    fn families(&self) -> [(&'static str, &'static str, &'static str, &Labelled); 15] {
        [
            (
                "waypoint_handshakes_total",
                "result",
                "HBONE handshakes.",
                &self.handshakes,
            ),
            (
                "waypoint_origination_handshakes_total",
                "result",
                "TLS handshakes with endpoints outside of tunnels.",
                &self.originations,
            ),
            (
                "waypoint_istiod_answers_total",
                "result",
                "Answers of istiod about Services and workloads.",
                &self.istiod_answers,
            ),
            (
                "waypoint_connect_refusals_total",
                "reason",
                "CONNECTs refused.",
                &self.connect_refusals,
            ),
            (
                "waypoint_dials_total",
                "result",
                "Upstream connections tried.",
                &self.dials,
            ),
            (
                "waypoint_refusals_total",
                "reason",
                "Requests answered by the waypoint itself.",
                &self.refusals,
            ),
            (
                "waypoint_resets_total",
                "side",
                "Streams cut before their end.",
                &self.resets,
            ),
            (
                "waypoint_tokens_total",
                "result",
                "JSON web tokens judged.",
                &self.tokens,
            ),
            (
                "waypoint_jwks_fetches_total",
                "result",
                "Key set fetches.",
                &self.key_fetches,
            ),
            (
                "waypoint_limits_hit_total",
                "limit",
                "Bounds that stopped something.",
                &self.limits,
            ),
            (
                "waypoint_ejections_total",
                "result",
                "Endpoints that failed too often.",
                &self.ejections,
            ),
            (
                "waypoint_overflows_total",
                "limit",
                "What circuit limits refused.",
                &self.overflows,
            ),
            (
                "waypoint_policy_verdicts_total",
                "verdict",
                "Requests and connections that policies judged.",
                &self.verdicts,
            ),
            (
                "waypoint_metric_pushes_total",
                "result",
                "OTLP calls with metrics.",
                &self.metric_pushes,
            ),
            (
                "waypoint_dns_lookups_total",
                "result",
                "DNS lookups.",
                &self.dns_lookups,
            ),
        ]
    }
}

/// A histogram of milliseconds, with a default.
#[derive(Debug)]
struct Milliseconds(Histogram);

impl Milliseconds {
    fn record(&self, took: Duration) {
        let _ = self.0.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

impl Default for Milliseconds {
    fn default() -> Self {
        Self(Histogram::new(&MILLISECONDS))
    }
}

#[cfg(test)]
mod tests;
