//! Traffic policies of Services: XBackendTrafficPolicy, and BackendLBPolicy, which it was before.

use super::Body;
use super::duration;
use super::session::{self, SessionSpec};
use crate::decode::{At, Fields, Problems, quoted, record};
use routing::RetryLimits;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A traffic policy.
#[derive(Debug, Default)]
pub(crate) struct BackendPolicy {
    /// Services of its own namespace, with their places in `targetRefs`.
    pub(crate) services: Vec<(usize, String)>,
    /// `sessionPersistence`.
    pub(crate) session: Option<SessionSpec>,
    /// `retryConstraint`.
    pub(crate) retries: Option<RetryLimits>,
}

/// Parses one.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let policy = record(spec, at, problems, |fields| BackendPolicy {
        services: fields.list("targetRefs", 16, |value, at| {
            record(value, at, problems, |fields| Some((at.position(), target(fields)?))).flatten()
        }),
        session: fields.record("sessionPersistence", session::read).flatten(),
        retries: fields.record("retryConstraint", retries).flatten(),
    });
    Body::BackendPolicy(Box::new(policy.unwrap_or_default()))
}

fn target(fields: &Fields<'_>) -> Option<String> {
    let group = fields.text("group").unwrap_or_default();
    let kind = fields.required("kind")?;
    if !matches!(group, "" | "core") || kind != "Service" {
        let message = format!(
            "expected a Service, found {} of group {}: it does not bind there",
            quoted(kind),
            quoted(group)
        );
        fields.error("kind", message);
        return None;
    }
    fields.required("name").map(str::to_owned)
}

/// `None`: not in force. Both parts are read, so that what is wrong in either is told.
fn retries(fields: &Fields<'_>) -> Option<RetryLimits> {
    let default = RetryLimits::default();
    let budget = part(
        fields,
        "budget",
        "percent",
        0..=100,
        (default.percent, default.interval),
    );
    let least = (default.least_count, default.least_interval);
    let least = part(fields, "minRetryRate", "count", 1..=1_000_000, least);
    let ((percent, interval), (least_count, least_interval)) = (budget?, least?);
    Some(RetryLimits {
        percent,
        interval,
        least_count,
        least_interval,
    })
}

/// A number in a time.
fn part(
    fields: &Fields<'_>,
    name: &'static str,
    number: &'static str,
    range: RangeInclusive<i64>,
    default: (u32, Duration),
) -> Option<(u32, Duration)> {
    if fields.get(name).is_none() {
        return Some(default);
    }
    let (count, interval) = fields.record(name, |fields| {
        let count = match fields.get(number) {
            None => Some(default.0),
            Some(_) => fields
                .integer(number, range)
                .and_then(|count| u32::try_from(count).ok()),
        };
        (count, interval(fields, default.1))
    })?;
    Some((count?, interval?))
}

fn interval(fields: &Fields<'_>, default: Duration) -> Option<Duration> {
    const HOUR: Duration = Duration::from_secs(3600);
    if fields.get("interval").is_none() {
        return Some(default);
    }
    let text = fields.text("interval")?;
    let parsed = duration::parse(text).filter(|time| (Duration::from_secs(1)..=HOUR).contains(time));
    if parsed.is_none() {
        fields.error(
            "interval",
            format!("expected a duration from 1s to 1h, found {}", quoted(text)),
        );
    }
    parsed
}
