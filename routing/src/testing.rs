//! Clusters for tests.

use crate::{Cluster, ClusterSpec, Endpoint, Protocol, TrafficPolicy};
use request::{ServiceName, Workload};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (i >> 8) as u8, i as u8], 8080))
}

pub(crate) fn endpoint(i: usize, weight: u32, priority: u8) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        weight,
        priority,
        ..Endpoint::new(address(i), Arc::new(Workload::default()))
    })
}

pub(crate) fn cluster(policy: TrafficPolicy, endpoints: impl IntoIterator<Item = Arc<Endpoint>>) -> Cluster {
    Cluster::new(ClusterSpec {
        service: Arc::new(ServiceName {
            host: "reviews.ns.svc.cluster.local".into(),
            name: "reviews".into(),
            namespace: "ns".into(),
        }),
        port: 80,
        subset: None,
        protocol: Protocol::Http,
        endpoints: endpoints.into_iter().collect(),
        policy: Arc::new(policy),
        state: Arc::default(),
    })
}
