//! `fault`: delay and abort. What is not understood is not injected.

use super::duration;
use crate::decode::{Fields, describe, quoted};
use routing::{Abort, Fault, Share};

/// Istio's names of gRPC statuses, each at the place of its number.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Reads `fault`.
pub(super) fn read(fields: &Fields<'_>) -> Option<Fault> {
    fields.record("fault", |fields| Fault {
        delay: fields.record("delay", delay).flatten(),
        abort: fields.record("abort", abort).flatten(),
    })
}

fn delay(fields: &Fields<'_>) -> Option<(std::time::Duration, Share)> {
    if fields.get("exponentialDelay").is_some() {
        fields.error("exponentialDelay", "not supported, as in Istio: nothing is delayed");
        return None;
    }
    let share = share(fields);
    if fields.get("fixedDelay").is_none() {
        fields.error("fixedDelay", "`fixedDelay` is missing: nothing is delayed");
    }
    let delay = duration(fields, "fixedDelay")?;
    if delay > Fault::LONGEST_DELAY {
        let most = Fault::LONGEST_DELAY.as_secs();
        fields.warning("fixedDelay", format!("no request is delayed by more than {most} s"));
    }
    Some((delay, share?))
}

fn abort(fields: &Fields<'_>) -> Option<(Abort, Share)> {
    if fields.get("http2Error").is_some() {
        fields.error("http2Error", "not supported, as in Istio: nothing is aborted");
        return None;
    }
    let share = share(fields);
    let abort = match (fields.get("httpStatus"), fields.get("grpcStatus")) {
        (Some(_), Some(_)) => {
            fields.error(
                "grpcStatus",
                "expected `httpStatus` or `grpcStatus`, found both: nothing is aborted",
            );
            return None;
        }
        (Some(_), None) => Abort::Http(u16::try_from(fields.integer("httpStatus", 200..=599)?).ok()?),
        (None, Some(_)) => Abort::Grpc(grpc(fields)?),
        (None, None) => {
            fields.error(
                "httpStatus",
                "expected `httpStatus` or `grpcStatus`: nothing is aborted",
            );
            return None;
        }
    };
    Some((abort, share?))
}

fn grpc(fields: &Fields<'_>) -> Option<u32> {
    let text = fields.text("grpcStatus")?;
    let number = GRPC_STATUSES.iter().position(|name| *name == text);
    if number.is_none() {
        let found = quoted(text);
        let message = format!("expected the name of a gRPC status such as UNAVAILABLE, found {found}");
        fields.error("grpcStatus", message);
    }
    u32::try_from(number?).ok()
}

/// Without a percentage Istio injects nothing.
fn share(fields: &Fields<'_>) -> Option<Share> {
    if fields.get("percentage").is_some() {
        return fields.record("percentage", percentage).flatten();
    }
    match fields.get("percent") {
        None => {
            fields.warning("percentage", "`percentage` is missing: no request is affected");
            None
        }
        Some(_) => {
            let percent = u32::try_from(fields.integer("percent", 0..=100)?).ok()?;
            Some(Share::percent(f64::from(percent)))
        }
    }
}

/// Reads a `Percent`.
pub(super) fn percentage(fields: &Fields<'_>) -> Option<Share> {
    let value = match fields.get("value") {
        None => return Some(Share::percent(0.0)),
        Some(value) => value,
    };
    match value.as_f64().filter(|percent| (0.0..=100.0).contains(percent)) {
        Some(percent) => Some(Share::percent(percent)),
        None => {
            fields.error(
                "value",
                format!("expected a number from 0 to 100, found {}", describe(value)),
            );
            None
        }
    }
}
