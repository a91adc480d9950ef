//! Counting the tunnels on a connection: how full it is, and whether it is idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The tunnels of one connection.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    in_use: AtomicUsize,
    /// Told when a slot is freed: whoever waits for room on any connection to the destination.
    freed: Option<Arc<Notify>>,
}

/// One tunnel's place on its connection, freed on drop.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn telling(freed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            in_use: AtomicUsize::new(0),
            freed: Some(freed),
        })
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Acquire)
    }

    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.in_use.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::AcqRel);
        if let Some(freed) = &self.0.freed {
            freed.notify_one();
        }
    }
}
