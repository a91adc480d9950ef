//! Telemetry (`telemetry.istio.io`): what it says of spans, metrics and the access log. Which of several counts is
//! decided where they are compiled.

use super::Body;
use super::policy::{self, Binding};
use crate::decode::{At, Fields, Problems, describe, quoted, record};
use http::HeaderName;
use serde_json::Value;
use std::sync::Arc;
use telemetry::{CustomTag, Expression, Metric, TagChange, TagValue};

/// Entries of each of its three lists at most.
const MAX_ENTRIES: usize = 64;
/// Overrides of one entry at most.
const MAX_OVERRIDES: usize = 64;
/// Tags of one entry at most.
const MAX_TAGS: usize = 64;

/// A Telemetry.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// What it is for; without targets: its namespace, or the whole mesh.
    pub(crate) binding: Binding,
    /// `tracing`, as far as it concerns a waypoint.
    pub(crate) tracing: Vec<Tracing>,
    /// `metrics`.
    pub(crate) metrics: Vec<MetricRules>,
    /// `accessLogging`, likewise.
    pub(crate) access_logging: Vec<AccessLogging>,
}

/// One entry of `tracing`.
#[derive(Debug)]
pub(crate) struct Tracing {
    /// Names of providers, with the field that names the first.
    pub(crate) providers: Providers,
    /// `disableSpanReporting`.
    pub(crate) disabled: Option<bool>,
    /// `randomSamplingPercentage`, as a share.
    pub(crate) sampling: Option<f64>,
    /// `customTags`.
    pub(crate) tags: Option<Vec<CustomTag>>,
    /// `enableIstioTags`.
    pub(crate) istio_tags: Option<bool>,
}

/// One entry of `metrics`.
#[derive(Debug)]
pub(crate) struct MetricRules {
    /// See [`Tracing::providers`].
    pub(crate) providers: Providers,
    /// `overrides` in order.
    pub(crate) overrides: Vec<Override>,
}

/// One of `overrides`, for waypoints.
#[derive(Debug)]
pub(crate) struct Override {
    /// Those it is for.
    pub(crate) metrics: Vec<Metric>,
    /// It names ALL_METRICS.
    pub(crate) all: bool,
    /// `disabled`.
    pub(crate) disabled: Option<bool>,
    /// `tagOverrides`.
    pub(crate) tags: Vec<(Box<str>, TagChange)>,
}

/// One entry of `accessLogging`.
#[derive(Debug)]
pub(crate) struct AccessLogging {
    /// See [`Tracing::providers`].
    pub(crate) providers: Providers,
    /// It is for waypoints (`match.mode`).
    pub(crate) is_for_us: bool,
    /// `disabled`.
    pub(crate) disabled: bool,
    /// `filter.expression`.
    pub(crate) filter: Option<Arc<Expression>>,
}

/// `providers` of an entry.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The path of the list.
    pub(crate) field: String,
}

/// Parses a Telemetry.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let binding = policy::binding(spec, at, problems);
    let telemetry = record(spec, at, problems, |fields| {
        fields.ignore(&["selector", "targetRef", "targetRefs"]);
        let read = |value: &Value, at: &At<'_>| record(value, at, problems, |fields| tracing(fields, problems));
        let tracing = fields.list("tracing", MAX_ENTRIES, |value, at| read(value, at).flatten());
        let read = |value: &Value, at: &At<'_>| record(value, at, problems, |fields| metrics(fields, problems));
        let metrics = fields.list("metrics", MAX_ENTRIES, read);
        let read = |value: &Value, at: &At<'_>| record(value, at, problems, |fields| logging(fields, problems));
        let access_logging = fields.list("accessLogging", MAX_ENTRIES, |value, at| read(value, at).flatten());
        Telemetry {
            binding: Binding::default(),
            tracing,
            metrics,
            access_logging,
        }
    });
    let mut telemetry = telemetry.unwrap_or_default();
    telemetry.binding = binding;
    Body::Telemetry(Box::new(telemetry))
}

