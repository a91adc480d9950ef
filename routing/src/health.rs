//! Outlier detection: endpoints that fail again and again get no requests for a while.
//!
//! The rules are Envoy's as Istio sets them up: consecutive errors only (no success rates), ejection at once, for a
//! time that grows with each ejection and shrinks with time spent well.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// No ejection is longer than this, or than the base time when that is longer (Envoy's default).
const LONGEST: Duration = Duration::from_secs(300);

/// `outlierDetection`. Of the counts, 0 is never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Answers of 500 to 599 in a row. Unless `split_local`, failures of our own making count too.
    pub consecutive_5xx: u32,
    /// Answers of 502, 503 or 504 in a row, likewise.
    pub consecutive_gateway: u32,
    /// Connections not made, reset, or timed out, in a row; only with `split_local`.
    pub consecutive_local: u32,
    /// Connect failures, resets and timeouts are counted apart.
    pub split_local: bool,
    /// One ejection is forgotten for each such time without another.
    pub interval: Duration,
    /// The first ejection lasts this long, the second in a row twice as long.
    pub base_ejection: Duration,
    /// Of all endpoints, at most this many per cent are ejected at once.
    pub max_ejection_percent: u32,
    /// With fewer endpoints left than this many per cent, all are used, ejected or not. 0: never.
    pub min_health_percent: u32,
}

impl Default for OutlierDetection {
    /// Envoy's and Istio's defaults.
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway: 0,
            consecutive_local: 5,
            split_local: false,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection_percent: 10,
            min_health_percent: 0,
        }
    }
}

impl OutlierDetection {
    /// Whether so many of all may be ejected.
    pub(crate) fn admits(&self, ejected: usize, all: usize) -> bool {
        let most = all.saturating_mul(self.max_ejection_percent.min(100) as usize);
        ejected.saturating_mul(100) <= most
    }

    /// Whether so few are left that ejections are not heeded (Envoy's panic threshold).
    pub(crate) fn is_panic(&self, ejected: usize, all: usize) -> bool {
        let healthy = all.saturating_sub(ejected);
        healthy.saturating_mul(100) < all.saturating_mul(self.min_health_percent.min(100) as usize)
    }
}

/// What became of a request, or a connection, at an endpoint. What the client broke off tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, with this HTTP status (a gRPC status as HTTP would say it); a TCP connection: 200.
    Answered(u16),
    /// No connection.
    NotConnected,
    /// The connection broke before an answer.
    Reset,
    /// No answer in time.
    TimedOut,
}

impl Outcome {
    /// The status it counts as where failures of our own making are not counted apart.
    fn status(self) -> u16 {
        match self {
            Self::Answered(status) => status,
            Self::NotConnected | Self::Reset => 503,
            Self::TimedOut => 504,
        }
    }

    fn is_local(self) -> bool {
        !matches!(self, Self::Answered(_))
    }
}

/// That an endpoint failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ejected {
    /// It gets no requests until this millisecond.
    Until(u64),
    /// It stays, because too many are ejected already.
    Capped,
}

/// What a cluster has seen of one endpoint. Outlives compiles.
#[derive(Debug, Default)]
pub struct Health {
    in_a_row_5xx: AtomicU32,
    in_a_row_gateway: AtomicU32,
    in_a_row_local: AtomicU32,
    /// Ejections that are not forgotten.
    ejections: AtomicU32,
    /// 0: never was.
    ejected_until: AtomicU64,
    /// The millisecond of its first request, plus one; 0: none yet.
    first_used: AtomicU64,
}

impl Health {
    /// Whether it is ejected now.
    pub fn is_ejected(&self, now_ms: u64) -> bool {
        now_ms < self.ejected_until.load(Ordering::Acquire)
    }

    /// The millisecond its last ejection ends or ended; 0: it never was ejected.
    pub fn ejected_until(&self) -> u64 {
        self.ejected_until.load(Ordering::Acquire)
    }

    /// Ejections that are not forgotten yet.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Milliseconds since it was first considered for a request, which is now if it never was.
    pub(crate) fn age_ms(&self, now_ms: u64) -> u64 {
        let first = match self.first_used.load(Ordering::Relaxed) {
            0 => {
                let stamp = now_ms.saturating_add(1);
                let stored = self
                    .first_used
                    .compare_exchange(0, stamp, Ordering::Relaxed, Ordering::Relaxed);
                stored.err().unwrap_or(stamp)
            }
            first => first,
        };
        now_ms.saturating_add(1).saturating_sub(first)
    }

    /// Counts; true when a count has reached its limit.
    pub(crate) fn count(&self, outliers: &OutlierDetection, outcome: Outcome) -> bool {
        if outliers.split_local {
            if outcome.is_local() {
                return one_more(&self.in_a_row_local, outliers.consecutive_local);
            }
            clear(&self.in_a_row_local);
        }
        let status = outcome.status();
        if status < 500 {
            clear(&self.in_a_row_5xx);
            clear(&self.in_a_row_gateway);
            return false;
        }
        let by_5xx = one_more(&self.in_a_row_5xx, outliers.consecutive_5xx);
        if !matches!(status, 502..=504) {
            clear(&self.in_a_row_gateway);
            return by_5xx;
        }
        one_more(&self.in_a_row_gateway, outliers.consecutive_gateway) || by_5xx
    }

    /// Counts begin at none.
    pub(crate) fn begin_anew(&self) {
        for count in [&self.in_a_row_5xx, &self.in_a_row_gateway, &self.in_a_row_local] {
            clear(count);
        }
    }

    /// Ejects; the millisecond it ends. One caller at a time.
    pub(crate) fn eject(&self, outliers: &OutlierDetection, now_ms: u64) -> u64 {
        self.begin_anew();
        let back = self.ejected_until.load(Ordering::Acquire);
        let well = now_ms.saturating_sub(back) / millis(outliers.interval).max(1);
        let before = u64::from(self.ejections.load(Ordering::Relaxed)).saturating_sub(well);
        let ejections = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        self.ejections.store(ejections, Ordering::Relaxed);
        let base = outliers.base_ejection;
        let time = base.saturating_mul(ejections).min(LONGEST.max(base));
        let until = now_ms.saturating_add(millis(time).max(1));
        self.ejected_until.store(until, Ordering::Release);
        until
    }
}

/// Writes only what changes: all requests of an endpoint share the cache line.
fn clear(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

fn one_more(count: &AtomicU32, limit: u32) -> bool {
    if limit == 0 {
        return false;
    }
    let before = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_add(1)));
    before.unwrap_or_default().saturating_add(1) >= limit
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
