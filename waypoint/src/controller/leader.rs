//! Whether this controller may act: it holds the Lease, and has renewed it not long ago.

use super::moment::now_in_micros;
use crate::cli::ControllerArgs;
use controller::Election;
use mesh::{CallError, ClusterClient};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use telemetry::ControllerMetrics;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Giving the Lease back takes at most this long: without that, another waits until it expires.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Between two tries that fail.
const RETRY: Duration = Duration::from_secs(2);

/// One candidate.
pub(super) struct Leader {
    client: ClusterClient,
    election: Mutex<Election>,
    lasts: Duration,
    started: Instant,
    /// Until when it may act; `None`: it may not.
    held: watch::Sender<Option<Instant>>,
    metrics: Arc<ControllerMetrics>,
}

impl Leader {
    pub(super) fn new(
        args: &ControllerArgs,
        namespace: &str,
        client: ClusterClient,
        metrics: Arc<ControllerMetrics>,
    ) -> Self {
        let identity = args.identity.clone().unwrap_or_else(own_name);
        tracing::info!(target: "waypoint::controller", identity, namespace, lease = args.lease, "a candidate");
        Self {
            client,
            election: Mutex::new(Election::new(namespace, &args.lease, &identity, args.lease_seconds)),
            lasts: Duration::from_secs(args.lease_seconds),
            started: Instant::now(),
            held: watch::Sender::default(),
            metrics,
        }
    }

    /// Whether it may act now.
    pub(super) fn is_held(&self) -> bool {
        self.held.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Returns when it may act and could not (`was` false), or the other way round.
    pub(super) async fn changed(&self, was: bool) {
        let mut held = self.held.subscribe();
        while self.is_held() == was {
            let until = *held.borrow_and_update();
            tokio::select! {
                _ = held.changed() => {}
                () = expiry(until.filter(|_| was)) => {}
            }
        }
    }

    /// Takes and renews the Lease for ever.
    pub(super) async fn run(&self) {
        loop {
            let began = Instant::now();
            // An answer that comes later is of no use: it is then no longer known for how long the Lease is held.
            let tried = timeout(self.lasts, self.attempt()).await;
            let is_ours = match tried {
                Ok(Ok(is_ours)) => is_ours,
                Ok(Err(CallError::Conflict(_))) => {
                    self.metrics.write("Lease", "lease", "conflict");
                    false
                }
                Ok(Err(error)) => {
                    tracing::warn!(target: "waypoint::controller", "the Lease cannot be read or written: {error}");
                    self.rest(RETRY).await;
                    continue;
                }
                Err(_) => {
                    self.told(None);
                    continue;
                }
            };
            self.told(is_ours.then(|| began + self.lasts * 2 / 3));
            self.rest(self.lasts / 3).await;
        }
    }

    /// Gives the Lease back, if it is ours.
    pub(super) async fn release(&self) {
        if !self.is_held() {
            return;
        }
        self.told(None);
        let lease = self.election().lease();
        let giving = async {
            let lease = self.client.get(&lease).await?;
            let released = lease.and_then(|lease| self.election().released(&lease, &now_in_micros()));
            match released {
                Some(lease) => self.client.replace(&lease).await.map(drop),
                None => Ok(()),
            }
        };
        match timeout(LAST_WORD, giving).await {
            Ok(Ok(())) => tracing::info!(target: "waypoint::controller", "the Lease is given back"),
            Ok(Err(error)) => tracing::warn!(target: "waypoint::controller", "the Lease is not given back: {error}"),
            Err(_) => tracing::warn!(target: "waypoint::controller", "the Lease is not given back: no answer"),
        }
    }

    /// Whether the Lease is ours now.
    async fn attempt(&self) -> Result<bool, CallError> {
        let named = self.election().lease();
        let lease = self.client.get(&named).await?;
        let wish = self
            .election()
            .wish(lease.as_ref(), self.started.elapsed(), &now_in_micros());
        let Some(wish) = wish else { return Ok(false) };
        match lease {
            None => self.client.create(&wish).await?,
            Some(_) => self.client.replace(&wish).await?,
        };
        self.metrics.write("Lease", "lease", "ok");
        Ok(true)
    }

    fn told(&self, held: Option<Instant>) {
        let was = self.held.send_replace(held).is_some();
        self.metrics.leader.set(held.is_some().into());
        match (was, held.is_some()) {
            (false, true) => tracing::info!(target: "waypoint::controller", "leader: this one acts"),
            (true, false) => tracing::warn!(target: "waypoint::controller", "no leader any more: another acts"),
            _ => {}
        }
    }

    /// So long, or until what is held has expired.
    async fn rest(&self, time: Duration) {
        let held = *self.held.borrow();
        tokio::select! {
            () = sleep(time.min(self.lasts / 3)) => {}
            () = expiry(held) => self.told(None),
        }
    }

    fn election(&self) -> std::sync::MutexGuard<'_, Election> {
        self.election.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn expiry(held: Option<Instant>) {
    match held {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn own_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = Some(host.trim())
        .filter(|host| !host.is_empty())
        .unwrap_or("waypoint-controller")
        .to_owned();
    format!("{host}-{}", std::process::id())
}
