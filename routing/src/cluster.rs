//! A Service port (or a subset of it): its endpoints, and the choice among them.

use crate::balance::{self, Tiers};
use crate::health::{Ejected, Outcome};
use crate::limits::Usage;
use crate::{Endpoint, Protocol, TrafficPolicy};
use request::ServiceName;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The Service. The same `Arc` as long as the cluster is called so: telemetry knows it by that.
    pub service: Arc<ServiceName>,
    /// Service port.
    pub port: u16,
    /// Subset of a DestinationRule; `None`: all of the Service.
    pub subset: Option<Arc<str>>,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// Endpoints that may be used, in any order.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// How they are used.
    pub policy: Arc<TrafficPolicy>,
    /// What lasts across compiles; `Arc::default()` for a new cluster.
    pub state: Arc<ClusterState>,
}

/// The endpoints of one Service port or subset. Immutable; what changes is in atomics that are shared across compiles.
#[derive(Debug)]
pub struct Cluster {
    /// The Service. The same `Arc` as long as the cluster is called so: telemetry knows it by that.
    pub service: Arc<ServiceName>,
    /// Service port.
    pub port: u16,
    /// Subset of a DestinationRule; `None`: all of the Service.
    pub subset: Option<Arc<str>>,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// Endpoints that may be used, by priority.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// How they are used.
    pub policy: Arc<TrafficPolicy>,
    /// What lasts across compiles.
    pub state: Arc<ClusterState>,
    tiers: Tiers,
}

/// What a cluster has counted; outlives its compile.
#[derive(Debug, Default)]
pub struct ClusterState {
    /// Against the limits of the policy.
    pub usage: Usage,
    /// Turns of round robin.
    pub(crate) turn: AtomicU64,
    /// No endpoint is ejected from this millisecond on.
    pub(crate) ejected_until: AtomicU64,
    /// One decision to eject at a time, so that the cap holds. Never taken by a request that went well.
    ejecting: Mutex<()>,
}

/// What a choice depends on, beside the endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// Uniform over u64.
    pub random: u64,
    /// Milliseconds on any steady clock that does not begin anew while the process lives.
    pub now_ms: u64,
    /// See [`crate::HashKey::hash`]; `None` where the policy hashes and the request has nothing to hash: any endpoint.
    pub hash: Option<u64>,
    /// Addresses not to be chosen again while there is another.
    pub tried: &'a [SocketAddr],
}

impl Cluster {
    /// Orders the endpoints and prepares the choice among them.
    pub fn new(spec: ClusterSpec) -> Self {
        let mut endpoints = spec.endpoints;
        endpoints.sort_by_key(|endpoint| endpoint.priority);
        Self {
            tiers: Tiers::of(&endpoints),
            service: spec.service,
            port: spec.port,
            subset: spec.subset,
            protocol: spec.protocol,
            endpoints,
            policy: spec.policy,
            state: spec.state,
        }
    }

    /// Of one endpoint that is addressed by itself: no Service's name, and no policy.
    pub fn direct(namespace: Arc<str>, protocol: Protocol, endpoint: Arc<Endpoint>) -> Self {
        let nameless = ServiceName {
            namespace,
            ..ServiceName::default()
        };
        Self::new(ClusterSpec {
            service: Arc::new(nameless),
            port: endpoint.address.port(),
            subset: None,
            protocol,
            endpoints: vec![endpoint],
            policy: Arc::default(),
            state: Arc::default(),
        })
    }

    /// The same with other endpoints.
    pub fn with_endpoints(&self, endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self::new(ClusterSpec {
            service: Arc::clone(&self.service),
            port: self.port,
            subset: self.subset.clone(),
            protocol: self.protocol,
            endpoints,
            policy: Arc::clone(&self.policy),
            state: Arc::clone(&self.state),
        })
    }

    /// Chooses an endpoint by the policy, from the first priority that has one that is not ejected and not tried.
    /// `None`: there is none, or all are ejected.
    pub fn choose(&self, ask: &Ask<'_>) -> Option<&Arc<Endpoint>> {
        balance::choose(self, &self.tiers, ask)
    }

    /// The endpoint at this address, when it may be used now: for requests that belong to one endpoint.
    pub fn usable_at(&self, address: SocketAddr, now_ms: u64) -> Option<&Arc<Endpoint>> {
        let found = self.endpoints.iter().find(|endpoint| endpoint.address == address);
        found.filter(|endpoint| !self.is_ejected(endpoint, now_ms))
    }

    /// Whether outlier detection keeps requests away from an endpoint. Always false without a policy for it.
    pub fn is_ejected(&self, endpoint: &Endpoint, now_ms: u64) -> bool {
        self.policy.outliers.is_some() && endpoint.health.is_ejected(now_ms)
    }

    /// Tells what became of a request, or a connection, at an endpoint. `Some` when that would eject it.
    pub fn report(&self, endpoint: &Endpoint, outcome: Outcome, now_ms: u64) -> Option<Ejected> {
        let outliers = self.policy.outliers.as_ref()?;
        if !endpoint.health.count(outliers, outcome) {
            return None;
        }
        let _one = self.state.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        if endpoint.health.is_ejected(now_ms) {
            return None;
        }
        let ejected = self.endpoints.iter().filter(|other| other.health.is_ejected(now_ms));
        if !outliers.admits(ejected.count().saturating_add(1), self.endpoints.len()) {
            endpoint.health.begin_anew();
            return Some(Ejected::Capped);
        }
        let until = endpoint.health.eject(outliers, now_ms);
        self.state.ejected_until.fetch_max(until, Ordering::AcqRel);
        Some(Ejected::Until(until))
    }
}

#[cfg(test)]
mod tests;
