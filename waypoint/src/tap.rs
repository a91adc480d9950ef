//! `waypoint tap`: finished requests of a running waypoint, one line each, as they come.

use crate::admin_client::{self, Call};
use crate::cli::TapArgs;
use crate::explain::Paint;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use time::OffsetDateTime;

/// Prints until the limit, or until it is stopped; 2 when there is no waypoint to ask.
pub fn run(args: TapArgs) -> ExitCode {
    let (json, paint) = (args.format == "json", Paint::of_stdout());
    let mut printed = |line: &str| {
        let text = if json { line.to_owned() } else { readable(line, paint) };
        // A reader that closed the pipe has read enough.
        text.is_empty() || writeln!(std::io::stdout().lock(), "{text}").is_ok()
    };
    match admin_client::lines(args.live, Call::get(path(&args)), &mut printed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("waypoint tap: {why}");
            ExitCode::from(2)
        }
    }
}

/// `/tap` with the filters as its query.
fn path(args: &TapArgs) -> String {
    let number = |number: &Option<u64>| number.map(|number| number.to_string());
    let filters = [
        ("service", args.service.clone()),
        ("route", args.route.clone()),
        ("status", args.status.clone()),
        ("flag", args.flag.clone()),
        ("method", args.method.clone()),
        ("source", args.source.clone()),
        ("path", args.path.clone()),
        ("minMs", args.min_ms.map(|millis| millis.to_string())),
        ("sample", args.sample.map(|share| share.to_string())),
        ("limit", number(&args.limit)),
    ];
    let mut path = "/tap?".to_owned();
    for (name, value) in filters.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        // Writing to a String never fails.
        let _ = write!(path, "{name}={}&", encoded(&value));
    }
    path.pop();
    path
}

/// For a query: all but letters, digits and a few others.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `12:00:01.123  200     1.25 ms  demo/curl -> reviews:9080  GET /x  reviews-v1.. 10.1.0.2:9080`.
fn readable(line: &str, paint: Paint) -> String {
    let event: Value = match serde_json::from_str(line) {
        Ok(event) => event,
        Err(_) => return line.to_owned(),
    };
    if let Some(dropped) = event.get("dropped").and_then(Value::as_u64) {
        return paint.bad(&format!("{dropped} more came faster than they could be read"));
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or_default();
    let status = match event.get("grpcStatus").and_then(Value::as_u64) {
        Some(grpc) => format!("grpc {grpc}"),
        None => number("status").to_string(),
    };
    let status = format!("{status:<7}");
    let status = if text("flags") == "-" && number("status") < 500 {
        paint.good(&status)
    } else {
        paint.bad(&status)
    };
    let millis = event.get("durationMs").and_then(Value::as_f64).unwrap_or_default();
    let query = if event.get("hasQuery").and_then(Value::as_bool).unwrap_or_default() {
        "?.."
    } else {
        ""
    };
    let mut out = format!(
        "{}  {status} {millis:>8.2} ms  {} -> {}:{}  {} {}{query}",
        clock(number("atMs")),
        text("source"),
        text("service"),
        number("port"),
        text("method"),
        text("path"),
    );
    let served = text("details") == "via_upstream";
    for (what, value) in [("", text("backend")), ("", text("upstream")), ("via ", text("route"))] {
        if !value.is_empty() {
            let _ = write!(out, "  {}", paint.dim(&format!("{what}{value}")));
        }
    }
    if !served {
        let _ = write!(out, "  {} {}", text("flags"), text("details"));
    }
    out
}

/// `12:00:01.123`, UTC.
fn clock(at_ms: u64) -> String {
    let nanos = i128::from(at_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", time.millisecond())
}

#[cfg(test)]
mod tests;
