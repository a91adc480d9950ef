//! An endpoint of a Service of ours that is addressed by itself: pod IP and target port.
//!
//! A waypoint for Services serves it without routes, which shape Services and not pods, and judges by what binds to the
//! Service: the pod's node tunnel may admit nobody but the waypoint, which must not become a way around the Service's
//! policies. (A Service whose routes ask an external authoriser, or may, is served by its own address only.) Where several
//! Services of ours have the endpoint and would not judge alike, nobody can tell which of them is meant, and it is refused.

use super::{ServicePort, Snapshot, implicit};
use crate::kinds::service_entry::Exports;
use routing::{Cluster, Endpoint, Protocol, RouteId, RouteKind, Target};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// All of them, by address and port; `None`: Services that do not judge alike.
#[derive(Debug)]
pub(super) struct PodEndpoints(HashMap<(IpAddr, u16), Option<PodEndpoint>>);

impl PodEndpoints {
    /// Of all Services that are ours.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut vips: HashMap<*const ServicePort, IpAddr> = HashMap::new();
        for ((ip, _), service) in &snapshot.by_address {
            let vip = vips.entry(Arc::as_ptr(service)).or_insert(*ip);
            *vip = (*vip).min(*ip);
        }
        let mut all = HashMap::new();
        // What a ServiceEntry leads to is no pod of it: only its own hosts and addresses are served.
        for service in snapshot.ports.iter().filter(|service| service.name != service.host) {
            let vip = vips.get(&Arc::as_ptr(service)).copied();
            let cluster = snapshot.endpoints_of(&service.cluster);
            // What is spoken to a pod by its own address is not what a policy for the Service says.
            let endpoints = cluster.into_iter().flat_map(|cluster| &cluster.endpoints);
            for endpoint in endpoints.filter(|endpoint| endpoint.is_spoken_to_directly()) {
                let key = (endpoint.address.ip().to_canonical(), endpoint.address.port());
                let new = || Some(PodEndpoint::new(service, vip, endpoint));
                match all.entry(key).or_insert_with(new) {
                    Some(known) if known.agrees_with(service, vip) && !service.asks => known.declare(service.protocol),
                    known => *known = None,
                }
            }
        }
        Self(all)
    }

    /// What a tunnel to this address and port needs; `None`: no endpoint, or nobody can tell whose.
    pub(super) fn port(&self, ip: IpAddr, port: u16) -> Option<Arc<ServicePort>> {
        Some(self.0.get(&(ip, port))?.as_ref()?.port())
    }
}

/// The endpoint, and how it is judged.
#[derive(Debug)]
struct PodEndpoint {
    /// The Service port that judges; others that have the endpoint judge alike.
    service: Arc<ServicePort>,
    /// Its address, as policies know it; `None`: headless, clients know the pod's alone.
    vip: Option<IpAddr>,
    protocol: Protocol,
    endpoint: Arc<Endpoint>,
}

impl PodEndpoint {
    fn new(service: &Arc<ServicePort>, vip: Option<IpAddr>, endpoint: &Arc<Endpoint>) -> Self {
        Self {
            service: Arc::clone(service),
            vip,
            protocol: service.protocol,
            endpoint: Arc::clone(endpoint),
        }
    }

    /// Whether another Service port with this endpoint would judge every connection as the first one does.
    fn agrees_with(&self, other: &ServicePort, vip: Option<IpAddr>) -> bool {
        let one = &self.service;
        let same_tokens = Arc::ptr_eq(&one.authn, &other.authn) || one.authn.is_empty() && other.authn.is_empty();
        let no_policies = one.policies.is_empty() && other.policies.is_empty();
        // Policies may ask for the port and the address.
        let same_place = one.port == other.port && self.vip == vip;
        same_tokens && (no_policies || same_place && Arc::ptr_eq(&one.policies, &other.policies))
    }

    /// What is declared goes before what is to be detected.
    fn declare(&mut self, protocol: Protocol) {
        if self.protocol == Protocol::Detect {
            self.protocol = protocol;
        }
    }

    /// As a tunnel needs it: to this endpoint only, judged as the Service's port.
    fn port(&self) -> Arc<ServicePort> {
        let none: Arc<str> = Arc::from("");
        let workload = &self.endpoint.workload;
        let namespace: Arc<str> = Arc::from(workload.namespace.as_str());
        let cluster = Cluster::direct(Arc::clone(&namespace), self.protocol, Arc::clone(&self.endpoint));
        let cluster = Target::Direct(Arc::new(cluster));
        let id = RouteId {
            kind: RouteKind::Implicit,
            namespace: Arc::clone(&namespace),
            name: Arc::from(workload.pod.as_str()),
        };
        Arc::new(ServicePort {
            host: Arc::clone(&none),
            name: none,
            namespace,
            port: self.service.port,
            judged_at: self.vip,
            protocol: self.protocol,
            producer: implicit(id, cluster.clone(), None),
            cluster,
            authn: Arc::clone(&self.service.authn),
            policies: Arc::clone(&self.service.policies),
            telemetry: Arc::clone(&self.service.telemetry),
            bound: self.service.bound.clone(),
            consumers: BTreeMap::new(),
            asks: false,
            exports: Exports::Everywhere,
        })
    }
}
