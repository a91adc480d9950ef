#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use hbone::{CertSource, Identity, PoolConfig, PoolEvents};
use request::Workload;
use std::net::TcpListener;

/// Nobody may ask for a certificate here: nothing may be dialled.
struct NoCerts;

impl CertSource for NoCerts {
    fn current(&self) -> Arc<Identity> {
        panic!("something was dialled")
    }
}

impl PoolEvents for NoCerts {}

#[tokio::test]
async fn a_workload_of_the_mesh_without_an_identity_is_not_reached_in_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let workload = Workload {
        hbone: true,
        ..Workload::default()
    };
    let endpoint = Endpoint::new(listener.local_addr().unwrap(), Arc::new(workload));
    let pool = Pool::new(PoolConfig::default(), Arc::new(NoCerts), Arc::new(NoCerts));
    let connector = Connector::new(pool, Limits::default(), Arc::new(Metrics::new("test")));
    let lane = Lane {
        source: 0,
        baggage: None,
    };
    let dialled = connector.dial(&endpoint, &TrafficPolicy::default(), &lane).await;
    assert!(matches!(dialled, Err(OpenFault::Connect(_))), "{dialled:?}");
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_is_unused_only_after_its_last_stream_and_a_while() {
    let (near, _far) = tokio::io::duplex(1024);
    let (sender, _connection) = h2::client::handshake(near).await.unwrap();
    let mut connection = H2Connection {
        sender,
        streams: Arc::new(()),
        settings: Arc::default(),
        used: Instant::now(),
        keep: IDLE,
        carried: 1,
    };
    assert!(!connection.is_unused(Instant::now()));
    let stream = Arc::clone(&connection.streams);
    tokio::time::advance(IDLE * 2).await;
    assert!(!connection.is_unused(Instant::now()), "a stream is open");
    drop(stream);
    tokio::time::advance(IDLE - Duration::from_secs(1)).await;
    assert!(!connection.is_unused(Instant::now()), "one ended a moment ago");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(connection.is_unused(Instant::now()));
}
