//! TLS towards servers that are not of the mesh: certificates by public or given authorities instead of SPIFFE ids.
//!
//! An [`Originator`] is built once for all connections of one policy. Nothing is resumed, for the same reason as in
//! `tls`: a resumed session would skip the check of the certificate. TLS 1.2 is the oldest version spoken.

use crate::tls::crypto_provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a server must prove, and what we show it.
#[derive(Clone, Debug)]
pub struct OriginationConfig<'a> {
    /// Who vouches for it.
    pub roots: Roots<'a>,
    /// One of these must be in its certificate; none given: the name that it is asked for by.
    pub names: Vec<San>,
    /// Our certificate chain and key, PEM.
    pub identity: Option<(&'a [u8], &'a [u8])>,
    /// False: any certificate will do (Istio's `insecureSkipVerify`).
    pub is_verified: bool,
}

/// Certificate authorities.
#[derive(Clone, Copy, Debug)]
pub enum Roots<'a> {
    /// Those of the system (or of `SSL_CERT_FILE`), read once.
    System,
    /// These, PEM.
    Pem(&'a [u8]),
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum San {
    /// A DNS name; wildcards of the certificate count.
    Dns(String),
    /// A URI, exactly.
    Uri(String),
}

/// What will be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// Nothing is said about it.
    Nothing,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; a server that does not agree is an error.
    Http2,
}

/// Why there is no TLS connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginationError {
    /// The settings cannot be used at all.
    #[error("TLS settings: {0}")]
    Settings(String),
    /// The handshake failed.
    #[error("TLS with {name}: {reason}")]
    Handshake {
        /// Asked for by this name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Makes TLS connections of one policy.
#[derive(Clone)]
pub struct Originator {
    configs: [Arc<ClientConfig>; 3],
}

/// A connection.
#[derive(Debug)]
pub struct OriginatedStream<S>(tokio_rustls::client::TlsStream<S>);

impl Originator {
    /// Checks the settings and builds what all connections share.
    ///
    /// # Errors
    /// Roots, chain or key are no PEM, or do not fit.
    pub fn new(config: &OriginationConfig<'_>) -> Result<Self, OriginationError> {
        build(config).map_err(OriginationError::Settings)
    }

    /// Speaks TLS over `stream` with the server of this name (a DNS name, sent as SNI, or an IP address).
    ///
    /// # Errors
    /// The name is none, the handshake fails, or the server will not speak what `alpn` asks for.
    pub async fn connect<S>(&self, name: &str, alpn: Alpn, stream: S) -> Result<OriginatedStream<S>, OriginationError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let fault = |reason: String| OriginationError::Handshake {
            name: name.to_owned(),
            reason,
        };
        let server = ServerName::try_from(name.to_owned()).map_err(|error| fault(error.to_string()))?;
        let [nothing, http1, http2] = &self.configs;
        let config = match alpn {
            Alpn::Nothing => nothing,
            Alpn::Http1 => http1,
            Alpn::Http2 => http2,
        };
        let connected = TlsConnector::from(Arc::clone(config)).connect(server, stream).await;
        let connected = connected.map_err(|error| fault(error.to_string()))?;
        let agreed = connected.get_ref().1.alpn_protocol();
        if alpn == Alpn::Http2 && agreed != Some(H2) {
            return Err(fault("the server does not speak HTTP/2 (ALPN)".to_owned()));
        }
        Ok(OriginatedStream(connected))
    }
}

impl fmt::Debug for Originator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Originator").finish_non_exhaustive()
    }
}

impl<S> OriginatedStream<S> {
    /// What is below.
    pub fn stream_mut(&mut self) -> &mut S {
        self.0.get_mut().0
    }
}

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

fn build(config: &OriginationConfig<'_>) -> Result<Originator, String> {
    let verifier = Arc::new(Servers {
        roots: roots(config.roots)?,
        names: config.names.clone(),
        is_verified: config.is_verified,
    });
    let builder = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut built = match config.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain).map_err(|error| format!("client certificate: {error}"))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("client key: {error}"))?;
            let built = builder.with_client_auth_cert(chain, key);
            built.map_err(|error| format!("client certificate and key: {error}"))?
        }
    };
    built.resumption = Resumption::disabled();
    built.enable_early_data = false;
    let speaking = |protocol: &[u8]| {
        let mut config = built.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    };
    let (http1, http2) = (speaking(HTTP1), speaking(H2));
    Ok(Originator {
        configs: [Arc::new(built), http1, http2],
    })
}

/// The system's, which its owner keeps up to date: a list built into the binary would age with it.
static SYSTEM: LazyLock<Result<Arc<RootCertStore>, String>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(ToString::to_string);
        return Err(format!(
            "no certificate authorities in the system: {}",
            why.unwrap_or_default()
        ));
    }
    Ok(Arc::new(store))
});

fn roots(roots: Roots<'_>) -> Result<Arc<RootCertStore>, String> {
    let pem = match roots {
        Roots::System => return SYSTEM.clone(),
        Roots::Pem(pem) => pem,
    };
    let mut store = RootCertStore::empty();
    for root in certificates(pem).map_err(|error| format!("certificate authorities: {error}"))? {
        store
            .add(root)
            .map_err(|error| format!("certificate authorities: {error}"))?;
    }
    Ok(Arc::new(store))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(read) if read.is_empty() => Err("expected certificates in PEM, found none".to_owned()),
        Ok(read) => Ok(read),
        Err(error) => Err(format!("expected certificates in PEM, found: {error}")),
    }
}

/// webpki's verdict on chain, validity and EKU serverAuth, then a name.
#[derive(Debug)]
struct Servers {
    roots: Arc<RootCertStore>,
    names: Vec<San>,
    is_verified: bool,
}

impl Servers {
    fn has_name(&self, leaf: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>, asked: &ServerName<'_>) -> bool {
        if self.names.is_empty() {
            return verify_server_name(parsed, asked).is_ok();
        }
        self.names.iter().any(|name| match name {
            San::Dns(name) => {
                ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(parsed, &name).is_ok())
            }
            San::Uri(uri) => has_uri(leaf, uri),
        })
    }
}

fn has_uri(leaf: &CertificateDer<'_>, uri: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return false;
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let mut names = names.value.general_names.iter();
    names.any(|name| matches!(name, GeneralName::URI(found) if *found == uri))
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.is_verified {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        let provider = crypto_provider();
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        if !self.has_name(leaf, &parsed, asked) {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let provider = crypto_provider();
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let provider = crypto_provider();
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for OriginatedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OriginatedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
