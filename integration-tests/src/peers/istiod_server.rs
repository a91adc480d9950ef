//! What every server of istiod's is: gRPC over TLS on a port that goes away and comes back, and the files that its clients
//! need (`root-cert.pem` and `istio-token`). What calls are answered is its desk's.

use super::tls_server::PublicCa;
use bytes::{BufMut, Bytes};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Who answers the calls. It outlives an outage of its server.
pub(super) trait Desk: Send + Sync + 'static {
    /// One call.
    fn answer(
        self: Arc<Self>,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) -> impl Future<Output = ()> + Send;
}

/// A running server.
pub(super) struct IstiodServer<D> {
    pub(super) desk: Arc<D>,
    address: SocketAddr,
    files: TempDir,
    tls: PublicCa,
    serving: JoinHandle<()>,
}

impl<D: Desk> IstiodServer<D> {
    /// On a port of its own, with an authority of its own.
    pub(super) async fn start(desk: D) -> Self {
        let (files, tls, desk) = (tempfile::tempdir().unwrap(), PublicCa::new(), Arc::new(desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            serving: tokio::spawn(accept(listener, acceptor(&tls), Arc::clone(&desk))),
            desk,
            address,
            files,
            tls,
        };
        server.put_root_of(None);
        server.put_token("a token");
        server
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The file with the root of its certificate.
    pub(super) fn root(&self) -> PathBuf {
        self.files.path().join("root-cert.pem")
    }

    /// The file with the clients' token.
    pub(super) fn token(&self) -> PathBuf {
        self.files.path().join("istio-token")
    }

    /// Says that the certificate is by this authority; without, the truth.
    pub(super) fn put_root_of(&self, other: Option<&PublicCa>) {
        replace(self.root(), other.unwrap_or(&self.tls).pem());
    }

    /// Replaces the token, as a kubelet does.
    pub(super) fn put_token(&self, token: &str) {
        replace(self.token(), token);
    }

    /// Stops listening; connections end.
    pub(super) async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    /// Listens again on the same port.
    pub(super) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = tokio::spawn(accept(listener, acceptor(&self.tls), Arc::clone(&self.desk)));
    }
}

impl<D> Drop for IstiodServer<D> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Begins the answer of a gRPC call. `None`: the client has gone.
pub(super) fn begin(respond: &mut SendResponse<Bytes>) -> Option<SendStream<Bytes>> {
    let head = Response::builder().header("content-type", "application/grpc");
    respond.send_response(head.body(()).unwrap(), false).ok()
}

/// A message with gRPC's prefix.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed
}

fn replace(path: PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn acceptor(ca: &PublicCa) -> TlsAcceptor {
    let (chain, key) = ca.issue(&["localhost"]);
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(hbone::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, desk: Arc<impl Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&desk)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, desk: Arc<impl Desk>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    // Small messages that wait to be read count against the window.
    let handshake = h2::server::Builder::new()
        .initial_connection_window_size(16 << 20)
        .handshake(stream);
    let Ok(mut connection) = handshake.await else { return };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(Arc::clone(&desk).answer(request, respond));
    }
}
