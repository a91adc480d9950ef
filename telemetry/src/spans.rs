//! OTLP spans: one server span per request and one client span per upstream attempt, through a bounded queue.
//!
//! A sampled request leaves one compact record with `try_send`; a background task turns records into OTLP and sends
//! them. A dead, slow or hanging collector costs spans (counted), never requests or memory: at most the queue and one
//! batch are held. Not here: which parts of a request are worth a span attribute is in `spans/otlp.rs`.

mod client;
mod endpoint;
mod otlp;
mod record;
mod worker;

use crate::{Metrics, Outcome, SpanId, TraceContext, TraceId};
use client::Client;
use http::HeaderMap;
use otlp::Shape;
use record::Record;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use worker::Worker;

/// How long the last flush may take.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Which OTLP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportProtocol {
    /// OTLP over gRPC (4317).
    Grpc,
    /// OTLP over HTTP/protobuf (4318, `/v1/traces`).
    HttpProtobuf,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// `http://host:port`; for HTTP without any path, `/v1/traces` is appended.
    pub endpoint: String,
    /// Transport.
    pub protocol: ExportProtocol,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// Per export call.
    pub timeout: Duration,
}

impl Export {
    /// From `OTEL_EXPORTER_OTLP_{ENDPOINT,PROTOCOL,HEADERS,TIMEOUT}` (traces-specific ones win), read through `var`.
    /// `None`: no endpoint set, or `OTEL_SDK_DISABLED=true`, or `OTEL_TRACES_EXPORTER=none`.
    ///
    /// Unset, the protocol is gRPC for port 4317 and `http/protobuf` otherwise; the timeout is 10 s.
    ///
    /// # Errors
    /// The variable, what was expected, what was found.
    pub fn from_env(var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        endpoint::from_env(var)
    }

    /// Whether spans can be sent there at all.
    ///
    /// # Errors
    /// What was expected, what was found: the endpoint or a header is not valid, or it wants TLS, which is not built in.
    pub fn check(&self) -> Result<(), String> {
        self.uri()?;
        self.header_map().map(drop)
    }
}

/// Settings of the tracer.
#[derive(Clone, Debug)]
pub struct SpansConfig {
    /// Where to; `None` records nothing.
    pub export: Option<Export>,
    /// Share of new traces sampled, 0.0 to 1.0. Istio's default is 0.01. A parent's decision is respected.
    pub sampling: f64,
    /// `node_id` tag: `waypoint~<ip>~<pod>.<ns>~<domain>`.
    pub node_id: String,
    /// `service.name` of the resource: `<gateway>.<namespace>`.
    pub service_name: String,
    /// Spans waiting at most (default 2,048).
    pub queue: usize,
    /// `istio.mesh_id`, cluster id.
    pub cluster: String,
}

/// The tracer.
#[derive(Debug)]
pub struct Spans {
    export: Option<Export>,
    shape: Arc<Shape>,
    /// New traces whose id's low half lies below are sampled; above all of u64 for "all".
    threshold: u128,
    queue: mpsc::Sender<Record>,
    /// Taken by [`Spans::run`].
    records: Mutex<Option<mpsc::Receiver<Record>>>,
    ledger: Arc<Ledger>,
}

impl Spans {
    /// Makes it; [`Spans::run`] must be polled by a background task for anything to leave.
    pub fn new(config: SpansConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        let (queue, records) = mpsc::channel(config.queue.max(1));
        Arc::new(Self {
            threshold: threshold(config.sampling),
            shape: Arc::new(Shape::new(&config)),
            export: config.export,
            queue,
            records: Mutex::new(Some(records)),
            ledger: Arc::new(Ledger {
                metrics,
                pending: AtomicI64::new(0),
            }),
        })
    }

    /// False when nothing is ever recorded: then a client's `traceparent` should pass unchanged, for a span of ours
    /// would be missing between it and the workload's.
    pub fn enabled(&self) -> bool {
        self.export.is_some()
    }

