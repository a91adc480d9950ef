//! A certificate authority for tests: every identity in the mesh, and every wrong one, comes from here.
//!
//! ECDSA P-256 throughout, as Istio's CA issues. A workload's folder has the three files that `--certs` wants.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams,
    SanType,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// A certificate authority of one trust domain.
pub struct Pki {
    trust_domain: String,
    root_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a leaf certificate says. [`Leaf::workload`] is the good one; change a field to make it bad.
pub struct Leaf {
    /// URI SAN, `None` for a certificate without a SPIFFE id (it gets a DNS name instead).
    pub uri: Option<String>,
    /// Start of validity.
    pub not_before: OffsetDateTime,
    /// End of validity.
    pub not_after: OffsetDateTime,
    /// Its number; any when absent.
    pub serial: Option<u64>,
}

/// A folder with `root-cert.pem`, `cert-chain.pem` and `key.pem`; it goes when this is dropped.
pub struct Certs {
    dir: TempDir,
}

impl Pki {
    /// Makes a CA with a root of its own: two of them do not trust one another, whatever their trust domain.
    pub fn new(trust_domain: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = name(&format!("test root of {trust_domain}"));
        let key = KeyPair::generate().unwrap();
        let root_pem = params.self_signed(&key).unwrap().pem();
        Self {
            trust_domain: trust_domain.into(),
            root_pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The root certificate, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A certificate for a workload of this trust domain, valid for a day.
    pub fn issue(&self, namespace: &str, service_account: &str) -> Certs {
        self.issue_leaf(&Leaf::workload(&self.trust_domain, namespace, service_account))
    }

    /// A certificate that says exactly this.
    pub fn issue_leaf(&self, leaf: &Leaf) -> Certs {
        let certs = Certs {
            dir: tempfile::tempdir().unwrap(),
        };
        self.renew(&certs, leaf);
        certs
    }

    /// Rotation: new key, new certificate, our root, in the same folder, each file replaced by rename.
    pub fn renew(&self, certs: &Certs, leaf: &Leaf) {
        let (chain, key) = self.sign(leaf);
        certs.put("root-cert.pem", &self.root_pem);
        certs.put("key.pem", &key);
        certs.put("cert-chain.pem", &chain);
    }

    /// A root file that trusts us and `other`: the middle step of a root rotation.
    pub fn roots_with(&self, other: &Pki) -> String {
        format!("{}{}", self.root_pem, other.root_pem)
    }

    /// A revocation list of certificates with these numbers, PEM.
    pub fn crl(&self, serials: &[u64]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A certificate for a key of somebody else, PEM.
    pub fn sign_for(&self, leaf: &Leaf, key: &impl PublicKeyData, usages: &[ExtendedKeyUsagePurpose]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![match &leaf.uri {
            Some(uri) => SanType::URI(uri.as_str().try_into().unwrap()),
            None => SanType::DnsName("workload.example.com".try_into().unwrap()),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.not_before = leaf.not_before;
        params.not_after = leaf.not_after;
        params.serial_number = leaf.serial.map(Into::into);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    fn sign(&self, leaf: &Leaf) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (self.sign_for(leaf, &key, &usages), key.serialize_pem())
    }
}

impl Leaf {
    /// What Istio's CA would issue to a service account.
    pub fn workload(trust_domain: &str, namespace: &str, service_account: &str) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            uri: Some(spiffe(trust_domain, namespace, service_account)),
            not_before: now - Duration::minutes(5),
            not_after: now + Duration::days(1),
            serial: None,
        }
    }

    /// The same with this number, to be revoked by.
    pub fn numbered(mut self, serial: u64) -> Self {
        self.serial = Some(serial);
        self
    }

    /// The same, but its time is over.
    pub fn expired(mut self) -> Self {
        let now = OffsetDateTime::now_utc();
        self.not_before = now - Duration::days(2);
        self.not_after = now - Duration::days(1);
        self
    }

    /// The same without a SPIFFE id.
    pub fn without_spiffe(mut self) -> Self {
        self.uri = None;
        self
    }
}

impl Certs {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One of its files, as text.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// Replaces one file by rename, as a kubelet or cert-manager does.
    pub fn put(&self, name: &str, text: &str) {
        let tmp = self.file(&format!(".{name}.new"));
        std::fs::write(&tmp, text).unwrap();
        std::fs::rename(tmp, self.file(name)).unwrap();
    }
}

/// The URI of an Istio workload identity.
pub fn spiffe(trust_domain: &str, namespace: &str, service_account: &str) -> String {
    format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
}

fn name(common: &str) -> DistinguishedName {
    let mut dn = DistinguishedName::new();
    dn.push(DnType::OrganizationName, "waypoint tests");
    dn.push(DnType::CommonName, common);
    dn
}
