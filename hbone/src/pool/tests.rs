#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::testing::{PipePool, destination};
use super::*;
use crate::testing::*;
use crate::{Connect, Reason, ServerConfig, SharedCerts, tls};
use bytes::Bytes;
use http::{Response, StatusCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

mod leaving;
mod peers;
mod sharing;

struct Bench {
    ca: Ca,
    server: TestServer,
}

impl Bench {
    fn new() -> Self {
        let ca = Ca::new();
        // Nothing but the pool's own clock.
        let config = ServerConfig {
            max_age: None,
            idle_timeout: Duration::MAX,
            ..ServerConfig::default()
        };
        let server = TestServer::new(ca.certs("server"), config);
        Self { ca, server }
    }

    fn pool(&self) -> PipePool {
        self.pool_with(PoolConfig::default(), echo)
    }

    fn pool_with(&self, config: PoolConfig, on_connect: impl Fn(Connect) + Clone + Send + Sync + 'static) -> PipePool {
        self.server.pool(self.ca.certs("client"), config, on_connect)
    }

    /// A pool whose peers speak h2 as `peer` does.
    fn pool_to_h2<F>(
        &self,
        config: PoolConfig,
        peer: impl Fn(usize, H2Server) -> F + Clone + Send + Sync + 'static,
    ) -> PipePool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&self.ca.identity("server").server));
        let count = AtomicUsize::new(0);
        PipePool::new(config, self.ca.certs("client"), move |io| {
            let (acceptor, peer, index) = (acceptor.clone(), peer.clone(), count.fetch_add(1, Ordering::SeqCst));
            tokio::spawn(async move {
                let tls = acceptor.accept(io).await.unwrap();
                peer(index, tls).await;
            });
        })
    }
}

type H2Server = tokio_rustls::server::TlsStream<DuplexStream>;

async fn works(tunnel: &mut TunnelStream) {
    tunnel.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    tunnel.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
}

async fn dial_many(pool: &Arc<PipePool>, count: usize) -> Vec<Result<TunnelStream, DialError>> {
    let dials: Vec<_> = (0..count)
        .map(|_| {
            let pool = Arc::clone(pool);
            tokio::spawn(async move { pool.dial().await })
        })
        .collect();
    let mut tunnels = Vec::new();
    for dial in dials {
        tunnels.push(dial.await.unwrap());
    }
    tunnels
}

/// Over real sockets, with two workers: the production path of both ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    let ca = Ca::new();
    let server = TestServer::new(ca.certs("server"), ServerConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let server = server.clone();
        async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                drop(server.serve(socket, echo));
            }
        }
    });
    let pool = Pool::new(PoolConfig::default(), ca.certs("client"), Arc::new(Seen::default()));
    let destination = Destination {
        address,
        identity: destination("server").identity,
    };
    let tunnels: Vec<_> = (0..300)
        .map(|_| {
            let (pool, destination) = (Arc::clone(&pool), destination.clone());
            tokio::spawn(async move {
                let mut tunnel = pool.dial(&destination, "10.0.0.1:80", HeaderMap::new()).await.unwrap();
                let sent = vec![5; 300_000];
                let (mut read, mut write) = tokio::io::split(&mut tunnel);
                let writing = async {
                    write.write_all(&sent).await.unwrap();
                    write.shutdown().await.unwrap();
                };
                let mut received = Vec::new();
                let (_, read) = tokio::join!(writing, read.read_to_end(&mut received));
                read.unwrap();
                assert!(received == sent);
            })
        })
        .collect();
    for tunnel in tunnels {
        tunnel.await.unwrap();
    }
    server.drain.start();
    assert_eq!(server.drain.wait(Duration::from_secs(10)).await, crate::Drained::Idle);
    let refused = Destination {
        address: "127.0.0.1:1".parse().unwrap(),
        identity: destination.identity,
    };
    assert!(matches!(
        pool.dial(&refused, "10.0.0.1:80", HeaderMap::new()).await.unwrap_err(),
        DialError::Connect { .. }
    ));
}
