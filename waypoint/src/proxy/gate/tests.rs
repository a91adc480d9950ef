#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use routing::{ClusterSpec, Limits, Protocol, TrafficPolicy};

fn cluster(connections: Option<u32>, pending: Option<u32>) -> Arc<Cluster> {
    let limits = Limits {
        connections,
        pending,
        ..Limits::default()
    };
    Arc::new(Cluster::new(ClusterSpec {
        service: Arc::default(),
        port: 80,
        subset: None,
        protocol: Protocol::Http,
        endpoints: Vec::new(),
        policy: Arc::new(TrafficPolicy {
            limits,
            ..TrafficPolicy::default()
        }),
        state: Arc::default(),
    }))
}

#[tokio::test]
async fn who_finds_no_connection_free_waits_in_turn_and_within_the_limit() {
    let gates = Arc::new(Gates::default());
    let cluster = cluster(Some(1), Some(1));
    let first = gates.pass(&cluster).await.unwrap();
    let (waiting_gates, waiting_cluster) = (Arc::clone(&gates), Arc::clone(&cluster));
    let second = tokio::spawn(async move { waiting_gates.pass(&waiting_cluster).await });
    while cluster.state.usage.pending.now() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gates.pass(&cluster).await.unwrap_err(), Reason::Overflow("pending"));
    assert_eq!(gates.pass_now(&cluster).unwrap_err(), Reason::Overflow("connections"));
    drop(first);
    let second = second.await.unwrap().unwrap();
    let usage = &cluster.state.usage;
    assert_eq!((usage.pending.now(), usage.connections.now()), (0, 1));
    drop(second);
    assert_eq!(usage.connections.now(), 0);
}

#[tokio::test]
async fn one_that_gives_up_leaves_its_place() {
    let gates = Gates::default();
    let cluster = cluster(Some(1), Some(1));
    let first = gates.pass(&cluster).await.unwrap();
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), gates.pass(&cluster)).await;
    assert!(given_up.is_err() && cluster.state.usage.pending.now() == 0);
    drop(first);
    assert!(gates.pass(&cluster).await.is_ok());
}

#[test]
fn without_a_limit_all_pass_and_gone_clusters_are_forgotten() {
    let gates = Gates::default();
    let open = cluster(None, None);
    let passages: Vec<_> = (0..10).map(|_| gates.pass_now(&open).unwrap()).collect();
    assert_eq!(passages.len(), 10);
    assert!(gates.0.load().is_empty());
    let closed = cluster(Some(1), None);
    let _passage = gates.pass_now(&closed).unwrap();
    gates.sweep();
    assert_eq!(gates.0.load().len(), 1);
    drop(closed);
    gates.sweep();
    assert!(gates.0.load().is_empty());
}
