//! Certificates in a folder, as istio-agent, cert-manager and mounted Secrets leave them.

use super::{CertSource, Identity, Names, SharedCerts};
use crate::crls::Crls;
use crate::error::CertError;
use notify::{RecursiveMode, Watcher};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};

pub(super) const ROOTS: &str = "root-cert.pem";
pub(super) const CHAIN: &str = "cert-chain.pem";
pub(super) const KEY: &str = "key.pem";
pub(super) const NAMES: Names = Names { chain: CHAIN, key: KEY };
/// CRLs, if any; the second is the name in Istio's plugged-in CA Secret and in the ConfigMap it is handed on by.
pub(super) const CRLS: [&str; 2] = ["crl.pem", "ca-crl.pem"];

/// Largest file that is read: 1 MiB; of CRLs 8 MiB (some 200,000 certificates).
pub(crate) const FILE_LIMIT_BYTES: u64 = 1024 * 1024;
const CRL_LIMIT_BYTES: u64 = 8 * FILE_LIMIT_BYTES;

/// The folder is looked at this often even when no event came (network file systems, swapped symlinks).
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// A change is taken only when the files read the same again after this time: no half-written sets.
const SETTLE: Duration = Duration::from_millis(100);

/// `root-cert.pem`, `cert-chain.pem`, `key.pem` in a folder, and `crl.pem` or `ca-crl.pem` (or both) where there are
/// CRLs; re-read when they change.
#[derive(Debug)]
pub struct FileCerts {
    folder: PathBuf,
    current: SharedCerts,
    tried: Mutex<Tried>,
    /// The last good ones: CRLs that cannot be used must not hold a rotation up.
    crls: Mutex<Crls>,
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
        let crls = files.crls(folder)?;
        let identity = files.identity(folder, crls.clone())?;
        if !identity.is_valid_at(SystemTime::now()) {
            tracing::warn!(id = identity.id.as_str(), not_after = ?identity.not_after, "our certificate is not valid now");
        }
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            current: SharedCerts::of(identity),
            crls: Mutex::new(crls),
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
            let before = self.current();
            self.reread().await;
            let now = self.current();
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
            .identity(&self.folder, self.crls_of(files))
            .and_then(|identity| self.check_validity(identity));
        match taken {
            Ok(identity) => {
                tracing::info!(id = identity.id.as_str(), not_after = ?identity.not_after, "new certificates");
                self.current.replace(identity);
            }
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "cannot use the new certificates, keeping the last good ones");
            }
        }
    }

    /// The CRLs in these files, else the last good ones.
    fn crls_of(&self, files: &Files) -> Crls {
        let mut good = self.crls.lock().unwrap_or_else(PoisonError::into_inner);
        match files.crls(&self.folder) {
            Ok(crls) => *good = crls,
            Err(error) => tracing::warn!(%error, "cannot use the new CRLs, keeping the last good ones"),
        }
        good.clone()
    }

    /// A certificate that is not valid now never replaces one that is.
    fn check_validity(&self, new: Identity) -> Result<Identity, CertError> {
        let now = SystemTime::now();
        if new.is_valid_at(now) || !self.current().is_valid_at(now) {
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
        self.current.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.current.changes()
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

/// The files as they are at one moment. The key is in here: it implements nothing that could print it.
struct Files {
    roots: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
    crls: [Option<Vec<u8>>; 2],
}

impl Files {
    fn read(folder: &Path) -> Result<Self, CertError> {
        Ok(Self {
            roots: read_file(folder, ROOTS)?,
            chain: read_file(folder, CHAIN)?,
            key: read_file(folder, KEY)?,
            crls: [read_crls(folder, CRLS[0])?, read_crls(folder, CRLS[1])?],
        })
    }

    fn crls(&self, folder: &Path) -> Result<Crls, CertError> {
        let mut all = Crls::default();
        for (name, text) in CRLS.into_iter().zip(&self.crls) {
            let Some(text) = text else { continue };
            let crls = Crls::from_pem(text).map_err(|reason| CertError {
                file: folder.join(name).display().to_string(),
                reason,
            })?;
            all.extend(crls);
        }
        Ok(all)
    }

    fn identity(&self, folder: &Path, crls: Crls) -> Result<Identity, CertError> {
        Identity::from_pem_and_crls(&self.chain, &self.key, &self.roots, crls).map_err(|error| CertError {
            file: folder.join(error.file).display().to_string(),
            reason: error.reason,
        })
    }

    /// Tells one state of the folder from the next; nothing else rests on it.
    fn digest(&self) -> u64 {
        digest_of(&(&self.roots, &self.chain, &self.key, &self.crls))
    }
}

fn digest_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn read_file(folder: &Path, name: &str) -> Result<Vec<u8>, CertError> {
    read_up_to(FILE_LIMIT_BYTES, &folder.join(name))
}

/// `None`: there is no such file, and need not be.
fn read_crls(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, CertError> {
    let path = folder.join(name);
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => read_up_to(CRL_LIMIT_BYTES, &path).map(Some),
    }
}

pub(crate) fn read_up_to(limit: u64, path: &Path) -> Result<Vec<u8>, CertError> {
    let error = |reason: String| CertError {
        file: path.display().to_string(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(|cause| error(format!("cannot open it: {cause}")))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|cause| error(format!("cannot read it: {cause}")))?;
    if bytes.len() as u64 > limit {
        return Err(error(format!("expected at most {} MiB, found more", limit >> 20)));
    }
    Ok(bytes)
}
