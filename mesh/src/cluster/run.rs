//! The loop: messages of watches are gathered, taken in, compiled and published.

use super::discovery;
use super::interest::Eye;
use super::keeper::{Keeper, Step};
use super::kind::KINDS;
use super::stream::Message;
use super::trim::{Seen, trim};
use super::watches::{Watches, wanted};
use super::{Cluster, ClusterEvents};
use crate::istiod::News;
use crate::{Finding, Snapshot};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval, sleep_until, timeout_at};

/// Messages that wait; watches wait when it is full.
const INBOX: usize = 1_024;
/// Messages that are taken in together.
const BATCH: usize = 2_000;
/// Changes are gathered for so long before a compile.
const QUIET: Duration = Duration::from_millis(50);
/// At most, where a compile takes long.
const LONGEST_QUIET: Duration = Duration::from_secs(1);
/// Between two looks at how the watches are.
const TICK: Duration = Duration::from_secs(5);

/// Runs until dropped.
pub(super) async fn run(cluster: Cluster, mut published: impl FnMut(&Arc<Snapshot>, &[Finding]) + Send) {
    let (inbox, messages) = channel(INBOX);
    let (discovered, found) = channel(1);
    let access = Arc::clone(&cluster.access);
    let discovery = discovery::run(
        Arc::clone(&access),
        KINDS.iter().collect(),
        cluster.config.discovery,
        discovered,
    );
    let watches = Watches::new(access, Arc::clone(&cluster.events), inbox, trim);
    let state = State {
        events: Arc::clone(&cluster.events),
        snapshot: Arc::clone(&cluster.snapshot),
        watches,
        eye: cluster.eye.clone(),
        messages,
        quiet: QUIET,
        compiled: Vec::new(),
        news: News::of(cluster.eye.istiod.as_ref()),
    };
    let told = cluster.told;
    let gather = state.run(cluster.keeper, found, |snapshot, findings| {
        told.send_replace(Arc::clone(&findings));
        published(snapshot, &findings);
    });
    tokio::join!(discovery, gather);
}

struct State {
    events: Arc<dyn ClusterEvents>,
    snapshot: Arc<arc_swap::ArcSwap<Snapshot>>,
    watches: Watches<Seen>,
    /// The waypoint's namespace.
    eye: Eye,
    messages: Receiver<Message<Seen>>,
    quiet: Duration,
    /// Findings of the latest compile.
    compiled: Vec<Finding>,
    /// Of istiod, when it tells Services and workloads.
    news: News,
}

impl State {
    async fn run(
        mut self,
        mut keeper: Keeper,
        mut found: Receiver<Result<discovery::Found, String>>,
        mut published: impl FnMut(&Arc<Snapshot>, Arc<Vec<Finding>>),
    ) {
        let mut last: Option<Arc<Vec<Finding>>> = None;
        let mut tick = interval(TICK);
        loop {
            let waits = keeper.is_changed() && self.snapshot.load().generation > 0;
            let held = waits.then(|| self.watches.hold()).flatten();
            let (mut batch, mut is_told) = (Vec::new(), false);
            tokio::select! {
                Some(message) = self.messages.recv() => batch.extend(self.watches.heard(message)),
                Some(found) = found.recv() => self.watches.discovered(found),
                () = until(held) => {}
                () = self.news.come() => is_told = true,
                _ = tick.tick() => self.watches.tick(),
            }
            self.gather(&mut batch).await;
            let Some(kept) = self.take(keeper, batch, is_told).await else {
                return;
            };
            keeper = kept;
            let mut snapshot = None;
            if keeper.is_changed() && self.may_compile() {
                let Some((kept, compiled)) = self.compile(keeper).await else {
                    return;
                };
                (keeper, snapshot) = (kept, compiled);
            }
            let is_serving = snapshot.is_some() || self.snapshot.load().generation > 0;
            let mut findings = self.compiled.clone();
            findings.extend(self.watches.findings(is_serving));
            findings.extend(self.eye.istiod.as_ref().and_then(|istiod| istiod.waiting()));
            findings.sort_by(Finding::order);
            if snapshot.is_some() || last.as_deref() != Some(&findings) {
                let findings = Arc::new(findings);
                last = Some(Arc::clone(&findings));
                published(&self.snapshot.load_full(), findings);
            }
        }
    }

    /// What else comes within the quiet time.
    async fn gather(&mut self, batch: &mut Vec<Step<Seen>>) {
        let end = Instant::now() + self.quiet;
        while batch.len() < BATCH {
            match timeout_at(end, self.messages.recv()).await {
                Ok(Some(message)) => batch.extend(self.watches.heard(message)),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Takes a batch in and arranges the watches. `None`: the process ends.
    async fn take(&mut self, mut keeper: Keeper, batch: Vec<Step<Seen>>, is_told: bool) -> Option<Keeper> {
        let (mut batch, mut is_told) = (batch, is_told);
        loop {
            keeper = spawn_blocking(move || {
                if is_told {
                    keeper.hear();
                }
                keeper.take(batch);
                keeper
            })
            .await
            .ok()?;
            is_told = false;
            batch = self
                .watches
                .arrange(|found| wanted(found, keeper.interest(), &self.eye));
            if batch.is_empty() {
                self.events.objects(keeper.count());
                return Some(keeper);
            }
        }
    }

    /// Whether what was taken in can be published: everything was read, or was once and new watches took too long.
    fn may_compile(&self) -> bool {
        let is_serving = self.snapshot.load().generation > 0;
        if self.eye.istiod.as_ref().is_some_and(|istiod| !istiod.is_whole()) {
            return false;
        }
        self.watches.is_whole() || is_serving && self.watches.hold().is_none_or(|until| until <= Instant::now())
    }

    /// Compiles and publishes. `None`: the process ends.
    async fn compile(&mut self, mut keeper: Keeper) -> Option<(Keeper, Option<Arc<Snapshot>>)> {
        let began = Instant::now();
        let (keeper, compiled) = spawn_blocking(move || {
            let compiled = keeper.compile();
            (keeper, compiled)
        })
        .await
        .ok()?;
        // A third of one core at most.
        self.quiet = (began.elapsed() * 2).clamp(QUIET, LONGEST_QUIET);
        match compiled {
            Ok((snapshot, findings)) => {
                self.compiled = findings;
                self.snapshot.store(Arc::clone(&snapshot));
                Some((keeper, Some(snapshot)))
            }
            Err(error) => {
                tracing::error!(target: "waypoint::kubernetes", "the config could not be compiled, its last good state stays in force: {error}");
                Some((keeper, None))
            }
        }
    }
}

/// That time; never, without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
