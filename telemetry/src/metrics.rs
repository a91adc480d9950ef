//! Istio's metrics, by exact name and label order, with `reporter="waypoint"`.
//!
//! A finished request is a look-up and a dozen atomic adds: see `metrics/series.rs` for how its series are found.
//! The message counters carry only the labels of both ends, as Istio writes them.

mod exemplar;
mod exposition;
mod family;
mod histogram;
mod key;
mod labels;
mod series;
mod sink;

pub(crate) use exemplar::Exemplars;
pub use exposition::Format;
pub(crate) use exposition::{Exposition, push_label};
pub(crate) use histogram::{Histogram, MILLISECONDS};
pub(crate) use sink::{Kind, Sink, count};

use crate::ended::Ended;
use crate::plan::Metric;
use crate::{Outcome, OwnMetrics, TcpOutcome};
use family::{Blocks, Family};
use histogram::BYTES;
use key::{KeyRef, Protocol};
use series::Cache;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// Label sets of each metric that are kept apart by default; further ones share `overflow`.
pub const DEFAULT_SERIES_LIMIT: usize = 10_000;

/// All series. Shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    /// Our own (`waypoint_*`).
    pub own: OwnMetrics,
    build: String,
    begun: SystemTime,
    requests: Cache<RequestSeries>,
    connections: Cache<TcpSeries>,
    families: Families,
}

/// Istio's metrics, each with the label sets that it has.
#[derive(Debug)]
struct Families {
    count: Family<AtomicU64>,
    duration: Family<Timed>,
    request_bytes: Family<Histogram>,
    response_bytes: Family<Histogram>,
    request_messages: Family<AtomicU64>,
    response_messages: Family<AtomicU64>,
    opened: Family<AtomicU64>,
    closed: Family<AtomicU64>,
    sent: Family<AtomicU64>,
    received: Family<AtomicU64>,
}

impl Metrics {
    /// Makes the registry. `version` goes to `istio_build`. At most [`DEFAULT_SERIES_LIMIT`] label sets.
    pub fn new(version: &str) -> Self {
        Self::with_limit(version, DEFAULT_SERIES_LIMIT)
    }

    /// The same with another bound. A request set is some 66 samples, about 60 KB of a scrape and 2 KB of memory.
    pub fn with_limit(version: &str, limit: usize) -> Self {
        let mut build = String::new();
        push_label(&mut build, "component", "proxy");
        push_label(&mut build, "tag", if version.is_empty() { "unknown" } else { version });
        Self {
            own: OwnMetrics::default(),
            build,
            begun: SystemTime::now(),
            requests: Cache::new(),
            connections: Cache::new(),
            families: Families::new(limit),
        }
    }

    /// Counts a finished request. Handles are resolved once per (source, destination, service, code, flags, plan).
    pub fn observe(&self, outcome: &Outcome<'_>) {
        let values = outcome.plan.metrics().values(&Ended::Request(outcome));
        let key = KeyRef::of(outcome, &values);
        self.requests.with(
            &key,
            || self.families.request(&key, &self.own),
            |series| series.count(outcome),
        );
    }

    /// Counts an opened TCP connection.
    pub fn tcp_opened(&self, outcome: &TcpOutcome<'_>) {
        self.with_tcp(outcome, |series| add(&series.opened, 1));
    }

    /// Counts bytes of a TCP connection that stays open. `received` and `sent` are what came since the last call:
    /// Istio reports long connections every 5 s.
    pub fn tcp_bytes(&self, outcome: &TcpOutcome<'_>) {
        self.with_tcp(outcome, |series| series.count_bytes(outcome));
    }

    /// Counts a closed TCP connection and its bytes (those not told to [`Metrics::tcp_bytes`]).
    pub fn tcp_closed(&self, outcome: &TcpOutcome<'_>) {
        self.with_tcp(outcome, |series| {
            add(&series.closed, 1);
            series.count_bytes(outcome);
        });
    }

    /// The text of `/stats/prometheus`, in Prometheus' format 0.0.4.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1_024);
        // Writing to a String cannot fail.
        let _ = self.encode_to(&mut text, Format::Text);
        text
    }

    /// The same in either format, written piece by piece: a scrape of thousands of label sets is hundreds of megabytes.
    /// No lock that a request needs is held while `out` is written to.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn encode_to(&self, out: &mut dyn fmt::Write, format: Format) -> fmt::Result {
        let mut out = Exposition::new(out, format);
        self.expose(&mut out)?;
        out.end()
    }

    /// Since when it counts.
    pub(crate) fn begun(&self) -> SystemTime {
        self.begun
    }

    /// Everything there is.
    pub(crate) fn expose(&self, out: &mut dyn Sink) -> fmt::Result {
        out.family("istio_build", Kind::Gauge, "Version of this proxy.")?;
        out.sample("istio_build", &self.build, 1.0)?;
        self.families.expose(out)?;
        self.own.expose(out)
    }

    fn with_tcp(&self, outcome: &TcpOutcome<'_>, with: impl Fn(&TcpSeries)) {
        let values = outcome.plan.metrics().values(&Ended::Connection(outcome));
        let key = KeyRef::of_tcp(outcome, &values);
        self.connections.with(&key, || self.families.tcp(&key, &self.own), with);
    }
}

