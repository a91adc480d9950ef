//! This moment as Kubernetes' objects have it.

use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// `2026-11-26T00:00:00Z`, for conditions.
pub(super) fn now() -> String {
    format!("{}Z", written(since_1970().as_secs()))
}

/// `2026-11-26T00:00:00.000000Z`, for Leases.
pub(super) fn now_in_micros() -> String {
    let since = since_1970();
    format!("{}.{:06}Z", written(since.as_secs()), since.subsec_micros())
}

fn since_1970() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn written(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(0);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(at.month());
    format!(
        "{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}",
        at.year(),
        at.day()
    )
}

#[cfg(test)]
mod tests;
