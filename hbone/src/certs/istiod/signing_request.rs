//! What a CA is asked: `IstioCertificateRequest` with a certificate signing request, and the key that it is for.

use prost::Message;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use request::SpiffeId;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What is asked for, as Istio's agents do; the CA may give less.
const VALID_SECONDS: i64 = 24 * 3600;

/// A request. The key is in here: it implements nothing that could print it.
pub(super) struct Request {
    /// The message.
    pub(super) message: Vec<u8>,
    /// ECDSA P-256, made for this request.
    pub(super) key: PrivateKeyDer<'static>,
}

/// `IstioCertificateRequest` (`istio/v1/auth/ca.proto`, by hand: no `protoc` is needed). Its `metadata` is for those who
/// ask in the name of others.
#[derive(Clone, PartialEq, Message)]
struct IstioCertificateRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

impl Request {
    /// A request of a certificate for this id.
    ///
    /// # Errors
    /// In words: no key, or no signing request for such an id.
    pub(super) fn new(id: &SpiffeId) -> Result<Self, String> {
        let (csr, key) = csr(id).map_err(|error| format!("cannot make a signing request: {error}"))?;
        let message = IstioCertificateRequest {
            csr,
            validity_duration: VALID_SECONDS,
        };
        Ok(Self {
            message: message.encode_to_vec(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

/// In PEM.
fn csr(id: &SpiffeId) -> Result<(String, KeyPair), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into()?)];
    let csr = params.serialize_request(&key)?.pem()?;
    Ok((csr, key))
}

#[cfg(test)]
mod tests;
