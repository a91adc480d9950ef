//! `--config DIR`: reading, watching, and keeping the last good state of each file.

mod folders;
mod place;
mod watch;

use crate::compile::Compiler;
use crate::finding::Severity;
use crate::istiod::News;
use crate::{Discovery, Finding, Scope, Snapshot, yaml};
use arc_swap::ArcSwap;
use folders::Folders;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch::{Receiver, Sender, channel};

/// The watched folders. `snapshot` is what requests read.
#[derive(Debug)]
pub struct Files {
    /// The published snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Findings of the latest compile (changes with every compile).
    pub findings: Receiver<Arc<Vec<Finding>>>,
    told: Sender<Arc<Vec<Finding>>>,
    reader: Arc<Mutex<Reader>>,
}

/// What reading again may change.
#[derive(Debug)]
struct Reader {
    folders: Folders,
    discovery: Option<Arc<Discovery>>,
    /// Of it, since the latest compile.
    news: News,
    compiler: Compiler,
    /// Findings of the latest compile, without those about files that cannot be read.
    compiled: Vec<Finding>,
}

/// What a reading found.
struct Reading {
    /// `None`: no object changed.
    snapshot: Option<Arc<Snapshot>>,
    findings: Vec<Finding>,
}

impl Files {
    /// Reads and compiles once.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be listed. Broken files are findings, not errors.
    pub fn load(dirs: Vec<PathBuf>, scope: Scope) -> std::io::Result<Self> {
        Self::load_with(dirs, scope, None)
    }

    /// The same, with Services and workloads that istiod tells.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(dirs: Vec<PathBuf>, scope: Scope, discovery: Option<Arc<Discovery>>) -> std::io::Result<Self> {
        for dir in &dirs {
            std::fs::read_dir(dir).map_err(|error| named(&error, dir))?;
        }
        let mut reader = Reader {
            folders: Folders::new(dirs),
            news: News::of(discovery.as_ref()),
            discovery,
            compiler: Compiler::new(scope),
            compiled: Vec::new(),
        };
        let reading = yaml::on_deep_stack(|| reader.read_first())?;
        let (told, findings) = channel(Arc::new(reading.findings));
        let snapshot = reading.snapshot.unwrap_or_default();
        Ok(Self {
            snapshot: Arc::new(ArcSwap::from(snapshot)),
            findings,
            told,
            reader: Arc::new(Mutex::new(reader)),
        })
    }

    /// Reads again what changed, compiles, publishes. True when a snapshot was published or the findings changed.
    /// Blocking: files are read and compiled on this thread's time.
    pub fn reload(&self) -> bool {
        let mut guard = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = &mut *guard;
        let reading = match yaml::on_deep_stack(|| reader.read_again()) {
            Ok(None) => return false,
            Ok(Some(reading)) => reading,
            Err(error) => Reading {
                snapshot: None,
                findings: vec![failed(&error)],
            },
        };
        if let Some(snapshot) = reading.snapshot {
            self.snapshot.store(snapshot);
        }
        self.told.send_replace(Arc::new(reading.findings));
        true
    }

    /// Watches (notify and a 2 s poll), debounces 50 ms, compiles, publishes; calls `published` after each. Runs until
    /// dropped. A reload that only changes findings (a file broke) calls it with the snapshot as it was.
    pub async fn watch(self, published: impl FnMut(&Arc<Snapshot>, &[Finding]) + Send) {
        watch::run(Arc::new(self), published).await;
    }
}

impl Reader {
    /// For those who wait for something to read.
    fn news(&self) -> News {
        News::of(self.discovery.as_ref())
    }

    fn read_first(&mut self) -> Reading {
        self.folders.refresh();
        self.compile()
    }

    /// `None`: nothing changed.
    fn read_again(&mut self) -> Option<Reading> {
        let change = self.folders.refresh();
        if change.objects | self.news.take() {
            return Some(self.compile());
        }
        change.faults.then(|| Reading {
            snapshot: None,
            findings: self.findings(),
        })
    }

    fn compile(&mut self) -> Reading {
        let mut resources = self.folders.resources();
        if let Some(discovery) = &self.discovery {
            discovery.merge(&mut resources);
        }
        let (snapshot, raised) = self.compiler.compile_raised(&resources);
        self.compiled = match self.discovery.as_ref().and_then(|discovery| discovery.waiting()) {
            // All that is missing is told by one word.
            Some(waiting) => vec![waiting],
            None => place::place(raised),
        };
        Reading {
            snapshot: Some(snapshot),
            findings: self.findings(),
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .folders
            .faults()
            .cloned()
            .chain(self.compiled.iter().cloned())
            .collect();
        findings.sort_by(Finding::order);
        findings
    }
}

/// `waypoint check`: findings of the folders, in file order. No network.
///
/// # Errors
/// A folder that cannot be read.
pub fn check(dirs: &[PathBuf], scope: Scope) -> std::io::Result<Vec<Finding>> {
    let files = Files::load(dirs.to_vec(), scope)?;
    let findings = files.findings.borrow();
    Ok(findings.to_vec())
}

fn named(error: &std::io::Error, dir: &std::path::Path) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("config folder {}: {error}", dir.display()))
}

fn failed(error: &std::io::Error) -> Finding {
    Finding {
        severity: Severity::Error,
        object: None,
        field: None,
        place: None,
        message: format!("the config could not be compiled, its last good state stays in force: {error}"),
    }
}

#[cfg(test)]
mod tests;
