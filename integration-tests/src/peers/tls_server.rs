//! A server outside the mesh that wants TLS: it ends TLS and passes what is inside on to a plain backend.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate authority that is no mesh's.
pub struct PublicCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A running server. It stops when dropped.
pub struct TlsServer {
    names: Arc<Mutex<Vec<String>>>,
    accept: JoinHandle<()>,
}

impl PublicCa {
    /// One with a root of its own.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its root, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Chain and key for these DNS names, PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| SanType::DnsName((*name).try_into().unwrap()))
            .collect();
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        (chain, key.serialize_pem())
    }
}

impl Default for PublicCa {
    fn default() -> Self {
        Self::new()
    }
}

impl TlsServer {
    /// Listens on `ip:port` with a certificate of `ca` for these names, in front of `backend`. With `clients`, who comes
    /// must show a certificate of that authority.
    pub async fn start(
        (ip, port): (Ipv4Addr, u16),
        ca: &PublicCa,
        names: &[&str],
        clients: Option<&PublicCa>,
        backend: SocketAddr,
    ) -> Self {
        let listener = TcpListener::bind((ip, port))
            .await
            .unwrap_or_else(|e| panic!("tls on {ip}:{port}: {e}"));
        let acceptor = TlsAcceptor::from(Arc::new(config(ca, names, clients)));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        let accept = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), seen.clone());
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(name);
                    let mut backend = TcpStream::connect(backend).await.unwrap();
                    copy_bidirectional(&mut stream, &mut backend).await.ok();
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { names: asked, accept }
    }

    /// The server names of the handshakes that succeeded, in order.
    pub fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

fn config(ca: &PublicCa, names: &[&str], clients: Option<&PublicCa>) -> ServerConfig {
    let (chain, key) = ca.issue(names);
    let builder = ServerConfig::builder_with_provider(hbone::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(ca.pem()));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), hbone::crypto_provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(certificates(&chain), key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}
