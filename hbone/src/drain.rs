//! Two-step drain, shared by everything that holds a connection open.

/// The handle that starts a drain and waits for idleness. Clone freely.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    _private: (),
}

/// Held by every connection and request in flight: the drain ends when all are dropped.
#[derive(Debug)]
pub struct DrainGuard {
    _private: (),
}

/// What waiting for a drain gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything ended by itself.
    Idle,
    /// The grace period ran out first.
    TimedOut,
}

impl Drain {
    /// A handle nothing drains yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Starts draining. Idempotent.
    pub fn start(&self) {
        todo!()
    }
    /// Resolves when draining has started (at once if it has).
    pub async fn started(&self) {
        todo!()
    }
    /// Whether draining has started.
    pub fn is_started(&self) -> bool {
        todo!()
    }
    /// Registers something that must end before the drain is done.
    pub fn guard(&self) -> DrainGuard {
        todo!()
    }
    /// Waits until no guard is left, at most `grace`.
    pub async fn wait(&self, _grace: std::time::Duration) -> Drained {
        todo!()
    }
}
