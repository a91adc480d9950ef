//! What is told of the requests to one Service: Telemetry resources and MeshConfig, compiled.
//!
//! Made when config is read and shared by all Services that are told of alike; a request holds one from start to end.

use crate::access_log::LogFormat;
use crate::ended::Ended;
use crate::expression::{Attribute, Expression, Side};
use crate::{Export, Outcome};
use http::HeaderName;
use std::sync::Arc;

/// Headers that are kept of a request, or of an answer, because something is told of them.
const MAX_HEADERS: usize = 32;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    tracing: TracingPlan,
    metrics: Arc<MetricsPlan>,
    access_log: Vec<LogRule>,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    tells_path: bool,
    tells_route: bool,
}

/// Spans.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingPlan {
    /// Share of new traces that are sampled, 0.0 to 1.0; `None`: the process's own.
    pub sampling: Option<f64>,
    /// Spans are reported (`disableSpanReporting: false`).
    pub report: bool,
    /// Where to; `None`: where the process's own environment says.
    pub export: Option<Arc<Export>>,
    /// Tags beside the usual ones.
    pub tags: Vec<CustomTag>,
    /// Istio's tags are written (`enableIstioTags`).
    pub istio_tags: bool,
}

impl Default for TracingPlan {
    fn default() -> Self {
        Self {
            sampling: None,
            report: true,
            export: None,
            tags: Vec::new(),
            istio_tags: true,
        }
    }
}

/// A tag of spans.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomTag {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: TagValue,
}

/// The value of a [`CustomTag`].
#[derive(Clone, Debug, PartialEq)]
pub enum TagValue {
    /// Always the same.
    Literal(Box<str>),
    /// Of a request's header, or this.
    Header(HeaderName, Option<Box<str>>),
}

/// One line of the access log for each request that `filter` lets through.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRule {
    /// What it looks like.
    pub format: Arc<LogFormat>,
    /// Which requests; `None`: all.
    pub filter: Option<Arc<Expression>>,
}

/// Istio's metrics, in the order that [`Metric`] has.
pub(crate) const METRICS: usize = 10;

/// One of Istio's metrics, by the names that Telemetry has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// `istio_requests_total`.
    RequestCount,
    /// `istio_request_duration_milliseconds`.
    RequestDuration,
    /// `istio_request_bytes`.
    RequestSize,
    /// `istio_response_bytes`.
    ResponseSize,
    /// `istio_request_messages_total`.
    GrpcRequestMessages,
    /// `istio_response_messages_total`.
    GrpcResponseMessages,
    /// `istio_tcp_connections_opened_total`.
    TcpOpened,
    /// `istio_tcp_connections_closed_total`.
    TcpClosed,
    /// `istio_tcp_sent_bytes_total`.
    TcpSent,
    /// `istio_tcp_received_bytes_total`.
    TcpReceived,
}

impl Metric {
    /// All of them, with Telemetry's names.
    pub const ALL: [(&'static str, Self); METRICS] = [
        ("REQUEST_COUNT", Self::RequestCount),
        ("REQUEST_DURATION", Self::RequestDuration),
        ("REQUEST_SIZE", Self::RequestSize),
        ("RESPONSE_SIZE", Self::ResponseSize),
        ("GRPC_REQUEST_MESSAGES", Self::GrpcRequestMessages),
        ("GRPC_RESPONSE_MESSAGES", Self::GrpcResponseMessages),
        ("TCP_OPENED_CONNECTIONS", Self::TcpOpened),
        ("TCP_CLOSED_CONNECTIONS", Self::TcpClosed),
        ("TCP_SENT_BYTES", Self::TcpSent),
        ("TCP_RECEIVED_BYTES", Self::TcpReceived),
    ];
}

/// What Telemetry changes in Istio's metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsPlan {
    changes: [MetricChange; METRICS],
    /// Values that differ from request to request, each once.
    values: Vec<Expression>,
}

/// What it changes in one of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricChange {
    /// It is not counted.
    pub disabled: bool,
    /// Labels by name.
    pub tags: Vec<(Box<str>, TagChange)>,
}

/// What happens to a label.
#[derive(Clone, Debug, PartialEq)]
pub enum TagChange {
    /// It is left out.
    Remove,
    /// It gets this value.
    Set(Expression),
}

/// What a changed label reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changed<'c> {
    Removed,
    Constant(&'c str),
    /// The value at this place of those of the request.
    Value(usize),
}

impl MetricsPlan {
    /// Of the changes of each metric.
    pub fn new(changes: impl IntoIterator<Item = (Metric, MetricChange)>) -> Self {
        let mut plan = Self::default();
        for (metric, change) in changes {
            for (_, tag) in &change.tags {
                if let TagChange::Set(value) = tag
                    && value.constant().is_none()
                    && !plan.values.contains(value)
                {
                    plan.values.push(value.clone());
                }
            }
            if let Some(slot) = plan.changes.get_mut(metric as usize) {
                *slot = change;
            }
        }
        plan
    }

