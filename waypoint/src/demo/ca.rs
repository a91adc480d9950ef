//! A certificate authority for one run: what istiod is to a real mesh.

use super::error::{DemoError, doing};
use hbone::{Identity, SharedCerts};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use request::SpiffeId;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// Certificates begin this long ago, for clocks that are set back meanwhile.
const BEFORE: Duration = Duration::from_secs(3600);
/// Longer than anybody keeps a demo running.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// The authority. Its key is nowhere but in this process.
pub(super) struct Ca {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A workload's certificate and key, ECDSA P-256, in PEM.
pub(super) struct Leaf {
    root: String,
    chain: String,
    key: String,
}

impl Ca {
    pub(super) fn new() -> Result<Self, DemoError> {
        let mut params = dated()?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params
            .distinguished_name
            .push(DnType::OrganizationName, "waypoint demo");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let root = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self {
            root,
            issuer: Issuer::new(params, key),
        })
    }

    /// A certificate as Istio's workloads have: the SPIFFE id as its only name, good for both sides of TLS.
    pub(super) fn issue(&self, id: &SpiffeId) -> Result<Leaf, DemoError> {
        let mut params = dated()?;
        params.subject_alt_names = vec![SanType::URI(id.as_str().try_into().map_err(failed)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Leaf {
            root: self.root.clone(),
            chain: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl Leaf {
    /// For a tunnel in this process.
    pub(super) fn source(&self) -> Result<Arc<SharedCerts>, DemoError> {
        let identity = Identity::from_pem(self.chain.as_bytes(), self.key.as_bytes(), self.root.as_bytes());
        identity
            .map(SharedCerts::new)
            .map_err(|error| DemoError::Certificates(error.to_string()))
    }

    /// For another process: the three files of `waypoint run --certs`, the key readable by nobody else.
    pub(super) fn write(&self, folder: &Path) -> Result<(), DemoError> {
        let make = || -> std::io::Result<()> {
            fs::create_dir(folder)?;
            fs::write(folder.join("root-cert.pem"), &self.root)?;
            fs::write(folder.join("cert-chain.pem"), &self.chain)?;
            let mut key = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(folder.join("key.pem"))?;
            key.write_all(self.key.as_bytes())
        };
        make().map_err(doing(format!("write certificates to {}", folder.display())))
    }
}

fn dated() -> Result<CertificateParams, DemoError> {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = at(now.checked_sub(BEFORE))?;
    params.not_after = at(now.checked_add(LIFETIME))?;
    Ok(params)
}

fn at(time: Option<SystemTime>) -> Result<OffsetDateTime, DemoError> {
    let since_1970 = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_1970
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| DemoError::Certificates("the system's clock is far off".to_owned()))
}

fn failed(error: impl std::fmt::Display) -> DemoError {
    DemoError::Certificates(error.to_string())
}
