//! `retries`: how often, how long each, and on what.

use super::duration;
use crate::decode::{Fields, quoted};
use routing::{Retry, RetryOn};
use std::time::Duration;

/// More retries than this are not made, whatever a rule asks for.
const MAX_RETRIES: i64 = 10;

/// Reads `retries`, and `perTryTimeout`, which is a deadline of the rule.
pub(super) fn read(fields: &Fields<'_>) -> Option<(Option<Retry>, Option<Duration>)> {
    fields.record("retries", |fields| {
        if fields.get("retryRemoteLocalities").is_some() {
            fields.warning("retryRemoteLocalities", "not supported: retries go where requests go");
        }
        if fields.boolean("retryIgnorePreviousHosts") == Some(false) {
            let message = "not supported: a retry goes to another endpoint if there is one";
            fields.warning("retryIgnorePreviousHosts", message);
        }
        let each = duration(fields, "perTryTimeout").filter(|limit| !limit.is_zero());
        (retry(fields), each)
    })
}

fn retry(fields: &Fields<'_>) -> Option<Retry> {
    let attempts = match fields.get("attempts") {
        None => 0,
        Some(_) => fields.integer("attempts", 0..=i64::from(i32::MAX))?,
    };
    if attempts > MAX_RETRIES {
        fields.warning("attempts", format!("more than {MAX_RETRIES} retries are never made"));
    }
    let (codes, on) = conditions(fields);
    Some(Retry {
        codes,
        on,
        attempts: u32::try_from(attempts.min(MAX_RETRIES)).unwrap_or(0),
        backoff: duration(fields, "backoff"),
    })
}

/// `retryOn`: Envoy's words and statuses, parted by commas.
fn conditions(fields: &Fields<'_>) -> (Vec<u16>, RetryOn) {
    /// Istio's own default.
    const DEFAULT: &str = "connect-failure,refused-stream,unavailable,cancelled";
    let mut codes = Vec::new();
    let mut on = RetryOn {
        unprocessed: false,
        reset: false,
        timeout: false,
        grpc: Vec::new(),
    };
    let text = fields
        .text("retryOn")
        .filter(|text| !text.is_empty())
        .unwrap_or(DEFAULT);
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "5xx" => {
                codes.extend(500..600);
                all_failures(&mut on);
            }
            "gateway-error" => {
                codes.extend(502..=504);
                all_failures(&mut on);
            }
            "reset" => all_failures(&mut on),
            "connect-failure" | "refused-stream" | "reset-before-request" => on.unprocessed = true,
            "retriable-4xx" => codes.push(409),
            // The statuses stand beside it.
            "retriable-status-codes" => {}
            "cancelled" => on.grpc.push(1),
            "deadline-exceeded" => on.grpc.push(4),
            "resource-exhausted" => on.grpc.push(8),
            "internal" => on.grpc.push(13),
            "unavailable" => on.grpc.push(14),
            "retriable-headers" | "envoy-ratelimited" | "http3-post-connect-failure" => {
                fields.warning("retryOn", format!("{word} is not supported: it is not retried on"));
            }
            other => match other.parse::<u16>() {
                Ok(status @ 100..=599) => codes.push(status),
                _ => {
                    let found = quoted(other);
                    let message = format!("expected a condition of Envoy's or a status, found {found}: it is left out");
                    fields.error("retryOn", message);
                }
            },
        }
    }
    codes.sort_unstable();
    codes.dedup();
    (codes, on)
}

fn all_failures(on: &mut RetryOn) {
    on.unprocessed = true;
    on.reset = true;
    on.timeout = true;
}
