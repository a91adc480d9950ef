//! An answer of the Workload API as an identity (`workload.proto`, by hand: no `protoc` is needed).

use super::super::{Identity, Names};
use crate::crls::Crls;
use crate::trust::Trust;
use prost::Message;
use request::SpiffeId;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates of a chain, and of a bundle.
const CHAIN: usize = 16;
const BUNDLE: usize = 100;
/// Trust domains beside our own.
const FEDERATED: usize = 100;

const NAMES: Names = Names {
    chain: "x509_svid",
    key: "x509_svid_key",
};

/// `X509SVIDResponse`.
#[derive(Clone, PartialEq, Message)]
struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<X509Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    crl: Vec<Vec<u8>>,
    #[prost(map = "string, bytes", tag = "3")]
    federated_bundles: HashMap<String, Vec<u8>>,
}

/// `X509SVID`. No `Debug` of it is ever written: the key is in here.
#[derive(Clone, PartialEq, Message)]
struct X509Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
}

/// The first identity of an answer: its chain under its own bundle, with that key, and the id that it is said to have.
///
/// # Errors
/// In words: which part, what was expected and what was found. No key is repeated.
pub(super) fn identity(answer: &[u8]) -> Result<Identity, String> {
    let answer = X509SvidResponse::decode(answer).map_err(|error| format!("not an X509SVIDResponse: {error}"))?;
    let svid = answer.svids.into_iter().next().ok_or("expected an SVID, found none")?;
    let chain = certificates(&svid.x509_svid, CHAIN).map_err(|why| format!("x509_svid: {why}"))?;
    let bundle = roots(&svid.bundle).map_err(|why| format!("bundle: {why}"))?;
    let federated = federated(answer.federated_bundles)?;
    let crls = Crls::from_der(answer.crl.iter().map(Vec::as_slice)).map_err(|why| format!("crl: {why}"))?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(svid.x509_svid_key));
    let trust = |id: &SpiffeId| Trust::federated(bundle, id.trust_domain().to_owned(), federated, crls);
    let identity = Identity::new(chain.clone(), key, trust, NAMES).map_err(|error| error.to_string())?;
    if identity.id.as_str() != svid.spiffe_id {
        let (said, found) = (svid.spiffe_id.escape_debug(), identity.id.as_str());
        return Err(format!("spiffe_id is {said}, and the certificate's {found}"));
    }
    identity
        .check_chain(&chain)
        .map_err(|why| format!("x509_svid: {why}"))?;
    Ok(identity)
}

/// Bundles of other trust domains. One that cannot be read is left out: nobody of its domain is let in then.
fn federated(bundles: HashMap<String, Vec<u8>>) -> Result<HashMap<String, RootCertStore>, String> {
    if bundles.len() > FEDERATED {
        return Err(format!(
            "expected at most {FEDERATED} federated bundles, found {}",
            bundles.len()
        ));
    }
    let mut federated = HashMap::with_capacity(bundles.len());
    for (domain, bundle) in bundles {
        let name = domain.strip_prefix("spiffe://").unwrap_or(&domain);
        match roots(&bundle) {
            Ok(roots) => drop(federated.insert(name.to_owned(), roots)),
            Err(why) => tracing::warn!(domain = %name.escape_debug(), why, "a federated bundle is left out"),
        }
    }
    Ok(federated)
}

fn roots(bundle: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (index, root) in certificates(bundle, BUNDLE)?.into_iter().enumerate() {
        roots
            .add(root)
            .map_err(|error| format!("certificate {}: {error}", index.saturating_add(1)))?;
    }
    Ok(roots)
}

/// Certificates in DER, one after the other.
fn certificates(der: &[u8], most: usize) -> Result<Vec<CertificateDer<'static>>, String> {
    let (mut found, mut rest) = (Vec::new(), der);
    while !rest.is_empty() {
        if found.len() == most {
            return Err(format!("expected at most {most} certificates, found more"));
        }
        let (after, _) = X509Certificate::from_der(rest)
            .map_err(|error| format!("certificate {}: {error}", found.len().saturating_add(1)))?;
        let (one, _) = rest.split_at(rest.len().saturating_sub(after.len()));
        found.push(CertificateDer::from(one.to_vec()));
        rest = after;
    }
    if found.is_empty() {
        return Err("expected certificates, found none".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
