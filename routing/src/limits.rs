//! Circuit limits: how much a cluster takes at once. What is beyond is refused at once, not queued without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// `connectionPool`. `None`: no limit, or the proxy's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `tcp.maxConnections`: HTTP/1.1 connections in use, and TCP connections.
    pub connections: Option<u32>,
    /// `http.http1MaxPendingRequests`: requests that wait for one of those.
    pub pending: Option<u32>,
    /// `http.http2MaxRequests`: requests in flight, of either version.
    pub requests: Option<u32>,
    /// `http.maxRetries`: retries in flight.
    pub retries: Option<u32>,
    /// `retryBudget`, which goes before it.
    pub retry_share: Option<RetryShare>,
    /// `http.maxRequestsPerConnection`: then it is closed.
    pub requests_per_connection: Option<u32>,
    /// `http.maxConcurrentStreams` of one HTTP/2 connection.
    pub streams_per_connection: Option<u32>,
    /// `tcp.connectTimeout`.
    pub connect_timeout: Option<Duration>,
    /// `http.idleTimeout`: an unused connection is kept this long.
    pub http_idle: Option<Duration>,
    /// `tcp.maxConnectionDuration`.
    pub connection_age: Option<Duration>,
    /// `tcp.tcpKeepalive`.
    pub keepalive: Option<Keepalive>,
}

/// `retryBudget`: retries in flight as a share of the requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryShare {
    /// In hundredths of one per cent. Default 20 %.
    pub basis_points: u32,
    /// But so many are always admitted. Default 3.
    pub least: u32,
}

impl Default for RetryShare {
    fn default() -> Self {
        Self {
            basis_points: 2000,
            least: 3,
        }
    }
}

impl Limits {
    /// How many requests may be in flight. A share of them is only known where they are counted.
    pub fn most_requests(&self) -> Option<u32> {
        self.requests.or(self.retry_share.map(|_| u32::MAX))
    }

    /// How many retries may be in flight beside so many requests.
    pub fn most_retries(&self, requests: u32) -> Option<u32> {
        let Some(share) = self.retry_share else {
            return self.retries;
        };
        let most = u64::from(requests).saturating_mul(share.basis_points.into()) / 10_000;
        Some(u32::try_from(most).unwrap_or(u32::MAX).max(share.least))
    }
}

/// `tcpKeepalive`. `None`: the proxy's own default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// Probes without an answer before the connection counts as broken.
    pub probes: Option<u32>,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Between probes.
    pub interval: Option<Duration>,
}

/// What is in use of a cluster's limits. What has no limit is not counted.
#[derive(Debug, Default)]
pub struct Usage {
    /// Against [`Limits::pending`].
    pub pending: Arc<Counter>,
    /// Against [`Limits::connections`], for connections that do not wait.
    pub connections: Arc<Counter>,
    /// Against [`Limits::requests`].
    pub requests: Arc<Counter>,
    /// Against [`Limits::retries`].
    pub retries: Arc<Counter>,
}

/// How many there are of something that is limited.
#[derive(Debug, Default)]
pub struct Counter(AtomicU32);

/// One of them, until it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct Permit(Option<Arc<Counter>>);

impl Counter {
    /// One more; `None` when that is too many.
    pub fn enter(self: &Arc<Self>, most: Option<u32>) -> Option<Permit> {
        let Some(most) = most else { return Some(Permit(None)) };
        let entered = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
            (n < most).then(|| n.saturating_add(1))
        });
        entered.ok().map(|_| Permit(Some(Arc::clone(self))))
    }

    /// How many there are now.
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(counter) = &self.0 {
            counter.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_limit_holds_until_a_permit_is_dropped() {
        let counter = Arc::new(Counter::default());
        let first = counter.enter(Some(2)).unwrap();
        let _second = counter.enter(Some(2)).unwrap();
        assert!(counter.enter(Some(2)).is_none());
        drop(first);
        assert!(counter.enter(Some(2)).is_some(), "dropped at once: one is left");
        assert_eq!(counter.now(), 1);
        assert!(counter.enter(Some(0)).is_none(), "0 admits nothing");
    }

    #[test]
    fn a_share_of_the_requests_may_be_retries() {
        let mut limits = Limits {
            retries: Some(9),
            ..Limits::default()
        };
        assert_eq!((limits.most_requests(), limits.most_retries(50)), (None, Some(9)));
        limits.retry_share = Some(RetryShare::default());
        assert_eq!(limits.most_requests(), Some(u32::MAX), "they are counted then");
        assert_eq!(
            [0, 15, 19, 20, u32::MAX].map(|n| limits.most_retries(n).unwrap()),
            [3, 3, 3, 4, 858_993_459]
        );
        limits.requests = Some(10);
        assert_eq!(limits.most_requests(), Some(10));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let counter = Arc::new(Counter::default());
        let _permits: Vec<_> = (0..10).map(|_| counter.enter(None).unwrap()).collect();
        assert_eq!(counter.now(), 0);
    }
}
