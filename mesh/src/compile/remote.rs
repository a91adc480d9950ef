//! Workloads on other networks: which gateways lead there, and what of a Service is behind each.

use super::Report;
use super::clusters::Address;
use super::locality::Place;
use crate::finding::Severity;
use crate::kinds::Body;
use crate::kinds::discovered::{Discovered, Elsewhere, GatewayPlace, WORKLOAD};
use crate::kinds::service::Service;
use crate::object::Object;
use crate::resources::Index;
use request::SpiffeId;
use routing::NetworkGateway;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

/// Gateways of other networks, as far as istiod has told where and who they are.
#[derive(Debug, Default)]
pub(crate) struct Gateways<'r> {
    places: HashMap<&'r GatewayPlace, Vec<(SocketAddr, &'r SpiffeId)>>,
    /// The workloads that they are.
    pub(crate) workloads: Vec<Arc<Object>>,
    /// Those that are needed and not known.
    missing: usize,
}

impl<'r> Gateways<'r> {
    /// Finds those that some workload is behind.
    pub(crate) fn find(index: &Index<'r>) -> Self {
        let mut found = Self::default();
        let told = || {
            index
                .all(WORKLOAD)
                .iter()
                .filter_map(|object| Some((*object, told(object)?)))
        };
        let elsewhere = told().filter_map(|(_, one)| one.elsewhere.as_ref()?.gateway.as_ref());
        for place in elsewhere {
            found.places.entry(place).or_default();
        }
        if found.places.is_empty() {
            return found;
        }
        for (object, one) in told().filter(|(_, one)| one.is_healthy && one.workload.hbone) {
            let mut is_gateway = false;
            for (place, known) in &mut found.places {
                if let Some(address) = at(place, one) {
                    known.push((address, &one.identity));
                    is_gateway = true;
                }
            }
            if is_gateway {
                found.workloads.push(Arc::clone(object));
            }
        }
        found.missing = found.places.values().filter(|known| known.is_empty()).count();
        found
    }

    /// Tells of those that are not known.
    pub(crate) fn report(&self, report: &mut Report) {
        if self.missing > 0 {
            let missing = self.missing;
            let message =
                format!("{missing} gateways of other networks are not known: what is behind them is not reached");
            report.general(Severity::Warning, message);
        }
    }

    /// What of a Service's port is on other networks: one address for each gateway, with the share of all behind it.
    pub(crate) fn addresses(
        &self,
        workloads: &[(&'r Discovered, &'r BTreeMap<String, String>)],
        service: &Service,
        port: u16,
    ) -> Vec<Address<'r>> {
        let mut behind: BTreeMap<SocketAddr, Behind<'r>> = BTreeMap::new();
        for (one, labels) in workloads {
            let Some(Elsewhere {
                gateway: Some(place),
                network,
            }) = &one.elsewhere
            else {
                continue;
            };
            if !one.is_healthy && !service.takes_unready {
                continue;
            }
            for (address, identity) in self.places.get(place).into_iter().flatten() {
                let behind = behind.entry(*address).or_insert_with(|| Behind {
                    gateway: identity,
                    network,
                    first: (one, labels),
                    weight: 0,
                    identities: BTreeSet::new(),
                });
                behind.weight = behind.weight.saturating_add(one.weight);
                behind.identities.insert(one.identity.as_str());
            }
        }
        let authority: Box<str> = format!("{}:{port}", service.host).into();
        let addresses = behind.into_iter();
        let addresses = addresses.map(|(address, behind)| behind.address(address, &authority, service));
        addresses.collect()
    }
}

/// What of a Service is behind one gateway.
struct Behind<'r> {
    gateway: &'r SpiffeId,
    network: &'r str,
    first: (&'r Discovered, &'r BTreeMap<String, String>),
    weight: u32,
    identities: BTreeSet<&'r str>,
}

impl<'r> Behind<'r> {
    fn address(self, socket: SocketAddr, authority: &str, service: &Service) -> Address<'r> {
        let (one, labels) = self.first;
        let workload = &one.workload;
        // Without names of its own a Service's endpoints are who they are.
        let own = self.identities.into_iter().filter_map(|id| SpiffeId::parse(id).ok());
        let beyond = if service.sans.is_empty() {
            own.collect()
        } else {
            service.sans.clone().into_boxed_slice()
        };
        Address {
            socket,
            weight: self.weight,
            place: Place::from(workload.as_ref()),
            labels: Some(labels),
            workload: Some(workload),
            gateway: Some(Arc::new(NetworkGateway {
                identity: self.gateway.clone(),
                authority: authority.into(),
                beyond,
                network: self.network.into(),
            })),
        }
    }
}

/// Where a workload is that is this gateway.
fn at(place: &GatewayPlace, one: &Discovered) -> Option<SocketAddr> {
    match place {
        GatewayPlace::Address { network, ip, port } => {
            let is_it = *one.network == **network && one.workload.ips.contains(ip);
            is_it.then(|| SocketAddr::new(*ip, *port))
        }
        GatewayPlace::Host { namespace, host, port } => {
            let serves = one
                .serves
                .iter()
                .find(|one| one.namespace == *namespace && one.host == *host)?;
            let ip = one.workload.ips.first()?;
            Some(SocketAddr::new(*ip, serves.target(*port).unwrap_or(*port)))
        }
    }
}

fn told(object: &Arc<Object>) -> Option<&Discovered> {
    match &object.body {
        Body::Workload(discovered) => Some(discovered),
        _ => None,
    }
}