    pub(crate) fn is_disabled(&self, metric: Metric) -> bool {
        self.changes.get(metric as usize).is_some_and(|change| change.disabled)
    }

    /// The changed labels of a metric.
    pub(crate) fn tags(&self, metric: Metric) -> impl Iterator<Item = (&str, Changed<'_>)> {
        let change = self.changes.get(metric as usize);
        let tags = change.map_or(&[][..], |change| &change.tags);
        tags.iter().map(|(name, tag)| (&**name, self.changed(tag)))
    }

    fn changed<'c>(&self, tag: &'c TagChange) -> Changed<'c> {
        match tag {
            TagChange::Remove => Changed::Removed,
            TagChange::Set(value) => match value.constant() {
                Some(text) => Changed::Constant(text),
                None => Changed::Value(
                    self.values
                        .iter()
                        .position(|known| known == value)
                        .unwrap_or(usize::MAX),
                ),
            },
        }
    }

    /// The values of the labels that differ from request to request; nothing, and nothing allocated, where none does.
    pub(crate) fn values(&self, ended: &Ended<'_>) -> Vec<Box<str>> {
        let values = self.values.iter();
        values
            .map(|value| {
                value
                    .text(ended)
                    .map_or_else(|| "unknown".into(), |text| crate::clip::clip(&text, 256).into())
            })
            .collect()
    }
}

impl Plan {
    /// Of its parts.
    pub fn new(tracing: TracingPlan, metrics: Arc<MetricsPlan>, access_log: Vec<LogRule>) -> Self {
        let mut plan = Self {
            tracing,
            metrics,
            ..Self::default()
        };
        plan.tells_path = !access_log.is_empty();
        plan.tells_route = !access_log.is_empty();
        let mut keep = |side, name: &HeaderName| {
            let kept = match side {
                Side::Request => &mut plan.request_headers,
                Side::Response => &mut plan.response_headers,
            };
            if kept.len() < MAX_HEADERS && !kept.contains(name) {
                kept.push(name.clone());
            }
        };
        for rule in &access_log {
            rule.format.headers(&mut keep);
        }
        for tag in &plan.tracing.tags {
            if let TagValue::Header(name, _) = &tag.value {
                keep(Side::Request, name);
            }
        }
        let filters = access_log.iter().filter_map(|rule| rule.filter.as_deref());
        for expression in filters.chain(&plan.metrics.values) {
            expression.attributes(|attribute| {
                plan.tells_path |= attribute.is_path();
                plan.tells_route |= attribute.is_route();
                if let Attribute::Header(side, name) = attribute {
                    keep(*side, name);
                }
            });
        }
        plan.access_log = access_log;
        plan
    }

    /// Spans.
    pub fn tracing(&self) -> &TracingPlan {
        &self.tracing
    }

    /// Metrics.
    pub fn metrics(&self) -> &Arc<MetricsPlan> {
        &self.metrics
    }

    /// Something may be logged.
    pub fn logs(&self) -> bool {
        !self.access_log.is_empty()
    }

    pub(crate) fn log_rules(&self) -> &[LogRule] {
        &self.access_log
    }

    /// Headers that a request's [`Outcome::request_headers`] must have.
    pub fn request_headers(&self) -> &[HeaderName] {
        &self.request_headers
    }

    /// Headers that an answer's [`Outcome::response_headers`] must have.
    pub fn response_headers(&self) -> &[HeaderName] {
        &self.response_headers
    }

    /// [`Outcome::path`] is told of every request, not only of sampled ones.
    pub fn tells_path(&self) -> bool {
        self.tells_path
    }

    /// [`Outcome::route`] likewise.
    pub fn tells_route(&self) -> bool {
        self.tells_route
    }
}

impl CustomTag {
    /// Of a variable of this process's environment; `None` when it is not set and there is no default.
    pub fn environment(name: &str, variable: &str, default: Option<&str>) -> Option<Self> {
        let value = std::env::var(variable).ok();
        let value = value.as_deref().or(default)?;
        Some(Self {
            name: name.into(),
            value: TagValue::Literal(value.into()),
        })
    }

    /// Its value for a request.
    pub(crate) fn of<'v>(&'v self, outcome: &'v Outcome<'_>) -> Option<&'v str> {
        match &self.value {
            TagValue::Literal(text) => Some(text),
            TagValue::Header(name, default) => {
                let kept = outcome.request_headers.iter().find(|(known, _)| known == name);
                kept.and_then(|(_, value)| value.to_str().ok()).or(default.as_deref())
            }
        }
    }
}

#[cfg(test)]
mod tests;
