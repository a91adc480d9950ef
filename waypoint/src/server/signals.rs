//! SIGTERM drains and returns as soon as nothing is in flight; SIGQUIT hands the listeners to a new binary first.

use async_trait::async_trait;
use hbone::{Drain, Drained};
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

/// Between handing the descriptors over and draining: the new binary is accepting by then (Pingora waits as long).
const HAND_OVER: Duration = Duration::from_secs(5);

/// Clients that have not heard of the drain are served for so long; the mesh forgets an endpoint in less. Beyond, those
/// that come again and again would keep the process from ever being idle.
const LATE_CLIENTS: Duration = Duration::from_secs(4);

/// The last spans and log lines have this long to leave.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What to do with each signal. Given to Pingora in place of its own watcher, which would sleep the whole grace.
pub(crate) struct Signals {
    pub(crate) drain: Drain,
    /// The drain lasts at most this long.
    pub(crate) grace: Duration,
    /// Ends the HBONE listener.
    pub(crate) stop_hbone: watch::Sender<bool>,
    /// Ends the other listeners.
    pub(crate) stop_others: watch::Sender<bool>,
    /// Told when no request will come any more; who has last words to send lets go of it when they are sent.
    pub(crate) ended: watch::Sender<bool>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let handlers = (
            signal(SignalKind::terminate()),
            signal(SignalKind::quit()),
            signal(SignalKind::interrupt()),
        );
        let (Ok(mut terminate), Ok(mut quit), Ok(mut interrupt)) = handlers else {
            tracing::error!("signal handlers cannot be installed: shutting down");
            return ShutdownSignal::FastShutdown;
        };
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!(grace = ?self.grace, "SIGTERM: draining");
                self.drain_until_idle(&mut terminate).await;
                ShutdownSignal::FastShutdown
            }
            _ = quit.recv() => {
                tracing::info!("SIGQUIT: handing the listeners to the new process");
                self.hand_over();
                ShutdownSignal::GracefulUpgrade
            }
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}

impl Signals {
    /// The listener stays open at first: a client that has not heard yet is served, with a GOAWAY, and not refused. A
    /// second SIGTERM ends it at once.
    async fn drain_until_idle(&self, again: &mut Signal) {
        self.drain.start();
        tokio::select! {
            drained = self.drained() => match drained {
                Drained::Idle => tracing::info!("drained: nothing is in flight"),
                Drained::TimedOut => tracing::warn!(grace = ?self.grace, "the grace ended before the last stream did"),
            },
            _ = again.recv() => {
                tracing::warn!("a second SIGTERM: not waiting any longer");
                return;
            }
        }
        last_words(&self.ended).await;
    }

    async fn drained(&self) -> Drained {
        let late = LATE_CLIENTS.min(self.grace);
        if self.drain.wait(late).await == Drained::Idle {
            return Drained::Idle;
        }
        // Fails only when the listener has ended.
        let _ = self.stop_hbone.send(true);
        self.drain.wait(self.grace.saturating_sub(late)).await
    }

    /// Pingora sends the descriptors once `recv` returns and then only sleeps; the drain and the end are ours.
    fn hand_over(&self) {
        let (drain, grace) = (self.drain.clone(), self.grace);
        let listeners = [self.stop_hbone.clone(), self.stop_others.clone()];
        let ended = self.ended.clone();
        tokio::spawn(async move {
            tokio::time::sleep(HAND_OVER).await;
            for stop in listeners {
                // Fails only when the listener has ended.
                let _ = stop.send(true);
            }
            drain.start();
            let drained = drain.wait(grace).await;
            last_words(&ended).await;
            tracing::info!(?drained, "handed over: this process ends");
            std::process::exit(0);
        });
    }
}

/// Pingora ends its services without a word, or (when it hands over) while requests are still being served.
async fn last_words(ended: &watch::Sender<bool>) {
    ended.send_replace(true);
    if timeout(LAST_WORDS, ended.closed()).await.is_err() {
        tracing::warn!(limit = ?LAST_WORDS, "the last spans or log lines did not leave in time");
    }
}

#[cfg(test)]
mod tests;
