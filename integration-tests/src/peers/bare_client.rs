//! The client that does not play by the rules: wrong certificates, wrong methods, silence. It checks nothing itself.

use super::pki::Certs;
use super::waiting::soon;
use http::{Method, Request, StatusCode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Answered(StatusCode),
    /// No answer: the TLS handshake, the connection or the stream was ended by the other side; and how.
    Ended(String),
}

/// TLS with these ALPN protocols, showing these certificates (or none).
///
/// # Errors
/// The handshake failed, as far as this side sees it (in TLS 1.3 a refused client certificate shows at the first read).
pub async fn tls(hbone: SocketAddr, certs: Option<&Certs>, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let versions = [&rustls::version::TLS13];
    tls_of_version(hbone, certs, alpn, &versions).await
}

/// The same with these protocol versions.
///
/// # Errors
/// As [`tls`].
pub async fn tls_of_version(
    hbone: SocketAddr,
    certs: Option<&Certs>,
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone));
    let mut config = match certs {
        None => builder.with_no_client_auth(),
        Some(certs) => {
            let chain = CertificateDer::pem_file_iter(certs.file("cert-chain.pem")).unwrap();
            let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_file(certs.file("key.pem")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(hbone).await?;
    socket.set_nodelay(true)?;
    soon(
        "TLS",
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("waypoint").unwrap(), socket),
    )
    .await
}

/// mTLS, then one request on the HBONE connection itself.
pub async fn request(hbone: SocketAddr, certs: Option<&Certs>, method: Method, target: &str) -> Outcome {
    match tls(hbone, certs, &["h2"]).await {
        Err(e) => Outcome::Ended(format!("TLS: {e}")),
        Ok(io) => {
            let outcome = async {
                let (sender, connection) = h2::client::handshake(io).await?;
                let driver = tokio::spawn(connection);
                let mut sender = sender.ready().await?;
                let request = Request::builder().method(method).uri(target).body(()).unwrap();
                let (answer, _stream) = sender.send_request(request, false)?;
                let status = answer.await?.status();
                driver.abort();
                Ok::<_, h2::Error>(status)
            };
            match soon("an answer or an end", outcome).await {
                Ok(status) => Outcome::Answered(status),
                Err(e) => Outcome::Ended(format!("HTTP/2: {e}")),
            }
        }
    }
}

/// mTLS, then one CONNECT.
pub async fn connect(hbone: SocketAddr, certs: Option<&Certs>, authority: &str) -> Outcome {
    request(hbone, certs, Method::CONNECT, authority).await
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}
