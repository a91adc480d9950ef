//! Where our certificate, key and roots come from, and how a change of them arrives.

use crate::crls::Crls;
use crate::error::CertError;
use crate::tls;
use crate::trust::{Trust, Usage};
use arc_swap::ArcSwap;
use request::SpiffeId;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

mod files;
mod istiod;
mod rotation;
mod workload_api;

pub use files::FileCerts;
pub(crate) use files::{FILE_LIMIT_BYTES, read_up_to};
pub use istiod::{Istiod, IstiodConfig};
pub use workload_api::WorkloadApi;

/// Certificate chain, key and roots at one moment, with the TLS configurations built from them (once, shared).
pub struct Identity {
    /// Our SPIFFE id: the URI SAN of the leaf.
    pub id: SpiffeId,
    /// Beginning of validity of the leaf.
    pub not_before: SystemTime,
    /// End of validity of the leaf.
    pub not_after: SystemTime,
    pub(crate) server: Arc<rustls::ServerConfig>,
    pub(crate) client: Arc<rustls::ClientConfig>,
    pub(crate) trust: Arc<Trust>,
}

/// What the parts of an identity are called where they come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) chain: &'static str,
    pub(crate) key: &'static str,
}

impl Identity {
    /// Builds an identity from PEM: the chain begins with the leaf, the key is PKCS#8, SEC1 or PKCS#1, and there is at
    /// least one root. Expired certificates are taken: whether that is bearable is the source's business.
    ///
    /// # Errors
    /// Which part (named like the file it usually comes from), what was expected and what was found.
    pub fn from_pem(cert_chain: &[u8], key: &[u8], roots: &[u8]) -> Result<Self, CertError> {
        Self::from_pem_and_crls(cert_chain, key, roots, Crls::default())
    }

    /// The same, with what was revoked.
    pub(crate) fn from_pem_and_crls(
        cert_chain: &[u8],
        key: &[u8],
        roots: &[u8],
        crls: Crls,
    ) -> Result<Self, CertError> {
        let roots = parse_roots(roots).map_err(at(files::ROOTS))?;
        let chain = parse_chain(cert_chain).map_err(at(files::CHAIN))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| format!("expected a private key in PEM (PKCS#8, SEC1 or PKCS#1), found: {error}"))
            .map_err(at(files::KEY))?;
        Self::new(chain, key, |_| Trust::new(roots, crls), files::NAMES)
    }

    /// Builds an identity. `trust` is told the id of the leaf.
    ///
    /// # Errors
    /// Which part by its name in `names`, and what was expected and found.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        trust: impl FnOnce(&SpiffeId) -> Trust,
        names: Names,
    ) -> Result<Self, CertError> {
        let (id, not_before, not_after) = read_leaf(&chain).map_err(at(names.chain))?;
        let certified = CertifiedKey::from_der(chain, key, &tls::crypto_provider())
            .map_err(|error| format!("expected the key of the leaf in {}: {error}", names.chain))
            .map_err(at(names.key))?;
        let (certified, trust) = (Arc::new(certified), Arc::new(trust(&id)));
        Ok(Self {
            id,
            not_before,
            not_after,
            server: Arc::new(tls::server_config(&certified, &trust).map_err(at(names.chain))?),
            client: Arc::new(tls::client_config(tls::crypto_provider(), &certified, &trust).map_err(at(names.chain))?),
            trust,
        })
    }

    /// What no peer would take is not taken from those who hand identities out: a chain that does not lead to its own
    /// roots, is not valid now, is not for both ends, or is revoked.
    pub(crate) fn check_chain(&self, chain: &[CertificateDer<'static>]) -> Result<(), String> {
        let (leaf, intermediates) = chain.split_first().ok_or("expected certificates, found none")?;
        for usage in [Usage::Client, Usage::Server] {
            let verdict = self.trust.verify(leaf, intermediates, UnixTime::now(), usage);
            verdict.map_err(|error| format!("no peer would take it: {error}"))?;
        }
        Ok(())
    }

    /// Whether `now` lies within the validity of the leaf.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A source of identities. New handshakes use `current`; open tunnels live on.
pub trait CertSource: Send + Sync + 'static {
    /// The identity to use now. Cheap. A change of it is a new `Arc`.
    fn current(&self) -> Arc<Identity>;

    /// Told after each change of it, for connections that are open. Without: it never changes.
    fn changes(&self) -> watch::Receiver<u64> {
        watch::Sender::default().subscribe()
    }
}

/// The simplest source: an identity that its owner replaces. Tests, the demo, and sources that talk to a CA stand on it.
#[derive(Debug)]
pub struct SharedCerts {
    current: ArcSwap<Identity>,
    changes: watch::Sender<u64>,
}

impl SharedCerts {
    /// A source of this identity.
    pub fn new(identity: Identity) -> Arc<Self> {
        Arc::new(Self::of(identity))
    }

    pub(crate) fn of(identity: Identity) -> Self {
        Self {
            current: ArcSwap::from_pointee(identity),
            changes: watch::Sender::default(),
        }
    }

    /// From now on, handshakes use this one.
    pub fn replace(&self, identity: Identity) {
        self.current.store(Arc::new(identity));
        self.changes.send_modify(|change| *change = change.wrapping_add(1));
    }
}

impl CertSource for SharedCerts {
    fn current(&self) -> Arc<Identity> {
        self.current.load_full()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn at(file: &'static str) -> impl Fn(String) -> CertError {
    move |reason| CertError {
        file: file.to_owned(),
        reason,
    }
}

fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("expected certificates in PEM, found: {error}"))?;
    if chain.is_empty() {
        return Err("expected certificates in PEM, found none".to_owned());
    }
    Ok(chain)
}

fn parse_roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (index, root) in parse_chain(pem)?.into_iter().enumerate() {
        roots
            .add(root)
            .map_err(|error| format!("certificate {}: {error}", index.saturating_add(1)))?;
    }
    Ok(roots)
}

fn read_leaf(chain: &[CertificateDer<'_>]) -> Result<(SpiffeId, SystemTime, SystemTime), String> {
    let leaf = chain.first().ok_or("expected certificates in PEM, found none")?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| format!("leaf: {error}"))?;
    let id = tls::id_of(&certificate).map_err(|error| format!("leaf: {error}"))?;
    let validity = certificate.validity();
    Ok((id, system_time(validity.not_before), system_time(validity.not_after)))
}

/// Times before 1970 count as 1970.
fn system_time(time: ASN1Time) -> SystemTime {
    let since_1970 = Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    SystemTime::UNIX_EPOCH
        .checked_add(since_1970)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
