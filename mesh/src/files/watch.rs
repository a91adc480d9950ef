//! Seeing that something changed: the kernel's word where it gives one, and a look every two seconds.

use super::Files;
use super::folders::inode;
use crate::istiod::News;
use crate::{Finding, Snapshot};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep, timeout};

/// Changes are looked for this often even when the kernel tells none (network file systems, lost events).
const POLL: Duration = Duration::from_secs(2);
/// A burst of changes is over when this long nothing happened.
const QUIET: Duration = Duration::from_millis(50);
/// A burst that never ends is read after this long.
const LONGEST_BURST: Duration = Duration::from_millis(500);

pub(super) async fn run(files: Arc<Files>, mut published: impl FnMut(&Arc<Snapshot>, &[Finding]) + Send) {
    let dirs = files
        .reader
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .folders
        .dirs()
        .to_vec();
    let (seen, mut events) = channel(1);
    let mut watched = Watched::new(dirs, move |event: notify::Result<Event>| {
        if event.map_or(true, |event| is_change(event.kind)) {
            // Full: a wake-up is waiting already.
            let _ = seen.try_send(());
        }
    });
    let mut news = files.reader.lock().unwrap_or_else(PoisonError::into_inner).news();
    loop {
        watched.arm();
        let reader = Arc::clone(&files);
        let is_changed = tokio::task::spawn_blocking(move || reader.reload()).await;
        if matches!(is_changed, Ok(true)) {
            let findings = Arc::clone(&files.findings.borrow());
            published(&files.snapshot.load_full(), &findings);
        }
        tokio::select! {
            Some(()) = events.recv() => settle(&mut events, &mut news).await,
            () = news.come() => settle(&mut events, &mut news).await,
            () = sleep(POLL) => {}
        }
    }
}

/// Waits until a burst of changes is over.
async fn settle(events: &mut Receiver<()>, news: &mut News) {
    let end = Instant::now() + LONGEST_BURST;
    while Instant::now() < end {
        let more = async {
            tokio::select! {
                event = events.recv() => event.is_some(),
                () = news.come() => true,
            }
        };
        if !timeout(QUIET, more).await.unwrap_or(false) {
            return;
        }
    }
}

/// Our own reading is no change.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The folders under the kernel's watch. One that was replaced is watched anew.
struct Watched {
    watcher: Option<RecommendedWatcher>,
    dirs: Vec<(PathBuf, Option<u64>)>,
}

impl Watched {
    fn new(dirs: Vec<PathBuf>, handler: impl notify::EventHandler) -> Self {
        let watcher = notify::recommended_watcher(handler).inspect_err(
            |error| tracing::warn!(%error, "config folders are polled only: the kernel cannot watch them"),
        );
        Self {
            watcher: watcher.ok(),
            dirs: dirs.into_iter().map(|dir| (dir, None)).collect(),
        }
    }

    fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for (dir, watched) in &mut self.dirs {
            let now = std::fs::metadata(&*dir).ok().map(|metadata| inode(&metadata));
            if now.is_none() || now == *watched {
                continue;
            }
            if watched.is_some() {
                let _ = watcher.unwatch(dir);
            }
            *watched = match watcher.watch(dir, RecursiveMode::NonRecursive) {
                Ok(()) => now,
                Err(error) => {
                    tracing::debug!(%error, dir = %dir.display(), "not watched, polled");
                    None
                }
            };
        }
    }
}
