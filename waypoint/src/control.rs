//! Everything that is not a request: config and certificates that change, spans that leave, pools that are swept.

use crate::config_source::ConfigSource;
use crate::discovery::IstiodDiscovery;
use crate::own_certs::OwnCerts;
use crate::proxy::Node;
use async_trait::async_trait;
use hbone::{Destination, Identity};
use mesh::{Finding, Severity, Snapshot};
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::timeout;

/// Between two looks for connections that were idle too long.
const SWEEP: Duration = Duration::from_secs(10);

/// The first key sets are waited for this long before the first request may come: tokens of those that are missing are
/// refused then.
const FIRST_KEYS: Duration = Duration::from_secs(5);

/// Writing the last lines of the access log takes at most this long.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The control thread.
pub(crate) struct Control {
    node: Arc<Node>,
    certs: OwnCerts,
    /// Taken when the thread starts.
    source: Mutex<Option<ConfigSource>>,
    istiod: Option<IstiodDiscovery>,
    /// Everything was read whole.
    read: watch::Sender<bool>,
    ready: Arc<AtomicBool>,
    /// True: no request will come any more. Taken when the thread starts, dropped when the last words have left.
    ended: Mutex<Option<watch::Receiver<bool>>>,
}

impl Control {
    pub(crate) fn new(
        node: Arc<Node>,
        certs: OwnCerts,
        (source, istiod): (ConfigSource, Option<IstiodDiscovery>),
        ready: Arc<AtomicBool>,
        ended: watch::Receiver<bool>,
    ) -> Self {
        Self {
            node,
            certs,
            source: Mutex::new(Some(source)),
            istiod,
            read: watch::Sender::default(),
            ready,
            ended: Mutex::new(Some(ended)),
        }
    }

    async fn watch_config(&self) {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(source) = source else { return };
        let mut told = Told::default();
        let published = |snapshot: &Arc<Snapshot>, findings: &[Finding]| {
            told.published(&self.node, snapshot, findings);
            self.note_unread(snapshot, findings);
        };
        source.watch(published).await;
    }

    /// Ready once everything was read whole. A file that is broken from the start, or a kind that may not be read, has no
    /// last good state, and the policy that may be in it is not in force: that is not a state to send traffic to.
    fn note_unread(&self, snapshot: &Snapshot, findings: &[Finding]) {
        let unread = findings.iter().find(|finding| is_unread(finding));
        match unread {
            Some(finding) if !*self.read.borrow() => {
                tracing::warn!(target: "waypoint::config", "not ready until this can be read: {finding}");
            }
            Some(_) => {}
            // Nothing of a cluster is in force yet.
            None if snapshot.generation == 0 => {}
            None => drop(self.read.send_replace(true)),
        }
    }

    /// Then the key sets are waited for: the first requests are not refused for want of keys that are on their way.
    async fn become_ready(&self) {
        // The sender lives in `self`: it ends only by the value.
        let _ = self.read.subscribe().wait_for(|read| *read).await;
        if timeout(FIRST_KEYS, self.node.jwks.settled()).await.is_err() {
            tracing::warn!(limit = ?FIRST_KEYS, "ready without all key sets: tokens of those that are missing are refused");
        }
        self.ready.store(true, Ordering::Release);
        // Nobody may be reading: the process serves all the same.
        let _ = writeln!(std::io::stdout(), "ready");
    }

    async fn discover(&self) {
        if let Some(istiod) = &self.istiod {
            istiod.run().await;
        }
    }

    async fn sweep(&self) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            self.node.connector.sweep();
        }
    }

    async fn watch_certs(&self) {
        let own = &self.node.metrics.own;
        let expiry = |identity: &Identity| {
            let since = identity.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
            own.certificate_expiry
                .set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        };
        expiry(&self.certs.source().current());
        let rotated = |identity: &Identity| {
            own.certificate_rotations.inc();
            expiry(identity);
        };
        self.certs.watch(rotated).await;
    }

    /// Exports spans until the end, and sends then what waits: the last spans, the last lines of the access log.
    async fn export(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut ended) = ended else { return };
        let end = || {
            let mut ended = ended.clone();
            async move {
                // A closed channel is an end too.
                let _ = ended.wait_for(|ended| *ended).await;
            }
        };
        let push = async {
            if let Some(push) = &self.node.push {
                push.run(end()).await;
            }
        };
        tokio::join!(Arc::clone(&self.node.spans).run(end()), push);
        let _ = ended.wait_for(|ended| *ended).await;
        if !self.node.access_log.flush(LAST_LINES) {
            tracing::warn!("the last lines of the access log were not written");
        }
    }
}

#[async_trait]
impl BackgroundService for Control {
    async fn start(&self, _shutdown: ShutdownWatch) {
        tokio::join!(
            self.watch_config(),
            self.discover(),
            self.become_ready(),
            self.watch_certs(),
            self.sweep(),
            self.export(),
            self.node.dns.run(&self.node),
            self.node.jwks.run(&self.node),
        );
    }
}

/// What was reported last, so that each finding is logged once.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    generation: u64,
}

impl Told {
    fn published(&mut self, node: &Node, snapshot: &Arc<Snapshot>, findings: &[Finding]) {
        let own = &node.metrics.own;
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        let warnings = findings.len().saturating_sub(errors);
        own.config_generation
            .set(i64::try_from(snapshot.generation).unwrap_or(i64::MAX));
        own.config_errors.set(i64::try_from(errors).unwrap_or(i64::MAX));
        own.config_warnings.set(i64::try_from(warnings).unwrap_or(i64::MAX));
        own.config_updates.inc();
        own.config_reloaded.set((errors == 0).into());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        own.config_reload_time
            .set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let fresh: Vec<&Finding> = findings
            .iter()
            .filter(|finding| !self.findings.contains(finding))
            .collect();
        if fresh.iter().any(|finding| finding.severity == Severity::Error) {
            own.config_rejected.inc();
        }
        for finding in fresh {
            match finding.severity {
                Severity::Error => tracing::error!(target: "waypoint::config", "{finding}"),
                Severity::Warning => tracing::warn!(target: "waypoint::config", "{finding}"),
            }
        }
        if snapshot.generation != self.generation {
            tracing::info!(
                generation = snapshot.generation,
                services = snapshot.service_ports().len(),
                errors,
                warnings,
                "config in force"
            );
        }
        node.shares.publish(snapshot, own);
        node.live.published(snapshot, findings);
        node.changes.tell(snapshot.generation);
        node.connector.retain(|destination| is_known(snapshot, destination));
        self.generation = snapshot.generation;
        self.findings = findings.to_vec();
    }
}

/// The finding is about a whole file or kind, not about an object in it.
fn is_unread(finding: &Finding) -> bool {
    finding.severity == Severity::Error && finding.object.is_none() && finding.field.is_none()
}

/// A workload with this address and identity is still there.
fn is_known(snapshot: &Snapshot, destination: &Destination) -> bool {
    if snapshot.is_gateway(destination.address, &destination.identity) {
        return true;
    }
    let workload = snapshot.workload(destination.address.ip());
    workload.is_some_and(|workload| workload.identity.as_ref() == Some(&destination.identity))
}
