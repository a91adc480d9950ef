//! What OpenTelemetry's own variables say of spans, beside where they go.

use std::time::Duration;

/// `OTEL_BSP_*`: how spans are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Records that wait at most (`OTEL_BSP_MAX_QUEUE_SIZE`, default 2,048, at most 65,536).
    pub queue: usize,
    /// Spans of one export call, about (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, default 512).
    pub spans: u64,
    /// A batch waits so long to fill (`OTEL_BSP_SCHEDULE_DELAY` in milliseconds, default 1 s).
    pub age: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            queue: 2_048,
            spans: 512,
            age: Duration::from_secs(1),
        }
    }
}

/// `OTEL_PROPAGATORS`: in which forms the context goes upstream. W3C always does; it is read in every form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Propagation {
    /// `b3`: one header.
    pub b3: bool,
    /// `b3multi`: several.
    pub b3_multi: bool,
}

/// `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Share of new traces, 0.0 to 1.0.
    pub share: f64,
    /// A parent's decision goes before it.
    pub parent_based: bool,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TracerEnvironment {
    /// `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER`, with `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler: Option<Sampler>,
    /// `OTEL_PROPAGATORS`.
    pub propagation: Propagation,
    /// `OTEL_BSP_*`.
    pub batch: Batch,
}

/// Resource attributes at most.
const MAX_ATTRIBUTES: usize = 64;

impl TracerEnvironment {
    /// Reads the variables through `var`.
    ///
    /// # Errors
    /// The variable, what was expected, what was found.
    pub fn read(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| {
            var(name)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let mut resource = attributes(&set)?;
        let named = resource.iter().position(|(key, _)| key == "service.name");
        let named = named.map(|at| resource.remove(at).1);
        Ok(Self {
            service_name: set("OTEL_SERVICE_NAME").or(named),
            resource,
            sampler: sampler(&set)?,
            propagation: propagation(&set)?,
            batch: batch(&set)?,
        })
    }
}

type Set<'s> = &'s dyn Fn(&str) -> Option<String>;

fn attributes(set: Set<'_>) -> Result<Vec<(String, String)>, String> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let Some(text) = set(name) else { return Ok(Vec::new()) };
    let entries = text
        .split(',')
        .filter(|entry| !entry.trim().is_empty())
        .take(MAX_ATTRIBUTES);
    entries
        .map(|entry| {
            let (key, value) = entry
                .split_once('=')
                .ok_or_else(|| format!("{name}: expected key=value pairs, found `{entry}`"))?;
            let value = crate::otlp::percent_decode(value.trim());
            let value = value.ok_or_else(|| format!("{name}: the value of `{key}` is not percent-encoded text"))?;
            Ok((key.trim().to_owned(), value))
        })
        .collect()
}

fn sampler(set: Set<'_>) -> Result<Option<Sampler>, String> {
    let Some(name) = set("OTEL_TRACES_SAMPLER") else {
        return Ok(None);
    };
    let (parent_based, kind) = match name.strip_prefix("parentbased_") {
        Some(kind) => (true, kind),
        None => (false, name.as_str()),
    };
    let share = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match set("OTEL_TRACES_SAMPLER_ARG") {
            None => 1.0,
            Some(text) => match text.parse::<f64>() {
                Ok(share) if (0.0..=1.0).contains(&share) => share,
                _ => {
                    return Err(format!(
                        "OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1, found `{text}`"
                    ));
                }
            },
        },
        _ => {
            return Err(format!(
                "OTEL_TRACES_SAMPLER: expected always_on, always_off or traceidratio, with or without parentbased_, found `{name}`"
            ));
        }
    };
    Ok(Some(Sampler { share, parent_based }))
}

fn propagation(set: Set<'_>) -> Result<Propagation, String> {
    let mut propagation = Propagation::default();
    let named = set("OTEL_PROPAGATORS").unwrap_or_default();
    for name in named.split(',').map(str::trim) {
        match name {
            "" | "tracecontext" | "baggage" | "none" => {}
            "b3" => propagation.b3 = true,
            "b3multi" => propagation.b3_multi = true,
            other => {
                return Err(format!(
                    "OTEL_PROPAGATORS: expected tracecontext, baggage, b3 or b3multi, found `{other}`"
                ));
            }
        }
    }
    Ok(propagation)
}

fn batch(set: Set<'_>) -> Result<Batch, String> {
    let number = |name: &str, most: u64| match set(name) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(format!(
                "{name}: expected a whole number from 1 to {most}, found `{text}`"
            )),
        },
    };
    let default = Batch::default();
    let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 65_536)?;
    Ok(Batch {
        queue: queue
            .and_then(|queue| usize::try_from(queue).ok())
            .unwrap_or(default.queue),
        spans: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 65_536)?.unwrap_or(default.spans),
        age: number("OTEL_BSP_SCHEDULE_DELAY", 60_000)?.map_or(default.age, Duration::from_millis),
    })
}
