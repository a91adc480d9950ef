#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::Identity;
use crate::testing::*;
use http::StatusCode;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

mod endings;
mod handshakes;
mod requests;

type Served = JoinHandle<Result<(), ServeError>>;

struct Bench {
    ca: Ca,
    server: TestServer,
}

impl Bench {
    fn new() -> Self {
        Self::with(ServerConfig::default())
    }

    fn with(config: ServerConfig) -> Self {
        let ca = Ca::new();
        let server = TestServer::new(ca.certs("server"), config);
        Self { ca, server }
    }

    fn pipe(&self, on_connect: impl FnMut(Connect) + Send + 'static) -> (DuplexStream, Served) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        (near, self.server.serve(far, on_connect))
    }

    /// A raw client of an echo server.
    async fn raw(&self) -> (RawClient, Served) {
        let (near, served) = self.pipe(echo);
        (RawClient::open(near, &self.ca.identity("client")).await, served)
    }

    /// What becomes of a client with this identity: the handshake's label.
    async fn label_of(&self, client: Arc<rustls::ClientConfig>) -> String {
        let (near, served) = self.pipe(|_| panic!("no CONNECT may come through"));
        let client = RawClient::tls(near, client).await;
        if let Ok(mut client) = client {
            // TLS 1.3: the client is done before the server has seen its certificate.
            let _ = client.io.read(&mut [0; 1]).await;
        }
        let _ = served.await.unwrap();
        self.server.seen.take().swap_remove(0)
    }

    async fn label_of_leaf(&self, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
        self.label_of(Arc::clone(&self.ca.leaf(uri, change).identity(&self.ca).client))
            .await
    }
}

type ClientConnection = JoinHandle<Result<(), h2::Error>>;
