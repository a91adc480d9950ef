//! That the config has changed, told to what stays open across changes.
//!
//! A request that lasts asks for [`Changes::latest`] whenever it is polled: one atomic load. [`Changes::watched`] sees to
//! it that it is polled, and takes a lock once for each tunnel or stream and change, not for each poll.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use tokio::sync::{Notify, watch};

/// The generations of the config, as they come into force.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    latest: AtomicU64,
    told: watch::Sender<u64>,
    /// Wakes what is watched.
    wake: Notify,
    /// Grows before and after each wake; odd in between.
    wakes: AtomicU64,
}

impl Changes {
    /// `generation` was published. Called by one task only.
    pub(crate) fn tell(&self, generation: u64) {
        self.latest.store(generation, SeqCst);
        self.told.send_replace(generation);
        self.wakes.fetch_add(1, SeqCst);
        self.wake.notify_waiters();
        self.wakes.fetch_add(1, SeqCst);
    }

    /// The generation in force.
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(SeqCst)
    }

    /// Resolves with each change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// `inner`, which is polled again after each change. Use it at the root of a task, whose waker stays the same.
    /// (Pinned by the caller: an argument that is pinned here would take its room twice.)
    pub(crate) async fn watched<F: Future>(&self, mut inner: Pin<&mut F>) -> F::Output {
        // Most of what is served is served before anything changes; what never waits registers nothing.
        loop {
            let before = self.wakes.load(SeqCst);
            if let Poll::Ready(output) = once(|cx| inner.as_mut().poll(cx)).await {
                return output;
            }
            let mut woken = pin!(self.wake.notified());
            let mut registered = false;
            let next = poll_fn(|cx| {
                if !registered {
                    registered = true;
                    if woken.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                } else if let Poll::Ready(output) = inner.as_mut().poll(cx) {
                    return Poll::Ready(Some(output));
                }
                // A wake that was under way when we registered, or came since, has used the registration up, or will
                // before it is even: it takes a new one, and a look at what changed.
                let unmoved = before.is_multiple_of(2) && self.wakes.load(SeqCst) == before;
                if unmoved { Poll::Pending } else { Poll::Ready(None) }
            });
            if let Some(output) = next.await {
                return output;
            }
            tokio::task::consume_budget().await;
        }
    }
}

/// One poll.
async fn once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(poll(cx))).await
}

#[cfg(test)]
mod tests;
