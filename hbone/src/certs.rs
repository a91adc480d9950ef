//! Where our certificate, key and roots come from, and how a change of them arrives.

use request::SpiffeId;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Certificate chain, key and roots at one moment, with the TLS configurations built from them (once, shared).
#[derive(Debug)]
pub struct Identity {
    /// Our SPIFFE id: the URI SAN of the leaf.
    pub id: SpiffeId,
    /// End of validity of the leaf.
    pub not_after: SystemTime,
}

/// A source of identities. New handshakes use `current`; open tunnels live on.
pub trait CertSource: Send + Sync + 'static {
    /// The identity to use now. Cheap.
    fn current(&self) -> Arc<Identity>;
}

/// `root-cert.pem`, `cert-chain.pem`, `key.pem` in a folder, re-read when they change.
#[derive(Debug)]
pub struct FileCerts {
    _private: (),
}

impl FileCerts {
    /// Reads the folder once.
    ///
    /// # Errors
    /// Which file, what was expected, what was found. Certificate and key must match; the leaf needs a SPIFFE id.
    pub fn load(_dir: &Path) -> Result<Arc<Self>, crate::error::CertError> {
        todo!()
    }
    /// Watches the folder until dropped by its task: a change that cannot be used is logged and the last good identity stays.
    pub async fn watch(self: Arc<Self>) {
        todo!()
    }
}

impl CertSource for FileCerts {
    fn current(&self) -> Arc<Identity> {
        todo!()
    }
}
