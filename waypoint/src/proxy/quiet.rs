//! A connection between its requests, and what ends it: a drain that starts, or no request for too long.
//!
//! Drain and timer are registered once for all requests of a connection, as the waker of its task stays the same:
//! otherwise each request would take the timer's lock and the drain's.

use hbone::Drain;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Between requests, at least; twice that at most. Istio's tunnel idle time.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// One of its drains has started. Told once.
    Leaving,
    /// No request for [`IDLE_TIMEOUT`]. Told again after as long.
    Idle,
}

/// To be asked by the task of one connection, whenever it waits for a request.
pub(crate) struct Quiet<'q> {
    drains: &'q [&'q Drain],
    /// Resolves when one of `drains` has started.
    started: Pin<&'q mut (dyn Future<Output = ()> + Send)>,
    is_registered: bool,
    is_told: bool,
    idle: Pin<&'q mut Sleep>,
    /// A request has come since `idle` was set.
    is_used: bool,
}

impl<'q> Quiet<'q> {
    /// `started` resolves when one of `drains` has started; `idle` sleeps for [`IDLE_TIMEOUT`].
    pub(crate) fn new(
        drains: &'q [&'q Drain],
        started: Pin<&'q mut (dyn Future<Output = ()> + Send)>,
        idle: Pin<&'q mut Sleep>,
    ) -> Self {
        Self {
            drains,
            started,
            is_registered: false,
            is_told: false,
            idle,
            is_used: false,
        }
    }

    /// A request has come.
    pub(crate) fn used(&mut self) {
        self.is_used = true;
    }

    /// Resolves when the connection is to end.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        if !self.is_told && (!self.is_registered || self.drains.iter().any(|drain| drain.is_started())) {
            self.is_registered = true;
            if self.started.as_mut().poll(cx).is_ready() {
                self.is_told = true;
                return Poll::Ready(Over::Leaving);
            }
        }
        while self.idle.as_mut().poll(cx).is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
            if !std::mem::take(&mut self.is_used) {
                return Poll::Ready(Over::Idle);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
