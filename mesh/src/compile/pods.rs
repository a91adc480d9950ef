//! Pods that are served by their own address: those whose waypoint is ours and for workloads. (What a waypoint for
//! Services serves of them is in `snapshot/pod_endpoint.rs`.)
//!
//! Routes shape Services and do not apply to them; policies that bind to the Gateway or its class do. Pods of a
//! headless Service are no different: their clients connect to pod addresses.

use super::gateways::{Addressed, Gateways};
use super::policies::Policies;
use super::services::Services;
use super::telemetry::Plans;
use super::workloads::Workloads;
use crate::kinds::Body;
use crate::kinds::discovered::WORKLOAD;
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot::{Builder, PodTarget};
use routing::{Endpoint, Protocol};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// All such pods, by the Gateways that they use.
#[derive(Debug, Default)]
pub(crate) struct Pods<'r> {
    groups: Vec<Group<'r>>,
    /// Number of the first group: those before are Services.
    first: usize,
}

/// Pods that use the same Gateways: the same policies bind to them.
#[derive(Debug)]
struct Group<'r> {
    gateways: Vec<&'r Object>,
    /// Addresses of each.
    pods: Vec<&'r [IpAddr]>,
}

impl<'r> Pods<'r> {
    /// Finds them.
    pub(crate) fn find(index: &Index<'r>, gateways: &Gateways<'r>, services: &Services<'r>) -> Self {
        let mut found = Self {
            groups: Vec::new(),
            first: services.numbered().count(),
        };
        for &object in index.all("Pod").iter().chain(index.all(WORKLOAD)) {
            let Some(ips) = addresses(object) else { continue };
            // A waypoint for Services is the rule, and no fault of a pod whose namespace names one.
            let used = gateways.used_by(Addressed::Workload, &object.meta, |_| {});
            if used.is_empty() {
                continue;
            }
            let same = |group: &&mut Group<'_>| {
                group.gateways.len() == used.len()
                    && group.gateways.iter().zip(&used).all(|(a, b)| std::ptr::eq(*a, *b))
            };
            match found.groups.iter_mut().find(same) {
                Some(group) => group.pods.push(ips),
                None => found.groups.push(Group {
                    gateways: used,
                    pods: vec![ips],
                }),
            }
        }
        found
    }

    /// The groups as policies number them, and the Gateways each uses.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Vec<&'r Object>)> {
        let groups = self.groups.iter().enumerate();
        groups.map(|(number, group)| (self.first.saturating_add(number), &group.gateways))
    }

    /// Hands over to the snapshot.
    pub(crate) fn finish(
        self,
        services: &Services<'r>,
        workloads: &Workloads<'r>,
        policies: &Policies<'r>,
        plans: &Plans,
        builder: &mut Builder,
    ) {
        if self.groups.is_empty() {
            return;
        }
        let mut known = known(services);
        for (number, group) in self.groups.into_iter().enumerate() {
            let number = self.first.saturating_add(number);
            let (authn, judges) = policies.of(number);
            let bound: Arc<[String]> = policies.names(number).into();
            for ip in group.pods.iter().copied().flatten() {
                let pod = PodTarget {
                    workload: workloads.at(*ip),
                    known: known.remove(ip).unwrap_or_default(),
                    authn: Arc::clone(&authn),
                    policies: Arc::clone(&judges),
                    telemetry: plans.of(number),
                    bound: Arc::clone(&bound),
                };
                builder.pod(*ip, Arc::new(pod));
            }
        }
    }
}

/// The addresses of a pod that has some of its own.
fn addresses(object: &Object) -> Option<&[IpAddr]> {
    match &object.body {
        Body::Pod(pod) => pod.is_live.then_some(&pod.ips),
        Body::Workload(discovered) => discovered.is_addressed.then_some(&discovered.workload.ips),
        _ => None,
    }
}

/// What Services tell of the ports at each address; what is declared goes before what is to be detected.
fn known(services: &Services<'_>) -> HashMap<IpAddr, Vec<(Protocol, Arc<Endpoint>)>> {
    let mut known: HashMap<IpAddr, Vec<(Protocol, Arc<Endpoint>)>> = HashMap::new();
    let clusters = services
        .numbered()
        .flat_map(|(_, entry)| entry.service.ports.iter().zip(&entry.clusters));
    for (port, (_, cluster)) in clusters {
        for endpoint in cluster
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.is_spoken_to_directly())
        {
            let ports = known.entry(endpoint.address.ip()).or_default();
            match ports.iter_mut().find(|(_, before)| before.address == endpoint.address) {
                None => ports.push((port.protocol, Arc::clone(endpoint))),
                Some((protocol, _)) if *protocol == Protocol::Detect => *protocol = port.protocol,
                Some(_) => {}
            }
        }
    }
    known
}