fn tracing(fields: &Fields<'_>, problems: &Problems) -> Option<Tracing> {
    let is_for_us = fields.record("match", mode).unwrap_or(true);
    if fields.get("useRequestIdForTraceSampling").is_some() {
        let message = "sampling goes by the trace's own id, never by x-request-id: this changes nothing";
        fields.warning("useRequestIdForTraceSampling", message);
    }
    let sampling = fields.get("randomSamplingPercentage").and_then(|value| {
        let percent = value.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        if percent.is_none() {
            let message = format!("expected a number from 0 to 100, found {}", describe(value));
            fields.error("randomSamplingPercentage", message);
        }
        Some(percent? / 100.0)
    });
    let has_tags = fields.get("customTags").is_some();
    let tags = custom_tags(fields, problems);
    let entry = Tracing {
        providers: providers(fields, problems),
        disabled: fields.boolean("disableSpanReporting"),
        sampling,
        tags: has_tags.then_some(tags),
        istio_tags: fields.boolean("enableIstioTags"),
    };
    is_for_us.then_some(entry)
}

/// `customTags`, of Telemetry or of MeshConfig.
pub(crate) fn custom_tags(fields: &Fields<'_>, problems: &Problems) -> Vec<CustomTag> {
    let mut tags = fields.entries("customTags", |name, value, at| {
        record(value, at, problems, |fields| custom_tag(name, fields)).flatten()
    });
    if tags.len() > MAX_TAGS {
        fields.error(
            "customTags",
            format!("expected at most {MAX_TAGS}: those beyond are left out"),
        );
        tags.truncate(MAX_TAGS);
    }
    tags
}

fn custom_tag(name: &str, fields: &Fields<'_>) -> Option<CustomTag> {
    let tag = |value| CustomTag {
        name: name.into(),
        value,
    };
    if fields.get("literal").is_some() {
        let value = fields.record("literal", |fields| fields.text("value").unwrap_or_default().to_owned())?;
        return Some(tag(TagValue::Literal(value.into())));
    }
    if fields.get("environment").is_some() {
        let read = fields.record("environment", |fields| {
            let variable = fields.required("name")?;
            Some(CustomTag::environment(name, variable, fields.text("defaultValue")))
        });
        return read.flatten().flatten();
    }
    if fields.get("header").is_some() {
        let read = fields.record("header", |fields| {
            let header = fields.required("name")?;
            let default = fields.text("defaultValue").map(Box::from);
            match HeaderName::from_bytes(header.to_ascii_lowercase().as_bytes()) {
                Ok(header) => Some(tag(TagValue::Header(header, default))),
                Err(_) => {
                    fields.error("name", format!("expected a header's name, found {}", quoted(header)));
                    None
                }
            }
        });
        return read.flatten();
    }
    if fields.get("formatter").is_some() {
        fields.warning("formatter", "tags by a format are not supported: this one is left out");
    }
    None
}

fn metrics(fields: &Fields<'_>, problems: &Problems) -> MetricRules {
    if fields.get("reportingInterval").is_some() {
        let message = "bytes of connections are counted every 5 s: this changes nothing";
        fields.warning("reportingInterval", message);
    }
    let read = |value: &Value, at: &At<'_>| record(value, at, problems, |fields| one_override(fields, problems));
    MetricRules {
        providers: providers(fields, problems),
        overrides: fields.bounded_list("overrides", MAX_OVERRIDES, |value, at| read(value, at).flatten()),
    }
}

