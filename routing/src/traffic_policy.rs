//! How the endpoints of a cluster are used: what a DestinationRule's `trafficPolicy` sets.

use crate::{HashKey, Limits, OutlierDetection};
use std::time::Duration;

/// All of it. The default is what Istio does without a DestinationRule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    /// Which endpoint.
    pub balance: Balance,
    /// Less for endpoints that are new.
    pub warmup: Option<Warmup>,
    /// None for endpoints that fail; `None`: they are used as any other.
    pub outliers: Option<OutlierDetection>,
    /// How much at once, and how long.
    pub limits: Limits,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two that are drawn.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Drawn.
    Random,
    /// The same for the same key.
    Hash(HashKey),
}

/// Slow start: an endpoint's share grows with its age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// How long, from its first request.
    pub duration: Duration,
    /// Per cent of its share it begins with.
    pub least_percent: f64,
    /// Over 1: faster at first.
    pub aggression: f64,
}

impl Warmup {
    /// The part of its share, 0.0 to 1.0, that an endpoint of this age gets (Envoy's slow start).
    pub fn factor(&self, age_ms: u64) -> f64 {
        let duration = self.duration.as_millis() as f64;
        if age_ms as f64 >= duration {
            return 1.0;
        }
        let grown = (age_ms as f64 / duration).powf(1.0 / self.aggression);
        grown.clamp((self.least_percent / 100.0).clamp(0.0, 1.0), 1.0)
    }
}
