//! Certificates in a folder, as istio-agent, cert-manager and mounted Secrets leave them.

use super::{CertSource, Identity};
use crate::error::CertError;
use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

pub(super) const ROOTS: &str = "root-cert.pem";
pub(super) const CHAIN: &str = "cert-chain.pem";
pub(super) const KEY: &str = "key.pem";

/// Largest file that is read: 1 MiB.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// The folder is looked at this often even when no event came (network file systems, swapped symlinks).
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// A change is taken only when the files read the same again after this time: no half-written sets.
const SETTLE: Duration = Duration::from_millis(100);

/// `root-cert.pem`, `cert-chain.pem`, `key.pem` in a folder, re-read when they change.
#[derive(Debug)]
pub struct FileCerts {
    folder: PathBuf,
    current: ArcSwap<Identity>,
    tried: Mutex<Tried>,
}

/// What was tried last: what did not change is not tried and not reported again.
#[derive(Debug)]
struct Tried {
    /// Digest of the files, good or bad.
    files: u64,
    /// Digest of the reason why they could not be read, while they cannot.
    unreadable: Option<u64>,
}

impl FileCerts {
    /// Reads the folder once.
    ///
    /// # Errors
    /// Which file, what was expected, what was found. Certificate and key must match; the leaf needs a SPIFFE id.
    pub fn load(folder: &Path) -> Result<Arc<Self>, CertError> {
        let files = Files::read(folder)?;
        let identity = files.identity(folder)?;
        if !identity.is_valid_at(SystemTime::now()) {
            tracing::warn!(id = identity.id.as_str(), not_after = ?identity.not_after, "our certificate is not valid now");
        }
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            current: ArcSwap::from_pointee(identity),
            tried: Mutex::new(Tried {
                files: files.digest(),
                unreadable: None,
            }),
        }))
    }

    /// Watches the folder for as long as it is polled: a change that cannot be used is logged and the last good
    /// identity stays. `taken` hears of every new identity.
    pub async fn watch(self: Arc<Self>, mut taken: impl FnMut(&Identity) + Send) {
        let (events, mut changed) = mpsc::channel(1);
        let watcher = watch_folder(&self.folder, events);
        if let Err(error) = &watcher {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot watch the certificates, only polling them");
        }
        loop {
            // The sender goes with the watcher: without one, only the clock wakes us.
            match &watcher {
                Ok(_) => {
                    let _ = tokio::time::timeout(POLL_INTERVAL, changed.recv()).await;
                }
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
            let before = self.current.load_full();
            self.reread().await;
            let now = self.current.load_full();
            if !Arc::ptr_eq(&before, &now) {
                taken(&now);
            }
        }
    }

    /// Takes the files as they are now, if they have changed, can be used and are not being written.
    pub(super) async fn reread(&self) {
        let Some(first) = self.read_if_new().await else { return };
        tokio::time::sleep(SETTLE).await;
        let Some(second) = self.read_if_new().await else { return };
        // Still being written: the next event or poll comes back to it.
        if first.digest() == second.digest() {
            self.take(&second);
        }
    }

    /// The files, when they differ from what was tried last.
    async fn read_if_new(&self) -> Option<Files> {
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || Files::read(&folder)).await.ok()?;
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(files) => {
                tried.unreadable = None;
                (files.digest() != tried.files).then_some(files)
            }
            Err(error) => {
                let reason = Some(digest_of(&error.reason));
                if std::mem::replace(&mut tried.unreadable, reason) != reason {
                    tracing::warn!(folder = %self.folder.display(), %error, "cannot read the certificates, keeping the last good ones");
                }
                None
            }
        }
    }

    fn take(&self, files: &Files) {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).files = files.digest();
        let taken = files
            .identity(&self.folder)
            .and_then(|identity| self.check_validity(identity));
        match taken {
            Ok(identity) => {
                tracing::info!(id = identity.id.as_str(), not_after = ?identity.not_after, "new certificates");
                self.current.store(Arc::new(identity));
            }
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "cannot use the new certificates, keeping the last good ones");
            }
        }
    }

    /// A certificate that is not valid now never replaces one that is.
    fn check_validity(&self, new: Identity) -> Result<Identity, CertError> {
        let now = SystemTime::now();
        if new.is_valid_at(now) || !self.current.load().is_valid_at(now) {
            return Ok(new);
        }
        let reason = format!(
            "expected a certificate valid now, found one from {:?} to {:?}",
            new.not_before, new.not_after
        );
        Err(CertError {
            file: self.folder.join(CHAIN).display().to_string(),
            reason,
        })
    }
}

impl CertSource for FileCerts {
    fn current(&self) -> Arc<Identity> {
        self.current.load_full()
    }
}

fn watch_folder(folder: &Path, events: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an access, too.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full means that a look is due already.
            let _ = events.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// The three files as they are at one moment. The key is in here: it implements nothing that could print it.
struct Files {
    roots: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(folder: &Path) -> Result<Self, CertError> {
        Ok(Self {
            roots: read_file(folder, ROOTS)?,
            chain: read_file(folder, CHAIN)?,
            key: read_file(folder, KEY)?,
        })
    }

    fn identity(&self, folder: &Path) -> Result<Identity, CertError> {
        Identity::from_pem(&self.chain, &self.key, &self.roots).map_err(|error| CertError {
            file: folder.join(error.file).display().to_string(),
            reason: error.reason,
        })
    }

    /// Tells one state of the folder from the next; nothing else rests on it.
    fn digest(&self) -> u64 {
        digest_of(&(&self.roots, &self.chain, &self.key))
    }
}

fn digest_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn read_file(folder: &Path, name: &str) -> Result<Vec<u8>, CertError> {
    let path = folder.join(name);
    let error = |reason: String| CertError {
        file: path.display().to_string(),
        reason,
    };
    let file = std::fs::File::open(&path).map_err(|cause| error(format!("cannot open it: {cause}")))?;
    let mut bytes = Vec::new();
    let limit = FILE_LIMIT_BYTES.saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|cause| error(format!("cannot read it: {cause}")))?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err(error("expected at most 1 MiB, found more".to_owned()));
    }
    Ok(bytes)
}
