//! OTLP spans: one server span per request and one client span per upstream attempt, through a bounded queue.
//!
//! A sampled request leaves one compact record with `try_send`; a background task turns records into OTLP and sends
//! them. A dead, slow or hanging collector costs spans (counted), never requests or memory: at most the queue and one
//! batch are held. Not here: which parts of a request are worth a span attribute is in `spans/otlp.rs`.

mod environment;
mod proto;
mod record;
mod shape;
mod worker;

pub use environment::{Batch, Propagation, Sampler, TracerEnvironment};

use crate::dial::Dial;
use crate::otlp::Export;
use crate::plan::Plan;
use crate::{Metrics, Outcome, SpanId, TraceContext, TraceId};
use http::HeaderMap;
use record::Record;
use shape::Shape;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use worker::Worker;

/// How long the last flush may take.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// Settings of the tracer.
#[derive(Clone, Debug)]
pub struct SpansConfig {
    /// Where to, unless a [`Plan`] says otherwise; `None` records nothing then.
    pub export: Option<Export>,
    /// Share of new traces sampled, 0.0 to 1.0, unless a plan says otherwise. Istio's default is 0.01.
    pub sampling: f64,
    /// A parent's decision is respected.
    pub parent_based: bool,
    /// How the context goes upstream.
    pub propagation: Propagation,
    /// `node_id` tag: `waypoint~<ip>~<pod>.<ns>~<domain>`.
    pub node_id: String,
    /// `service.name` of the resource: `<gateway>.<namespace>`.
    pub service_name: String,
    /// More attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// Bounds of the queue.
    pub batch: Batch,
    /// `istio.mesh_id`, cluster id.
    pub cluster: String,
}

/// The tracer.
#[derive(Debug)]
pub struct Spans {
    export: Option<Arc<Export>>,
    shape: Arc<Shape>,
    /// New traces whose id's low half lies below are sampled; above all of u64 for "all".
    threshold: u128,
    parent_based: bool,
    propagation: Propagation,
    batch: Batch,
    dial: Arc<dyn Dial>,
    queue: mpsc::Sender<Record>,
    /// Taken by [`Spans::run`].
    records: Mutex<Option<mpsc::Receiver<Record>>>,
    ledger: Arc<Ledger>,
}

impl Spans {
    /// Makes it; [`Spans::run`] must be polled by a background task for anything to leave.
    pub fn new(config: SpansConfig, dial: Arc<dyn Dial>, metrics: Arc<Metrics>) -> Arc<Self> {
        let (queue, records) = mpsc::channel(config.batch.queue.max(1));
        Arc::new(Self {
            threshold: threshold(config.sampling),
            shape: Arc::new(Shape::new(&config)),
            export: config.export.map(Arc::new),
            parent_based: config.parent_based,
            propagation: config.propagation,
            batch: config.batch,
            dial,
            queue,
            records: Mutex::new(Some(records)),
            ledger: Arc::new(Ledger {
                metrics,
                pending: AtomicI64::new(0),
            }),
        })
    }

    /// False when nothing is ever recorded of such requests: then a client's `traceparent` should pass unchanged, for a
    /// span of ours would be missing between it and the workload's.
    pub fn traces(&self, plan: &Plan) -> bool {
        let tracing = plan.tracing();
        tracing.report && (tracing.export.is_some() || self.export.is_some())
    }

    /// The context of a request's server span: continues `traceparent` (or B3) in `headers`, or begins one.
    ///
    /// A parent's decision is respected; new traces, and parents that did not decide, are sampled by their id, so
    /// that every proxy with the same share decides alike. Only where [`Spans::traces`].
    pub fn begin(&self, plan: &Plan, headers: &HeaderMap) -> TraceContext {
        let share = plan.tracing().sampling;
        let threshold = share.map_or(self.threshold, threshold);
        let decided = |decision: Option<bool>, trace| match decision.filter(|_| self.parent_based) {
            Some(decision) => decision,
            None => is_below(trace, threshold),
        };
        let span = SpanId::random();
        match TraceContext::extract(headers) {
            Some((trace, parent, decision)) => TraceContext {
                trace,
                span,
                parent: Some(parent),
                sampled: decided(decision, trace),
            },
            None => {
                let trace = TraceId::random();
                TraceContext {
                    trace,
                    span,
                    parent: None,
                    sampled: decided(TraceContext::bare_decision(headers), trace),
                }
            }
        }
    }

    /// Points an upstream request at the client span of its attempt. B3 headers of the client are of its own span: they
    /// are written anew where they came or are asked for.
    pub fn propagate(&self, trace: &TraceContext, span: SpanId, headers: &mut HeaderMap) {
        trace.inject(span, self.propagation.b3, self.propagation.b3_multi, headers);
    }

    /// Queues the spans of a finished request when its context is sampled. Never blocks; counts what it drops.
    pub fn record(&self, outcome: &Outcome<'_>) {
        if !outcome.trace.sampled || !self.traces(outcome.plan) {
            return;
        }
        let Some(export) = outcome.plan.tracing().export.as_ref().or(self.export.as_ref()) else {
            return;
        };
        // A place first: what would be dropped is not even copied.
        match self.queue.try_reserve() {
            Ok(place) => {
                let record = Record::of(outcome, export);
                self.ledger.accepted(record.spans());
                place.send(record);
            }
            Err(_) => self.ledger.refused(1 + outcome.tries.len() as u64),
        }
    }

    /// The spans of one finished request as OTLP's protobuf, as [`Spans::run`] sends them. For benches: sending is not a
    /// request's work.
    pub fn otlp(&self, outcome: &Outcome<'_>) -> Vec<u8> {
        let export = outcome.plan.tracing().export.as_ref().or(self.export.as_ref());
        let records = export.map(|export| Record::of(outcome, export));
        self.shape.request(records.as_slice())
    }

    /// Exports batches until `shutdown` resolves, then flushes within 2 s.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let Some(queue) = self.records.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let (stopper, stop) = watch::channel(false);
        let work = Worker {
            queue,
            ways: Vec::new(),
            dial: Arc::clone(&self.dial),
            batch: self.batch,
            shape: Arc::clone(&self.shape),
            ledger: Arc::clone(&self.ledger),
            stop,
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
}

fn is_below(trace: TraceId, threshold: u128) -> bool {
    (trace.0 & u128::from(u64::MAX)) < threshold
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
