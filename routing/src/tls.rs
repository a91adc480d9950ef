//! TLS towards an endpoint, as data: who must be there, and what we show. The data path builds from it, once, what it
//! speaks TLS with.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// TLS with the server of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Sent as SNI, and looked for in the certificate unless the settings name others.
    pub server_name: Arc<str>,
    /// The rest, shared by all endpoints of a policy.
    pub settings: Arc<TlsSettings>,
}

/// What a policy says of TLS.
#[derive(Debug)]
pub struct TlsSettings {
    /// Who vouches for the server.
    pub roots: TlsRoots,
    /// One of these must be in its certificate; empty: the server name.
    pub sans: Vec<TlsSan>,
    /// Our certificate.
    pub identity: Option<TlsIdentity>,
    /// False: any certificate will do.
    pub is_verified: bool,
    /// See [`Self::built`].
    pub slot: Slot,
}

/// Certificate authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRoots {
    /// The system's.
    System,
    /// These, PEM.
    Pem(Arc<[u8]>),
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSan {
    /// A DNS name.
    Dns(Box<str>),
    /// A URI, exactly.
    Uri(Box<str>),
}

/// A certificate chain and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Leaf first.
    pub chain: Arc<[u8]>,
    /// Never printed.
    pub key: Arc<[u8]>,
}

/// What was built from settings. Of no concern to equality.
#[derive(Default)]
pub struct Slot(OnceLock<Box<dyn Any + Send + Sync>>);

impl TlsSettings {
    /// What the data path builds from these settings: the first time they are used, for as long as they last. `None` when
    /// something of another type was built.
    pub fn built<T: Any + Send + Sync>(&self, build: impl FnOnce(&Self) -> T) -> Option<&T> {
        self.slot.0.get_or_init(|| Box::new(build(self))).downcast_ref()
    }
}

impl PartialEq for TlsSettings {
    fn eq(&self, other: &Self) -> bool {
        self.roots == other.roots
            && self.sans == other.sans
            && self.identity == other.identity
            && self.is_verified == other.is_verified
    }
}

impl Eq for TlsSettings {}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}
