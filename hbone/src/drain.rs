//! Two-step drain, shared by everything that holds a connection open.
//!
//! `start` tells every connection to say GOAWAY; each of them, and each request in flight, holds a [`DrainGuard`];
//! `wait` returns when the last guard is gone, so that a process leaves as soon as it is idle and never before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The handle that starts a drain and waits for idleness. Clone freely.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

/// Held by every connection and request in flight: the drain ends when all are dropped.
#[derive(Debug)]
pub struct DrainGuard {
    shared: Arc<Shared>,
}

/// What waiting for a drain gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything ended by itself.
    Idle,
    /// The grace period ran out first.
    TimedOut,
}

#[derive(Debug, Default)]
struct Shared {
    /// As `started`, to be asked by every request: it takes no lock.
    is_started: AtomicBool,
    started: watch::Sender<bool>,
    guards: AtomicUsize,
    idle: Notify,
}

impl Drain {
    /// A handle nothing drains yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts draining. Idempotent.
    pub fn start(&self) {
        self.shared.is_started.store(true, Ordering::Release);
        self.shared.started.send_replace(true);
    }

    /// Resolves when draining has started (at once if it has).
    pub async fn started(&self) {
        let mut started = self.shared.started.subscribe();
        // The sender lives in `self.shared`, so this ends only by the value.
        let _ = started.wait_for(|started| *started).await;
    }

    /// Whether draining has started.
    pub fn is_started(&self) -> bool {
        self.shared.is_started.load(Ordering::Acquire)
    }

    /// Registers something that must end before the drain is done.
    pub fn guard(&self) -> DrainGuard {
        self.shared.guards.fetch_add(1, Ordering::Relaxed);
        DrainGuard {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Guards alive now: connections and requests in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.guards.load(Ordering::Acquire)
    }

    /// Waits until no guard is left, at most `grace`.
    pub async fn wait(&self, grace: Duration) -> Drained {
        let idle = async {
            loop {
                let mut notified = std::pin::pin!(self.shared.idle.notified());
                // Registered before the count is read, so that the last drop cannot be missed.
                notified.as_mut().enable();
                if self.in_flight() == 0 {
                    return;
                }
                notified.await;
            }
        };
        match tokio::time::timeout(grace, idle).await {
            Ok(()) => Drained::Idle,
            Err(_) => Drained::TimedOut,
        }
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        if self.shared.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
