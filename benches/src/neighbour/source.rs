//! The client's side: mTLS connections to the proxy under test, CONNECT streams on them.

use super::{NoEvents, World};
use crate::fault::{During, Fault};
use hbone::{Destination, FileCerts, Pool, PoolConfig, TunnelStream};
use http::{HeaderMap, HeaderValue};
use request::SpiffeId;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who asks, and for what.
#[derive(Clone)]
pub(crate) struct Source {
    certs: Arc<FileCerts>,
    proxy: SpiffeId,
    authority: String,
    baggage: HeaderValue,
}

impl Source {
    /// The workload `client`, which wants the Service of this world.
    pub(crate) fn new(world: &World) -> Result<Self, Fault> {
        Ok(Self {
            certs: world.workload("client")?,
            proxy: world.proxy_identity()?,
            authority: world.vip().authority(),
            baggage: HeaderValue::from_static(
                "k8s.cluster.name=Kubernetes,k8s.namespace.name=demo,k8s.deployment.name=client,service.name=client,\
                 service.version=v1",
            ),
        })
    }

    /// Opens `connections` to the proxy with `streams` tunnels spread over them.
    pub(crate) async fn dial(
        &self,
        proxy: SocketAddr,
        connections: u64,
        streams: u64,
    ) -> Result<Vec<TunnelStream>, Fault> {
        let pools: Vec<_> = (0..connections.max(1)).map(|_| self.pool()).collect();
        let destination = Destination {
            address: proxy,
            identity: self.proxy.clone(),
        };
        let mut tunnels = Vec::new();
        for (pool, _) in pools.iter().cycle().zip(0..streams) {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static("baggage"), self.baggage.clone())]);
            tunnels.push(
                pool.dial(&destination, &self.authority, headers)
                    .await
                    .during("client tunnel")?,
            );
        }
        Ok(tunnels)
    }

    /// A pool keeps to one connection as long as that has room.
    fn pool(&self) -> Arc<Pool> {
        Pool::new(PoolConfig::default(), Arc::clone(&self.certs) as _, Arc::new(NoEvents))
    }
}