/// What a request's labels count. `None`: a Telemetry resource disables it.
#[derive(Debug)]
struct RequestSeries {
    count: Option<Arc<AtomicU64>>,
    duration: Option<Arc<Timed>>,
    request_bytes: Option<Arc<Histogram>>,
    response_bytes: Option<Arc<Histogram>>,
    request_messages: Option<Arc<AtomicU64>>,
    response_messages: Option<Arc<AtomicU64>>,
}

/// Durations, with the traces that show them.
#[derive(Debug)]
struct Timed {
    histogram: Histogram,
    exemplars: Exemplars,
}

impl RequestSeries {
    fn count(&self, outcome: &Outcome<'_>) {
        add(&self.count, 1);
        if let Some(timed) = &self.duration {
            let micros = u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX);
            let bucket = timed.histogram.record(micros);
            if outcome.trace.sampled {
                timed.exemplars.note(bucket, micros, outcome.trace, outcome.start);
            }
        }
        if let Some(bytes) = &self.request_bytes {
            let _ = bytes.record(outcome.request_bytes);
        }
        if let Some(bytes) = &self.response_bytes {
            let _ = bytes.record(outcome.response_bytes);
        }
        add(&self.request_messages, outcome.request_messages);
        add(&self.response_messages, outcome.response_messages);
    }
}

/// What a connection's labels count.
#[derive(Debug)]
struct TcpSeries {
    opened: Option<Arc<AtomicU64>>,
    closed: Option<Arc<AtomicU64>>,
    sent: Option<Arc<AtomicU64>>,
    received: Option<Arc<AtomicU64>>,
}

impl TcpSeries {
    fn count_bytes(&self, outcome: &TcpOutcome<'_>) {
        add(&self.sent, outcome.sent);
        add(&self.received, outcome.received);
    }
}

fn add(counter: &Option<Arc<AtomicU64>>, count: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(count, Relaxed);
    }
}

impl Families {
    fn new(limit: usize) -> Self {
        Self {
            count: Family::new(Metric::RequestCount, limit),
            duration: Family::new(Metric::RequestDuration, limit),
            request_bytes: Family::new(Metric::RequestSize, limit),
            response_bytes: Family::new(Metric::ResponseSize, limit),
            request_messages: Family::new(Metric::GrpcRequestMessages, limit),
            response_messages: Family::new(Metric::GrpcResponseMessages, limit),
            opened: Family::new(Metric::TcpOpened, limit),
            closed: Family::new(Metric::TcpClosed, limit),
            sent: Family::new(Metric::TcpSent, limit),
            received: Family::new(Metric::TcpReceived, limit),
        }
    }

    fn request(&self, key: &KeyRef<'_>, own: &OwnMetrics) -> Arc<RequestSeries> {
        let mut blocks = Blocks::of(key, own);
        let bytes = || Histogram::new(&BYTES);
        let timed = || Timed {
            histogram: Histogram::new(&MILLISECONDS),
            exemplars: Exemplars::default(),
        };
        let grpc = key.protocol == Protocol::Grpc;
        Arc::new(RequestSeries {
            count: self.count.get(&mut blocks, AtomicU64::default),
            duration: self.duration.get(&mut blocks, timed),
            request_bytes: self.request_bytes.get(&mut blocks, bytes),
            response_bytes: self.response_bytes.get(&mut blocks, bytes),
            request_messages: grpc
                .then(|| self.request_messages.get(&mut blocks, AtomicU64::default))
                .flatten(),
            response_messages: grpc
                .then(|| self.response_messages.get(&mut blocks, AtomicU64::default))
                .flatten(),
        })
    }

    fn tcp(&self, key: &KeyRef<'_>, own: &OwnMetrics) -> Arc<TcpSeries> {
        let mut blocks = Blocks::of(key, own);
        Arc::new(TcpSeries {
            opened: self.opened.get(&mut blocks, AtomicU64::default),
            closed: self.closed.get(&mut blocks, AtomicU64::default),
            sent: self.sent.get(&mut blocks, AtomicU64::default),
            received: self.received.get(&mut blocks, AtomicU64::default),
        })
    }

    fn expose(&self, out: &mut dyn Sink) -> fmt::Result {
        self.count.counters(out, "istio_requests_total", "Requests.")?;
        self.duration.histograms(
            out,
            "istio_request_duration_milliseconds",
            "Duration of requests.",
            |timed| (&timed.histogram, Some(&timed.exemplars)),
        )?;
        fn plain(histogram: &Histogram) -> (&Histogram, Option<&Exemplars>) {
            (histogram, None)
        }
        self.request_bytes
            .histograms(out, "istio_request_bytes", "Sizes of request bodies.", plain)?;
        self.response_bytes
            .histograms(out, "istio_response_bytes", "Sizes of response bodies.", plain)?;
        let counters = [
            (
                &self.request_messages,
                "istio_request_messages_total",
                "gRPC messages from clients.",
            ),
            (
                &self.response_messages,
                "istio_response_messages_total",
                "gRPC messages to clients.",
            ),
            (
                &self.opened,
                "istio_tcp_connections_opened_total",
                "TCP connections opened.",
            ),
            (
                &self.closed,
                "istio_tcp_connections_closed_total",
                "TCP connections closed.",
            ),
            (&self.sent, "istio_tcp_sent_bytes_total", "Bytes sent to TCP clients."),
            (
                &self.received,
                "istio_tcp_received_bytes_total",
                "Bytes received from TCP clients.",
            ),
        ];
        counters
            .into_iter()
            .try_for_each(|(family, name, help)| family.counters(out, name, help))
    }
}

#[cfg(test)]
mod tests;
