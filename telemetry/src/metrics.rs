//! Istio's metrics, by exact name and label order, with `reporter="waypoint"`.
//!
//! A finished request is a look-up and a dozen atomic adds: see `metrics/series.rs` for how its series are found.
//! The message counters carry only the labels of both ends, as Istio writes them.

mod exemplar;
mod exposition;
mod histogram;
mod key;
mod labels;
mod series;

pub use exposition::Format;
pub(crate) use exposition::{Exposition, Kind, push_label};
pub(crate) use histogram::{Histogram, MILLISECONDS};

use crate::{Outcome, OwnMetrics, TcpOutcome};
use exemplar::Exemplars;
use histogram::BYTES;
use key::{KeyRef, Protocol};
use series::{Cache, Store};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Label sets of each kind (requests, messages, TCP) that are kept apart by default; further ones share `overflow`.
pub const DEFAULT_SERIES_LIMIT: usize = 10_000;

/// All series. Shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    /// Our own (`waypoint_*`).
    pub own: OwnMetrics,
    build: String,
    requests: Families<RequestSeries>,
    messages: Store<MessageSeries>,
    messages_overflow: Arc<MessageSeries>,
    tcp: Families<TcpSeries>,
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
            requests: Families::new(limit),
            messages: Store::new(limit),
            messages_overflow: Arc::default(),
            tcp: Families::new(limit),
        }
    }

    /// Counts a finished request. Handles are resolved once per (source, destination, service, code, flags).
    pub fn observe(&self, outcome: &Outcome<'_>) {
        let key = KeyRef::of(outcome);
        self.requests
            .cache
            .with(&key, || self.resolve_request(&key), |series| series.count(outcome));
    }

    /// Counts an opened TCP connection.
    pub fn tcp_opened(&self, outcome: &TcpOutcome<'_>) {
        self.with_tcp(outcome, |series| {
            series.opened.fetch_add(1, Relaxed);
        });
    }

    /// Counts bytes of a TCP connection that stays open. `received` and `sent` are what came since the last call:
    /// Istio reports long connections every 5 s.
    pub fn tcp_bytes(&self, outcome: &TcpOutcome<'_>) {
        self.with_tcp(outcome, |series| series.count_bytes(outcome));
    }

    /// Counts a closed TCP connection and its bytes (those not told to [`Metrics::tcp_bytes`]).
    pub fn tcp_closed(&self, outcome: &TcpOutcome<'_>) {
        self.with_tcp(outcome, |series| {
            series.closed.fetch_add(1, Relaxed);
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
        out.family("istio_build", Kind::Gauge, "Version of this proxy.")?;
        out.sample("istio_build", &self.build, 1)?;
        self.expose_requests(&mut out)?;
        self.expose_messages(&mut out)?;
        self.expose_tcp(&mut out)?;
        self.own.expose(&mut out)?;
        out.end()
    }

    fn with_tcp(&self, outcome: &TcpOutcome<'_>, with: impl Fn(&TcpSeries)) {
        let key = KeyRef::of_tcp(outcome);
        let resolve = || {
            self.tcp
                .resolve(&key, &self.own, &labels::ends(&key), |_| TcpSeries::default())
        };
        self.tcp.cache.with(&key, resolve, with);
    }

    fn resolve_request(&self, key: &KeyRef<'_>) -> Arc<RequestSeries> {
        let ends = labels::ends(key);
        self.requests.resolve(key, &self.own, &ends, |room| {
            let messages = (key.protocol == Protocol::Grpc).then(|| self.resolve_messages(room, &ends));
            RequestSeries::new(messages)
        })
    }

    /// The overflow's requests are of many ends: their messages are the overflow's too.
    fn resolve_messages(&self, room: Room, ends: &str) -> Arc<MessageSeries> {
        let found = match room {
            Room::Own => self.messages.get(ends, MessageSeries::default),
            Room::Overflow => None,
        };
        found.unwrap_or_else(|| Arc::clone(&self.messages_overflow))
    }
}

/// Whether a label set found a place of its own.
#[derive(Clone, Copy)]
enum Room {
    Own,
    Overflow,
}

/// What a set of labels counts for requests.
#[derive(Debug)]
struct RequestSeries {
    requests: AtomicU64,
    duration: Histogram,
    exemplars: Exemplars,
    request_bytes: Histogram,
    response_bytes: Histogram,
    messages: Option<Arc<MessageSeries>>,
}

impl RequestSeries {
    fn new(messages: Option<Arc<MessageSeries>>) -> Self {
        Self {
            requests: AtomicU64::new(0),
            duration: Histogram::new(&MILLISECONDS),
            exemplars: Exemplars::default(),
            request_bytes: Histogram::new(&BYTES),
            response_bytes: Histogram::new(&BYTES),
            messages,
        }
    }

    fn count(&self, outcome: &Outcome<'_>) {
        self.requests.fetch_add(1, Relaxed);
        let micros = u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.duration.record(micros);
        if outcome.trace.sampled {
            self.exemplars.note(bucket, micros, outcome.trace, outcome.start);
        }
        self.request_bytes.record(outcome.request_bytes);
        self.response_bytes.record(outcome.response_bytes);
        if let Some(messages) = &self.messages {
            messages.request.fetch_add(outcome.request_messages, Relaxed);
            messages.response.fetch_add(outcome.response_messages, Relaxed);
        }
    }
}

/// What both ends count for gRPC messages.
#[derive(Debug, Default)]
struct MessageSeries {
    request: AtomicU64,
    response: AtomicU64,
}

/// What a set of labels counts for TCP.
#[derive(Debug, Default)]
struct TcpSeries {
    opened: AtomicU64,
    closed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl TcpSeries {
    fn count_bytes(&self, outcome: &TcpOutcome<'_>) {
        self.sent.fetch_add(outcome.sent, Relaxed);
        self.received.fetch_add(outcome.received, Relaxed);
    }
}

/// Cache, true map, and the few sets for what does not fit.
#[derive(Debug)]
struct Families<S> {
    cache: Cache<S>,
    store: Store<S>,
    overflow: Store<S>,
}

impl<S> Families<S> {
    fn new(limit: usize) -> Self {
        // The overflow's labels have few values: protocol, 501 codes, two policies.
        Self {
            cache: Cache::new(),
            store: Store::new(limit),
            overflow: Store::new(usize::MAX),
        }
    }

    fn resolve(&self, key: &KeyRef<'_>, own: &OwnMetrics, ends: &str, make: impl Fn(Room) -> S) -> Arc<S> {
        let mut block = ends.to_owned();
        labels::request(&mut block, key);
        if let Some(series) = self.store.get(&block, || make(Room::Own)) {
            return series;
        }
        own.series_overflow.inc();
        let mut block = labels::overflow_ends();
        labels::overflow_request(&mut block, key);
        self.overflow
            .get(&block, || make(Room::Overflow))
            .unwrap_or_else(|| Arc::new(make(Room::Overflow)))
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<S>)> {
        let mut all = self.store.all();
        all.extend(self.overflow.all());
        all
    }
}

impl Metrics {
    fn expose_requests(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let all = self.requests.all();
        counters(out, &all, "istio_requests_total", "Requests.", |s| &s.requests)?;
        histograms(
            out,
            &all,
            "istio_request_duration_milliseconds",
            "Duration of requests.",
            |s| (&s.duration, Some(&s.exemplars)),
        )?;
        histograms(out, &all, "istio_request_bytes", "Sizes of request bodies.", |s| {
            (&s.request_bytes, None)
        })?;
        histograms(out, &all, "istio_response_bytes", "Sizes of response bodies.", |s| {
            (&s.response_bytes, None)
        })
    }

    fn expose_messages(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let mut all = self.messages.all();
        if Arc::strong_count(&self.messages_overflow) > 1 {
            all.push((labels::overflow_ends().into(), Arc::clone(&self.messages_overflow)));
        }
        counters(
            out,
            &all,
            "istio_request_messages_total",
            "gRPC messages from clients.",
            |s| &s.request,
        )?;
        counters(
            out,
            &all,
            "istio_response_messages_total",
            "gRPC messages to clients.",
            |s| &s.response,
        )
    }

    fn expose_tcp(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let all = self.tcp.all();
        counters(
            out,
            &all,
            "istio_tcp_connections_opened_total",
            "TCP connections opened.",
            |s| &s.opened,
        )?;
        counters(
            out,
            &all,
            "istio_tcp_connections_closed_total",
            "TCP connections closed.",
            |s| &s.closed,
        )?;
        counters(
            out,
            &all,
            "istio_tcp_sent_bytes_total",
            "Bytes sent to TCP clients.",
            |s| &s.sent,
        )?;
        counters(
            out,
            &all,
            "istio_tcp_received_bytes_total",
            "Bytes received from TCP clients.",
            |s| &s.received,
        )
    }
}

fn counters<S>(
    out: &mut Exposition<'_>,
    all: &[(Arc<str>, Arc<S>)],
    name: &str,
    help: &str,
    value: fn(&S) -> &AtomicU64,
) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    out.family(name, Kind::Counter, help)?;
    all.iter()
        .try_for_each(|(labels, series)| out.sample(name, labels, value(series).load(Relaxed)))
}

fn histograms(
    out: &mut Exposition<'_>,
    all: &[(Arc<str>, Arc<RequestSeries>)],
    name: &str,
    help: &str,
    read: fn(&RequestSeries) -> (&Histogram, Option<&Exemplars>),
) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    out.family(name, Kind::Histogram, help)?;
    for (labels, series) in all {
        let (histogram, exemplars) = read(series);
        let exemplars = exemplars.filter(|_| out.has_exemplars());
        let exemplars = exemplars.map(Exemplars::all).unwrap_or_default();
        histogram.expose(out, name, labels, &exemplars)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
