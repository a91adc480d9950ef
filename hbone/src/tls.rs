//! rustls configurations: TLS 1.3, ALPN h2, SPIFFE checks on both sides.
//!
//! One server and one client configuration are built per [`Identity`](crate::Identity) and shared by all handshakes.
//! Nothing is resumed, neither tickets nor stored sessions: a resumed session would skip the check of the peer's
//! certificate (its expiry, and our roots of today), and connections are pooled, so that full handshakes are rare.
//! Early data is never accepted.

use crate::trust::{Trust, Usage};
use request::SpiffeId;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
};
use std::sync::{Arc, LazyLock};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The one application protocol of HBONE.
pub(crate) const ALPN: &[u8] = b"h2";

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(provider()));

/// AES-128-GCM before AES-256-GCM, as BoringSSL has it where AES is in hardware, and so Envoy: SHA-256 is in hardware
/// too, SHA-384 is not, and a handshake hashes two dozen times. A peer whose policy asks for AES-256 offers nothing else.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// The crypto provider of this project (aws-lc-rs), for whoever else builds a rustls configuration.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Installs the process-wide crypto provider (aws-lc-rs). Idempotent. This crate does not need it: it passes the
/// provider explicitly. Libraries beside it may.
pub fn install_crypto_provider() {
    // An error says that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// What signatures are checked with.
pub(crate) fn signature_algorithms() -> &'static WebPkiSupportedAlgorithms {
    &PROVIDER.signature_verification_algorithms
}

/// The configuration to accept with: a client certificate that `trust` takes is required.
pub(crate) fn server_config(certified: &Arc<CertifiedKey>, trust: &Arc<Trust>) -> Result<ServerConfig, String> {
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(SpiffeClients(Arc::clone(trust))))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certified))));
    // rustls' clients, ztunnel among them, name AES-256 first for no reason of their own.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The configuration to dial with: it proves that the server has *a* SPIFFE id that `trust` takes. Which one is for
/// [`peer_id`] to say before anything is sent, so that one configuration serves all destinations.
pub(crate) fn client_config(
    provider: Arc<CryptoProvider>,
    certified: &Arc<CertifiedKey>,
    trust: &Arc<Trust>,
) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SpiffeServers(Arc::clone(trust))))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certified))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_early_data = false;
    Ok(config)
}

/// The SPIFFE id of a verified peer.
///
/// # Errors
/// In words, when there is no certificate or it has not exactly one URI SAN that is a SPIFFE id. The handshake
/// verifiers refuse such certificates, so an error here means a connection without a client certificate.
pub(crate) fn peer_id(certificates: Option<&[CertificateDer<'_>]>) -> Result<SpiffeId, String> {
    let leaf = certificates
        .and_then(<[_]>::first)
        .ok_or("expected a certificate, found none")?;
    leaf_id(leaf)
}

/// What a peer has shown, to be shared by all that look at it again. Empty where it has shown nothing.
pub(crate) fn chain(certificates: Option<&[CertificateDer<'static>]>) -> Arc<[CertificateDer<'static>]> {
    certificates.unwrap_or_default().into()
}

/// SHA-256; empty if the crypto provider has none, which it has.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = TLS13_AES_128_GCM_SHA256.tls13();
    suite.map_or_else(Vec::new, |suite| {
        suite.common.hash_provider.hash(bytes).as_ref().to_vec()
    })
}

/// The SPIFFE id in a leaf: exactly one URI among the subject alternative names (SPIFFE X.509-SVID, section 2).
pub(crate) fn leaf_id(leaf: &[u8]) -> Result<SpiffeId, String> {
    let (_, certificate) =
        X509Certificate::from_der(leaf).map_err(|error| format!("not an X.509 certificate: {error}"))?;
    id_of(&certificate)
}

pub(crate) fn id_of(certificate: &X509Certificate<'_>) -> Result<SpiffeId, String> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| format!("subject alternative name: {error}"))?;
    let names = names
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let mut id = None;
    for name in names {
        match name {
            GeneralName::URI(uri) if id.is_none() => id = Some(*uri),
            GeneralName::URI(_) => return Err("expected one URI SAN, found more".to_owned()),
            GeneralName::DNSName(dns) if !dns.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err("a DNS SAN with control characters".to_owned());
            }
            GeneralName::Invalid(..) => return Err("a malformed SAN".to_owned()),
            _ => {}
        }
    }
    let uri = id.ok_or("expected one SPIFFE URI SAN, found none")?;
    SpiffeId::parse(uri).map_err(|error| format!("{error}: {}", uri.escape_debug()))
}

/// Which metric label a failed handshake has.
pub(crate) fn failure_label(error: &std::io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(
            Error::NoCertificatesPresented
            | Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon),
        ) => "no_certificate",
        Some(Error::InvalidCertificate(CertificateError::Revoked)) => "revoked",
        Some(Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_)) => "untrusted",
        Some(Error::NoApplicationProtocol) => "not_h2",
        _ => "other",
    }
}

/// Clients: the verdict of [`Trust`], which takes exactly one SPIFFE id.
#[derive(Debug)]
struct SpiffeClients(Arc<Trust>);

impl ClientCertVerifier for SpiffeClients {
    /// No hints of our roots' names: a client must not hold its certificate back because of them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify(leaf, intermediates, now, Usage::Client)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, signature_algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_algorithms().supported_schemes()
    }
}

/// Servers: the same, for a certificate with EKU serverAuth. DNS names mean nothing.
#[derive(Debug)]
struct SpiffeServers(Arc<Trust>);

impl ServerCertVerifier for SpiffeServers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify(leaf, intermediates, now, Usage::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, signature_algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_algorithms().supported_schemes()
    }
}