fn one_override(fields: &Fields<'_>, problems: &Problems) -> Option<Override> {
    let every = || Metric::ALL.map(|(_, metric)| metric).to_vec();
    let selected = fields.record("match", |fields| {
        let is_for_us = mode(fields);
        if fields.get("customMetric").is_some() {
            fields.warning(
                "customMetric",
                "metrics of one's own are not supported: this changes nothing",
            );
            return None;
        }
        let (metrics, all) = match fields.text("metric") {
            None => (every(), false),
            Some("ALL_METRICS") => (every(), true),
            Some(name) => match Metric::ALL.iter().find(|(known, _)| *known == name) {
                Some((_, metric)) => (vec![*metric], false),
                None => {
                    let known = Metric::ALL.map(|(name, _)| name).join(", ");
                    let message = format!("expected ALL_METRICS or one of {known}, found {}", quoted(name));
                    fields.error("metric", message);
                    return None;
                }
            },
        };
        is_for_us.then_some((metrics, all))
    });
    let tags = fields.entries("tagOverrides", |name, value, at| {
        record(value, at, problems, |fields| tag_override(name, fields, at, problems)).flatten()
    });
    let (metrics, all) = selected.unwrap_or_else(|| Some((every(), false)))?;
    Some(Override {
        metrics,
        all,
        disabled: fields.boolean("disabled"),
        tags,
    })
}

fn tag_override(name: &str, fields: &Fields<'_>, at: &At<'_>, problems: &Problems) -> Option<(Box<str>, TagChange)> {
    let value = fields.text("value");
    let operation = fields.text("operation").unwrap_or("UPSERT");
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= 128
        && name != "le";
    if !is_name {
        problems.error(
            at,
            "expected the name of a label ([a-zA-Z_][a-zA-Z0-9_]*, and not `le`): it is left as it is",
        );
        return None;
    }
    let change = match (operation, value) {
        ("REMOVE", _) => TagChange::Remove,
        ("UPSERT", Some(value)) => match Expression::parse(value) {
            Ok(value) => TagChange::Set(value),
            Err(why) => {
                fields.error("value", format!("{why}: the label is left as it is"));
                return None;
            }
        },
        ("UPSERT", None) => {
            fields.error(
                "value",
                "`value` is missing: it must be given, or the operation be REMOVE",
            );
            return None;
        }
        (other, _) => {
            fields.error(
                "operation",
                format!("expected UPSERT or REMOVE, found {}", quoted(other)),
            );
            return None;
        }
    };
    Some((name.into(), change))
}

fn logging(fields: &Fields<'_>, problems: &Problems) -> Option<AccessLogging> {
    let is_for_us = fields.record("match", mode).unwrap_or(true);
    let filter = fields.record("filter", |fields| {
        let text = fields.text("expression").filter(|text| !text.is_empty());
        match text.map(Expression::parse) {
            None => Ok(None),
            Some(Ok(expression)) => Ok(Some(Arc::new(expression))),
            Some(Err(why)) => {
                fields.error("expression", format!("{why}: this entry logs nothing"));
                Err(())
            }
        }
    });
    let disabled = fields.boolean("disabled").unwrap_or(false);
    let providers = providers(fields, problems);
    let (filter, disabled) = match filter {
        None => (None, disabled),
        Some(Ok(filter)) => (filter, disabled),
        Some(Err(())) => (None, true),
    };
    Some(AccessLogging {
        providers,
        is_for_us,
        disabled,
        filter,
    })
}

/// `mode`: a waypoint is what servers are.
fn mode(fields: &Fields<'_>) -> bool {
    match fields.text("mode") {
        None | Some("CLIENT_AND_SERVER" | "SERVER") => true,
        Some("CLIENT") => false,
        Some(other) => {
            let message = format!("expected CLIENT, SERVER or CLIENT_AND_SERVER, found {}", quoted(other));
            fields.error("mode", message);
            false
        }
    }
}

fn providers(fields: &Fields<'_>, problems: &Problems) -> Providers {
    let names = fields.list("providers", MAX_ENTRIES, |value, at| {
        record(value, at, problems, |fields| fields.required("name").map(str::to_owned)).flatten()
    });
    Providers {
        names,
        field: fields.at().field("providers").to_string(),
    }
}
