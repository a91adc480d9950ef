//! Whom we believe: certificate authorities, those of federated trust domains, and what they have revoked.

use crate::crls::Crls;
use crate::tls;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertRevocationListError, CertificateError, Error, OtherError, RootCertStore};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// Which end of a tunnel a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Client,
    Server,
}

/// Authorities and revocations at one moment.
#[derive(Debug)]
pub(crate) struct Trust {
    roots: RootCertStore,
    /// The one trust domain that `roots` speak for; `None`: they speak for all (Istio's root file).
    domain: Option<String>,
    /// Authorities of other trust domains, which speak for no other.
    federated: HashMap<String, RootCertStore>,
    crls: Crls,
    /// A CRL with a signature that its authority did not make was told of.
    told: AtomicBool,
}

impl Trust {
    /// These authorities for every trust domain.
    pub(crate) fn new(roots: RootCertStore, crls: Crls) -> Self {
        Self {
            roots,
            domain: None,
            federated: HashMap::new(),
            crls,
            told: AtomicBool::new(false),
        }
    }

    /// These authorities for `domain` alone, others for others (SPIFFE federation).
    pub(crate) fn federated(
        roots: RootCertStore,
        domain: String,
        federated: HashMap<String, RootCertStore>,
        crls: Crls,
    ) -> Self {
        Self {
            domain: Some(domain),
            federated,
            ..Self::new(roots, crls)
        }
    }

    /// Whether anything can be revoked at all.
    pub(crate) fn has_crls(&self) -> bool {
        !self.crls.is_empty()
    }

    /// The verdict on a chain: an authority of the leaf's own trust domain, validity, purpose, exactly one SPIFFE id,
    /// and no certificate of it revoked. One whose authority has no CRL here passes; a CRL counts after its
    /// `nextUpdate` too (an authority that is late must not take the mesh down, nor forgive what it revoked).
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<(), Error> {
        let id = tls::leaf_id(leaf).map_err(no_id)?;
        let roots = self
            .roots_of(id.trust_domain())
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let chain = Chain {
            leaf: EndEntityCert::try_from(leaf).map_err(|error| told(&error))?,
            intermediates,
            roots: &roots.roots,
            now,
            usage,
        };
        if self.crls.is_empty() {
            return chain.verify(None).map_err(|error| told(&error));
        }
        for round in self.crls.rounds() {
            self.verify_round(&chain, round).map_err(|error| told(&error))?;
        }
        Ok(())
    }

    fn roots_of(&self, trust_domain: &str) -> Option<&RootCertStore> {
        match &self.domain {
            Some(own) if own != trust_domain => self.federated.get(trust_domain),
            _ => Some(&self.roots),
        }
    }

    /// All CRLs of a round at once; one by one when one of them is not by the authority that it names: roots that follow
    /// one another often have the same name.
    fn verify_round(&self, chain: &Chain<'_>, round: &[Arc<CertRevocationList<'static>>]) -> Result<(), webpki::Error> {
        let all: Vec<_> = round.iter().map(AsRef::as_ref).collect();
        match chain.verify(revocation(&all)) {
            Err(error) if may_be_of_another(&error) => {}
            verdict => return verdict,
        }
        // Nothing but a CRL may be wrong from here on.
        chain.verify(None)?;
        for crl in all {
            match chain.verify(revocation(&[crl])) {
                Err(error) if may_be_of_another(&error) => self.tell(&error),
                verdict => verdict?,
            }
        }
        Ok(())
    }

    fn tell(&self, error: &webpki::Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "a CRL names an authority that did not sign it, and counts for nothing there");
        }
    }
}

/// What is judged.
struct Chain<'c> {
    leaf: EndEntityCert<'c>,
    intermediates: &'c [CertificateDer<'c>],
    roots: &'c [TrustAnchor<'static>],
    now: UnixTime,
    usage: Usage,
}

impl Chain<'_> {
    fn verify(&self, revocation: Option<RevocationOptions<'_>>) -> Result<(), webpki::Error> {
        let usage = match self.usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let algorithms = tls::signature_algorithms().all;
        self.leaf
            .verify_for_usage(
                algorithms,
                self.roots,
                self.intermediates,
                self.now,
                usage,
                revocation,
                None,
            )
            .map(drop)
    }
}

fn revocation<'c>(crls: &'c [&'c CertRevocationList<'c>]) -> Option<RevocationOptions<'c>> {
    let options = RevocationOptionsBuilder::new(crls).ok()?;
    Some(options.with_status_policy(UnknownStatusPolicy::Allow).build())
}

/// A CRL's signature does not fit. Of two roots with one name, the other one's bad signature may be told instead; a
/// revocation goes before either, and limits of webpki end the search at once.
fn may_be_of_another(error: &webpki::Error) -> bool {
    is_of_another(error) || matches!(error, webpki::Error::InvalidSignatureForPublicKey)
}

fn is_of_another(error: &webpki::Error) -> bool {
    use webpki::Error::{
        InvalidCrlSignatureForPublicKey, IssuerNotCrlSigner, UnsupportedCrlSignatureAlgorithmContext,
        UnsupportedCrlSignatureAlgorithmForPublicKeyContext,
    };
    matches!(
        error,
        InvalidCrlSignatureForPublicKey
            | IssuerNotCrlSigner
            | UnsupportedCrlSignatureAlgorithmContext(_)
            | UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
    )
}

/// In rustls's words: they choose the TLS alert.
fn told(error: &webpki::Error) -> Error {
    use webpki::Error::{
        BadDer, BadDerTime, CertExpired, CertNotValidYet, CertRevoked, InvalidSignatureForPublicKey,
        RequiredEkuNotFoundContext, TrailingData, UnknownIssuer,
    };
    Error::InvalidCertificate(match error {
        BadDer | BadDerTime | TrailingData(_) => CertificateError::BadEncoding,
        CertExpired { .. } => CertificateError::Expired,
        CertNotValidYet { .. } => CertificateError::NotValidYet,
        CertRevoked => CertificateError::Revoked,
        InvalidSignatureForPublicKey => CertificateError::BadSignature,
        RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        UnknownIssuer => CertificateError::UnknownIssuer,
        error if is_of_another(error) => return CertRevocationListError::BadSignature.into(),
        error => CertificateError::Other(OtherError(Arc::new(error.clone()))),
    })
}

fn no_id(reason: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(BadLeaf(reason)))))
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadLeaf(String);

#[cfg(test)]
mod tests;
