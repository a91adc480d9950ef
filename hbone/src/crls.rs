//! Certificate revocation lists: what authorities take back before its time (RFC 5280, section 5).

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer};

/// Lists at most: each beyond the first of an authority costs every handshake a verification.
const CRLS: usize = 32;

type Crl = Arc<CertRevocationList<'static>>;

/// The lists in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crls {
    /// In a round each authority has one list: webpki looks at the first that it finds.
    rounds: Vec<Vec<Crl>>,
}

impl Crls {
    /// Lists in PEM. Blank text has none, which takes revocations back (as Istio does).
    ///
    /// # Errors
    /// In words, when there is text but no list in it, or one that cannot be used (delta and indirect lists, unknown
    /// critical extensions, signature algorithms that webpki does not know).
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let lists = CertificateRevocationListDer::pem_slice_iter(text)
            .take(CRLS.saturating_add(1))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("expected CRLs in PEM, found: {error}"))?;
        if lists.is_empty() {
            return Err("expected CRLs in PEM, found none".to_owned());
        }
        Self::from_der(lists.iter().map(AsRef::as_ref))
    }

    /// Lists in DER.
    ///
    /// # Errors
    /// As [`Crls::from_pem`].
    pub(crate) fn from_der<'d>(lists: impl IntoIterator<Item = &'d [u8]>) -> Result<Self, String> {
        let mut all = Self::default();
        for (index, der) in lists.into_iter().enumerate() {
            let number = index.saturating_add(1);
            if number > CRLS {
                return Err(format!("expected at most {CRLS} CRLs, found more"));
            }
            let list = OwnedCertRevocationList::from_der(der).map_err(|error| format!("CRL {number}: {error}"))?;
            warn_if_late(der);
            all.add(Arc::new(list.into()));
        }
        Ok(all)
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for list in other.rounds.into_iter().flatten() {
            self.add(list);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    pub(crate) fn rounds(&self) -> &[Vec<Crl>] {
        &self.rounds
    }

    fn add(&mut self, list: Crl) {
        let has_its_authority = |round: &Vec<Crl>| round.iter().any(|other| other.issuer() == list.issuer());
        match self.rounds.iter_mut().find(|round| !has_its_authority(round)) {
            Some(round) => round.push(list),
            None => self.rounds.push(vec![list]),
        }
    }
}

/// It still counts, but says nothing of what was revoked since.
fn warn_if_late(der: &[u8]) {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else {
        return;
    };
    if let Some(due) = list.next_update().filter(|due| *due < ASN1Time::now()) {
        tracing::warn!(issuer = %list.issuer(), %due, "a CRL is out of date: its authority should have issued the next");
    }
}

#[cfg(test)]
mod tests;
