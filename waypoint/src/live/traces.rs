//! The last requests that were traced, or that failed, with their tries: what the admin page draws as waterfalls.

use super::{Finished, unix_ms};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use telemetry::{Outcome, Try};

/// Requests kept.
const KEPT: usize = 128;
/// All of them are not replaced in less than this: nobody could look at them, and keeping one costs some microseconds.
const TURN_MS: u64 = 1_000;

/// See the module. Each with the time at which it began.
#[derive(Debug, Default)]
pub(super) struct Traces(Mutex<VecDeque<(u64, Value)>>);

impl Traces {
    /// Keeps a request that is worth it: one that is sampled, or one that failed.
    pub(super) fn add(&self, finished: &Finished<'_>, route: impl FnOnce() -> Option<String>) {
        let outcome = finished.outcome;
        if !outcome.trace.sampled && outcome.status < 500 {
            return;
        }
        // Whoever comes while another is kept, or looked at, is not kept: nobody waits here.
        let Ok(mut kept) = self.0.try_lock() else { return };
        let at = unix_ms(outcome.start);
        if kept.len() >= KEPT {
            if kept
                .front()
                .is_some_and(|(oldest, _)| at.saturating_sub(*oldest) < TURN_MS)
            {
                return;
            }
            kept.pop_front();
        }
        kept.push_back((at, told(finished, route())));
    }

    /// The latest first.
    pub(super) fn told(&self) -> Vec<Value> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().map(|(_, one)| one.clone()).collect()
    }
}

/// No header, no query, no token is part of it.
fn told(finished: &Finished<'_>, route: Option<String>) -> Value {
    let outcome = finished.outcome;
    let source = outcome.source_identity;
    json!({
        "trace": id(outcome),
        "span": (outcome.trace.span.0 != 0).then(|| format!("{:016x}", outcome.trace.span.0)),
        "parent": outcome.trace.parent.map(|span| format!("{:016x}", span.0)),
        "atMs": unix_ms(outcome.start),
        "durationMs": millis(outcome.duration),
        "source": source.map(|id| format!("{}/{}", id.namespace(), id.service_account())),
        "service": &*outcome.service.host,
        "port": outcome.port,
        "method": outcome.method,
        "path": finished.head.map(|head| head.path.as_str()),
        "status": outcome.status,
        "grpcStatus": outcome.grpc_status,
        "flags": outcome.flags,
        "details": outcome.details,
        "policy": outcome.policy,
        "route": route,
        "tries": outcome.tries.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(attempt: &Try) -> Value {
    json!({
        "address": attempt.address.to_string(),
        "beganMs": millis(attempt.began),
        "durationMs": millis(attempt.took),
        "status": attempt.status,
        "error": attempt.error,
    })
}

fn id(outcome: &Outcome<'_>) -> Option<String> {
    (outcome.trace.trace.0 != 0).then(|| format!("{:032x}", outcome.trace.trace.0))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
