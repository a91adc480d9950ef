//! What a CA answers, as an identity: `IstioCertificateResponse`, believed only as far as it can be checked.

use super::super::{Identity, Names};
use crate::crls::Crls;
use crate::trust::Trust;
use prost::Message;
use request::SpiffeId;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Certificates of a chain, and of its roots.
const CHAIN: usize = 16;
const ROOTS: usize = 100;

const NAMES: Names = Names {
    chain: "cert_chain",
    key: "our key",
};

/// `IstioCertificateResponse` (`istio/v1/auth/ca.proto`): PEM, the leaf first and the root last. An element may hold
/// several certificates.
#[derive(Clone, PartialEq, Message)]
struct IstioCertificateResponse {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// The identity of an answer: `key` is the one that was asked for, and `id` the identity. The chain leads to the root that
/// came with it; the CA is who says what the mesh's root is.
///
/// # Errors
/// In words: which part, what was expected and what was found.
pub(super) fn identity(answer: &[u8], key: PrivateKeyDer<'static>, id: &SpiffeId) -> Result<Identity, String> {
    let answer = IstioCertificateResponse::decode(answer)
        .map_err(|error| format!("not an IstioCertificateResponse: {error}"))?;
    let Some((root, chain @ [_, ..])) = answer.cert_chain.split_last() else {
        let found = answer.cert_chain.len();
        return Err(format!(
            "cert_chain: expected a chain and its root, found {found} elements"
        ));
    };
    let chain = certificates(chain, CHAIN).map_err(|why| format!("cert_chain: {why}"))?;
    let roots = roots(root).map_err(|why| format!("cert_chain: root: {why}"))?;
    let trust = |_: &SpiffeId| Trust::new(roots, Crls::default());
    let identity = Identity::new(chain.clone(), key, trust, NAMES).map_err(|error| error.to_string())?;
    if identity.id != *id {
        let (expected, found) = (id.as_str(), identity.id.as_str());
        return Err(format!(
            "cert_chain: expected a certificate for {expected}, found one for {found}"
        ));
    }
    identity
        .check_chain(&chain)
        .map_err(|why| format!("cert_chain: {why}"))?;
    Ok(identity)
}

fn certificates(pem: &[String], most: usize) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    for one in pem
        .iter()
        .flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes()))
    {
        if found.len() == most {
            return Err(format!("expected at most {most} certificates, found more"));
        }
        found.push(one.map_err(|error| format!("expected certificates in PEM, found: {error}"))?);
    }
    if found.is_empty() {
        return Err("expected certificates in PEM, found none".to_owned());
    }
    Ok(found)
}

fn roots(pem: &String) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (index, root) in certificates(std::slice::from_ref(pem), ROOTS)?.into_iter().enumerate() {
        roots
            .add(root)
            .map_err(|error| format!("certificate {}: {error}", index.saturating_add(1)))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
