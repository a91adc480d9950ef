//! What a load is, by the command line.

use crate::cli::{AskArgs, LoadArgs, WayArgs};
use crate::fault::{During, Fault};
use crate::load::{Ask, Good, Plan, Protocol, Schedule, WINDOWS_LIMIT};
use crate::way;
use http::{HeaderName, HeaderValue};
use std::time::Duration;

/// A rate and how long it is measured.
pub(super) struct Step {
    /// None is a closed loop.
    pub(super) rate: Option<u64>,
    pub(super) time: Duration,
}

/// The steps, of equal length.
pub(super) fn steps(args: &LoadArgs) -> Result<Vec<Step>, Fault> {
    if args.rate.len() > WINDOWS_LIMIT {
        return Err(Fault::new(format!("at most {WINDOWS_LIMIT} steps")));
    }
    let count = u32::try_from(args.rate.len()).unwrap_or(u32::MAX).max(1);
    let time = Duration::from_secs(args.duration) / count;
    let step = |rate| Step { rate, time };
    Ok(if args.rate.is_empty() {
        vec![step(None)]
    } else {
        args.rate.iter().map(|rate| step(Some(*rate))).collect()
    })
}

/// The load; what cannot be is refused with what to do.
pub(super) fn plan(args: &LoadArgs, steps: &[Step]) -> Result<Plan, Fault> {
    let is_multiplexed = matches!(args.ask.protocol, Protocol::Http2 | Protocol::Grpc);
    if args.in_flight > 1 && (!is_multiplexed || args.new_connections) {
        return Err(Fault::new(
            "--in-flight needs --protocol http2 or grpc, and connections that are kept: use more --streams",
        ));
    }
    if !args.new_connections {
        way::check_streams(&args.way, args.connections, args.streams)?;
    }
    let (warm_up, mut rates) = (Duration::from_secs(args.warm_up), Vec::new());
    for step in steps {
        let before = if rates.is_empty() { warm_up } else { Duration::ZERO };
        rates.extend(step.rate.map(|rate| (rate, step.time.saturating_add(before))));
    }
    Ok(Plan {
        connections: args.connections,
        streams: args.streams,
        in_flight: args.in_flight,
        schedule: (!rates.is_empty()).then(|| Schedule::steps(rates)),
        is_fresh: args.new_connections,
        limit: args.requests,
        patience: Some(Duration::from_secs(args.timeout)),
        threads: usize::try_from(args.threads).during("--threads")?,
        ..Plan::new(ask(&args.way, &args.ask)?)
    })
}

/// The request.
pub(crate) fn ask(way: &WayArgs, args: &AskArgs) -> Result<Ask, Fault> {
    // Port 80 is not said.
    let named = way.service.strip_suffix(":80").unwrap_or(&way.service);
    let host = args.host.as_deref().unwrap_or(named);
    let body = usize::try_from(args.body_bytes).during("--body-bytes")?;
    let mut ask = Ask::new(args.protocol, host, &args.path, body);
    ask.good = Good {
        status: args.expect,
        bytes: args.answer_bytes,
    };
    if let Some(method) = &args.method {
        ask.method = method.clone();
    }
    for header in &args.header {
        let (name, value) = header
            .split_once(':')
            .during(format_args!("{header:?}: expected 'name: value'"))?;
        let name = HeaderName::try_from(name.trim()).during(format_args!("{header:?}"))?;
        let value = HeaderValue::try_from(value.trim()).during(format_args!("{header:?}"))?;
        ask.headers.append(name, value);
    }
    if let Some(file) = &args.token {
        let token = std::fs::read_to_string(file).during(file.display())?;
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        // What it is, is not repeated.
        let value = value.map_err(|_| "expected a token").during(file.display())?;
        ask.headers.insert("authorization", value);
    }
    Ok(ask)
}

#[cfg(test)]
mod tests;