    /// The context of a request's server span: continues `traceparent` (or B3) in `headers`, or begins one.
    ///
    /// A parent's decision is respected; new traces, and parents that did not decide, are sampled by their id, so
    /// that every proxy with the same share decides alike. Nothing new is sampled when nothing is exported.
    pub fn begin(&self, headers: &HeaderMap) -> TraceContext {
        let span = SpanId::random();
        match TraceContext::extract(headers) {
            Some((trace, parent, decision)) => {
                let sampled = decision.unwrap_or_else(|| self.sample(trace));
                TraceContext {
                    trace,
                    span,
                    parent: Some(parent),
                    sampled,
                }
            }
            None => {
                let trace = TraceId::random();
                let sampled = TraceContext::bare_decision(headers).unwrap_or_else(|| self.sample(trace));
                TraceContext {
                    trace,
                    span,
                    parent: None,
                    sampled,
                }
            }
        }
    }

    /// Queues the spans of a finished request when its context is sampled. Never blocks; counts what it drops.
    pub fn record(&self, outcome: &Outcome<'_>) {
        if !outcome.trace.sampled || self.export.is_none() {
            return;
        }
        // A place first: what would be dropped is not even copied.
        match self.queue.try_reserve() {
            Ok(place) => {
                let record = Record::of(outcome);
                self.ledger.accepted(record.spans());
                place.send(record);
            }
            Err(_) => self.ledger.refused(1 + outcome.tries.len() as u64),
        }
    }

    /// Exports batches (every 1 s or 512 spans) until `shutdown` resolves, then flushes within 2 s.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let Some(queue) = self.records.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let Some(export) = self.export.clone() else { return };
        let client = match Client::new(&export) {
            Ok(client) => client,
            // The queue is closed: every span is counted as dropped.
            Err(why) => return tracing::error!(why, "spans cannot be exported and are dropped"),
        };
        let (stopper, stop) = watch::channel(false);
        let (shape, ledger) = (Arc::clone(&self.shape), Arc::clone(&self.ledger));
        let work = Worker {
            queue,
            client,
            export,
            shape,
            ledger,
            stop,
            failing: false,
        }
        .work();
        let mut work = Box::pin(work);
        tokio::select! {
            () = shutdown => {}
            () = &mut work => return,
        }
        stopper.send_replace(true);
        let _ = tokio::time::timeout(LAST_FLUSH, work).await;
        self.ledger.abandon();
    }

    fn sample(&self, trace: TraceId) -> bool {
        self.export.is_some() && (trace.0 & u128::from(u64::MAX)) < self.threshold
    }
}

/// The share of all 64-bit numbers. What is no number is none of them.
fn threshold(share: f64) -> u128 {
    if share >= 1.0 {
        return 1 << 64;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let threshold = (share.max(0.0) * (1_u128 << 64) as f64) as u128;
    threshold
}

/// Which spans are where: each one that was begun ends as exported or dropped.
#[derive(Debug)]
struct Ledger {
    metrics: Arc<Metrics>,
    pending: AtomicI64,
}

impl Ledger {
    fn accepted(&self, spans: u64) {
        self.pending.fetch_add(signed(spans), Relaxed);
    }
    /// Never accepted.
    fn refused(&self, spans: u64) {
        self.metrics.own.spans_dropped.inc_by(spans);
    }
    fn exported(&self, spans: u64, rejected: u64) {
        self.pending.fetch_sub(signed(spans), Relaxed);
        self.metrics.own.spans_exported.inc_by(spans - rejected);
        self.metrics.own.spans_dropped.inc_by(rejected);
    }
    fn dropped(&self, spans: u64) {
        self.pending.fetch_sub(signed(spans), Relaxed);
        self.metrics.own.spans_dropped.inc_by(spans);
    }
    /// Whatever is left is lost.
    fn abandon(&self) {
        let left = self.pending.swap(0, Relaxed);
        self.metrics.own.spans_dropped.inc_by(u64::try_from(left).unwrap_or(0));
    }
}

fn signed(spans: u64) -> i64 {
    i64::try_from(spans).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
