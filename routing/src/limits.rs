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
    fn without_a_limit_nothing_is_counted() {
        let counter = Arc::new(Counter::default());
        let _permits: Vec<_> = (0..10).map(|_| counter.enter(None).unwrap()).collect();
        assert_eq!(counter.now(), 0);
    }
}
