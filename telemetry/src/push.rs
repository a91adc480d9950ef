//! Metrics over OTLP: all that a scrape has, by the same names, pushed every minute. Optional.
//!
//! A push is built, sent and forgotten: nothing waits for a collector that is away, and what it missed is in the next,
//! for sums are since the start. Histograms and counters are cumulative, as Prometheus has them.

use crate::Metrics;
use crate::dial::Dial;
use crate::metrics::{Exemplars, Histogram, Kind, Sink};
use crate::otlp::{Client, Export, Sent, Signal};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as Buckets, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Default of `OTEL_METRIC_EXPORT_INTERVAL`.
const INTERVAL: Duration = Duration::from_secs(60);
/// Data points of one call: a push of more is several calls, so that no message is larger than collectors take (4 MiB).
const POINTS: usize = 2_000;
/// Data points of one push; those beyond are left out.
const MAX_POINTS: usize = 100_000;
/// The last push may take this long.
const LAST_PUSH: Duration = Duration::from_secs(2);

/// The pusher.
#[derive(Debug)]
pub struct MetricsPush {
    export: Export,
    interval: Duration,
    resource: Vec<(String, String)>,
    dial: Arc<dyn Dial>,
    metrics: Arc<Metrics>,
}

impl MetricsPush {
    /// Where `OTEL_METRICS_EXPORTER=otlp` wants it, every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds (default a minute).
    /// `None`: nobody wants it. `resource` names this process, `service.name` first.
    ///
    /// # Errors
    /// The variable, what was expected, what was found.
    pub fn from_env(
        var: &dyn Fn(&str) -> Option<String>,
        resource: Vec<(String, String)>,
        dial: Arc<dyn Dial>,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>, String> {
        let Some(export) = Export::from_env(Signal::Metrics, var)? else {
            return Ok(None);
        };
        let name = "OTEL_METRIC_EXPORT_INTERVAL";
        let interval = match var(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
        {
            None => INTERVAL,
            Some(text) => match text.parse::<u32>() {
                Ok(millis @ 100..) => Duration::from_millis(millis.into()),
                _ => return Err(format!("{name}: expected milliseconds, at least 100, found `{text}`")),
            },
        };
        Ok(Some(Self {
            export,
            interval,
            resource,
            dial,
            metrics,
        }))
    }

    /// Pushes until `shutdown` resolves, and once more then.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let client = match Client::new(Signal::Metrics, &self.export, Arc::clone(&self.dial)) {
            Ok(client) => client,
            Err(why) => return tracing::error!(why, "metrics cannot be pushed"),
        };
        let pushing = async {
            let mut failing = false;
            loop {
                tokio::time::sleep(self.interval).await;
                self.told(self.push(&client).await, &mut failing);
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = pushing => {}
        }
        // What was on its way is left; the last one has all of it.
        let _ = tokio::time::timeout(LAST_PUSH, self.push(&client)).await;
    }

    /// Says once that it fails, and once that it works again.
    fn told(&self, pushed: Result<(), String>, failing: &mut bool) {
        let endpoint = &self.export.endpoint;
        let failed = pushed.is_err();
        match pushed {
            Ok(()) if *failing => tracing::info!(%endpoint, "the metrics collector takes metrics again"),
            Err(why) if !*failing => tracing::warn!(%endpoint, why, "the metrics collector does not take metrics"),
            _ => {}
        }
        *failing = failed;
    }

    async fn push(&self, client: &Client) -> Result<(), String> {
        let batches = {
            let metrics = Arc::clone(&self.metrics);
            let rendered = tokio::task::spawn_blocking(move || Points::of(&metrics)).await;
            rendered.map_err(|error| error.to_string())?
        };
        for batch in batches {
            let payload = client.payload(self.request(batch).encode_to_vec());
            match client.send(&payload, self.export.timeout).await {
                Sent::Taken { .. } => self.metrics.own.metric_push("ok"),
                Sent::Later { why, .. } | Sent::Never { why } => {
                    self.metrics.own.metric_push("failed");
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    fn request(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let attributes = self.resource.iter().map(|(key, value)| text(key, value));
        let scope = ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: "waypoint".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics,
            ..ScopeMetrics::default()
        };
        let resource = ResourceMetrics {
            resource: Some(Resource {
                attributes: attributes.collect(),
                ..Resource::default()
            }),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        };
        ExportMetricsServiceRequest {
            resource_metrics: vec![resource],
        }
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// Samples as data points, in batches.
struct Points {
    now: u64,
    begun: u64,
    done: Vec<Vec<Metric>>,
    batch: Vec<Metric>,
    /// The family that is being written.
    name: String,
    help: String,
    kind: Kind,
    points: usize,
    all: usize,
}

impl Points {
    fn of(metrics: &Metrics) -> Vec<Vec<Metric>> {
        let nanos = |at: SystemTime| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        };
        let mut points = Self {
            now: nanos(SystemTime::now()),
            begun: nanos(metrics.begun()),
            done: Vec::new(),
            batch: Vec::new(),
            name: String::new(),
            help: String::new(),
            kind: Kind::Gauge,
            points: 0,
            all: 0,
        };
        // Ends early only where there are too many.
        let _ = metrics.expose(&mut points);
        points.done.push(points.batch);
        points.done.retain(|batch| !batch.is_empty());
        points.done
    }

    /// The metric that takes one more point.
    fn data(&mut self) -> Result<&mut Data, fmt::Error> {
        if self.all >= MAX_POINTS {
            return Err(fmt::Error);
        }
        if self.points >= POINTS {
            self.done.push(std::mem::take(&mut self.batch));
            self.points = 0;
        }
        self.all += 1;
        self.points += 1;
        if self.batch.last().is_none_or(|metric| metric.name != self.name) {
            self.batch.push(Metric {
                name: self.name.clone(),
                description: self.help.clone(),
                unit: unit(&self.name).to_owned(),
                data: Some(empty(self.kind)),
                ..Metric::default()
            });
        }
        self.batch
            .last_mut()
            .and_then(|metric| metric.data.as_mut())
            .ok_or(fmt::Error)
    }
}

fn empty(kind: Kind) -> Data {
    let cumulative = AggregationTemporality::Cumulative.into();
    match kind {
        Kind::Gauge => Data::Gauge(Gauge::default()),
        Kind::Counter => Data::Sum(Sum {
            aggregation_temporality: cumulative,
            is_monotonic: true,
            ..Sum::default()
        }),
        Kind::Histogram => Data::Histogram(Buckets {
            aggregation_temporality: cumulative,
            ..Buckets::default()
        }),
    }
}

/// By the last word of a name, in UCUM.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("milliseconds") => "ms",
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

impl Sink for Points {
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> fmt::Result {
        (self.name, self.help, self.kind) = (name.to_owned(), help.to_owned(), kind);
        Ok(())
    }

    fn sample(&mut self, _: &str, labels: &str, value: f64) -> fmt::Result {
        let (now, begun) = (self.now, self.begun);
        let point = NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: if self.kind == Kind::Counter { begun } else { 0 },
            time_unix_nano: now,
            value: Some(Number::AsDouble(value)),
            ..NumberDataPoint::default()
        };
        match self.data()? {
            Data::Gauge(gauge) => gauge.data_points.push(point),
            Data::Sum(sum) => sum.data_points.push(point),
            _ => {}
        }
        Ok(())
    }

    fn histogram(&mut self, _: &str, labels: &str, histogram: &Histogram, _: Option<&Exemplars>) -> fmt::Result {
        let (counts, sum) = histogram.read();
        let bounds = Histogram::BOUNDS.iter().filter_map(|bound| bound.parse::<f64>().ok());
        let point = HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.begun,
            time_unix_nano: self.now,
            count: counts.iter().sum(),
            sum: Some(sum),
            bucket_counts: counts.to_vec(),
            explicit_bounds: bounds.filter(|bound| bound.is_finite()).collect(),
            ..HistogramDataPoint::default()
        };
        if let Data::Histogram(buckets) = self.data()? {
            buckets.data_points.push(point);
        }
        Ok(())
    }
}

/// A rendered label block, taken apart again.
fn attributes(mut labels: &str) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    while let Some((name, rest)) = labels.split_once("=\"") {
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, other)) => value.push(other),
                    None => break rest.len(),
                },
                Some((at, '"')) => break at + 1,
                Some((_, other)) => value.push(other),
                None => break rest.len(),
            }
        };
        attributes.push(text(name.trim_start_matches(','), &value));
        labels = rest.get(end..).unwrap_or_default();
    }
    attributes
}

#[cfg(test)]
mod tests;
