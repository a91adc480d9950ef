//! A TLS server behind a pod and its client: what is encrypted from end to end, so that a proxy can only pass it on.

use super::waiting::soon;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A running one: it greets every client with its name and the SNI it saw, then echoes. It stops when dropped.
pub struct TlsBackend {
    /// What its clients must trust.
    roots: RootCertStore,
    accept: JoinHandle<()>,
}

impl TlsBackend {
    /// Listens on `ip:port` with a certificate for these names.
    pub async fn start(ip: Ipv4Addr, port: u16, name: &str, hosts: &[&str]) -> Self {
        hbone::install_crypto_provider();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(hosts).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((ip, port))
            .await
            .unwrap_or_else(|e| panic!("TLS on {ip}:{port}: {e}"));
        let name: Arc<str> = name.into();
        let accept = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, name) = (acceptor.clone(), Arc::clone(&name));
                connections.spawn(async move {
                    let Ok(mut tls) = acceptor.accept(socket).await else {
                        return;
                    };
                    let sni = tls.get_ref().1.server_name().unwrap_or("none").to_owned();
                    let _ = tls.write_all(format!("{name} {sni}\n").as_bytes()).await;
                    let (mut read, mut write) = tokio::io::split(tls);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { roots, accept }
    }

    /// Its certificate, for clients.
    pub fn roots(&self) -> &RootCertStore {
        &self.roots
    }
}

impl Drop for TlsBackend {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// Speaks TLS through `io` to the server that `sni` names, and reads its greeting; then one byte there and back.
///
/// # Errors
/// There was no handshake.
pub async fn greet<IO>(io: IO, roots: &RootCertStore, sni: &str) -> io::Result<String>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let config = ClientConfig::builder()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    let talk = async {
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, io).await?;
        let mut greeting = Vec::new();
        while !greeting.ends_with(b"\n") {
            greeting.push(tls.read_u8().await?);
        }
        tls.write_u8(7).await?;
        tls.flush().await?;
        assert_eq!(tls.read_u8().await?, 7);
        Ok(String::from_utf8_lossy(&greeting).trim().to_owned())
    };
    soon(&format!("TLS with {sni}"), talk).await
}
