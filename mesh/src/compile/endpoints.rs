//! The addresses behind a Service's port: from its EndpointSlices, else from the Pods that its selector names.

use super::clusters::Address;
use super::locality::Place;
use super::workloads::Workloads;
use crate::kinds::Body;
use crate::kinds::discovered::{Discovered, WORKLOAD};
use crate::kinds::endpoint_slice::{EndpointSlice, SliceEndpoint, State};
use crate::kinds::service::{Port, Service, TargetPort};
use crate::object::Object;
use crate::resources::Index;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Names a Service: label of an EndpointSlice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// All EndpointSlices and workloads that istiod tells, by namespace and Service.
#[derive(Debug)]
pub(crate) struct Slices<'r>(HashMap<(&'r str, &'r str), Vec<&'r Arc<Object>>>);

impl<'r> Slices<'r> {
    /// Reads them.
    pub(crate) fn read(index: &Index<'r>) -> Self {
        let mut slices: HashMap<_, Vec<_>> = HashMap::new();
        for &object in index.all("EndpointSlice") {
            if let Some(service) = object.meta.labels.get(SERVICE_NAME) {
                slices
                    .entry((&*object.meta.namespace, service.as_str()))
                    .or_default()
                    .push(object);
            }
        }
        for &object in index.all(WORKLOAD) {
            let Body::Workload(discovered) = &object.body else {
                continue;
            };
            for serves in &discovered.serves {
                if let Some(service) = &serves.service {
                    slices.entry((&*serves.namespace, &**service)).or_default().push(object);
                }
            }
        }
        Self(slices)
    }

    /// Those of a Service.
    pub(crate) fn of(&self, namespace: &'r str, name: &'r str) -> &[&'r Arc<Object>] {
        self.0.get(&(namespace, name)).map_or(&[], Vec::as_slice)
    }
}

/// The addresses of a port, each once, of a Service with these slices, or with these workloads.
pub(crate) fn addresses<'r>(
    slices: &[&'r Arc<Object>],
    (namespace, name): (&'r str, &'r str),
    service: &'r Service,
    port: &Port,
    workloads: &Workloads<'r>,
) -> Vec<Address<'r>> {
    let discovered: Vec<_> = slices.iter().filter_map(|object| told(object)).collect();
    if !discovered.is_empty() {
        let serves = discovered.iter();
        let serves = serves.filter_map(|(one, labels)| address(one, labels, (namespace, name), service, port));
        let mut seen = HashSet::new();
        let mut addresses: Vec<_> = serves.filter(|address| seen.insert(address.socket)).collect();
        addresses.extend(workloads.elsewhere.addresses(&discovered, service, port.port));
        return addresses;
    }
    if slices.is_empty() {
        return from_pods(namespace, service, port, workloads);
    }
    let bodies = slices.iter().filter_map(|object| match &object.body {
        Body::EndpointSlice(slice) => Some(slice),
        _ => None,
    });
    from_slices(&bodies.collect::<Vec<_>>(), port, workloads)
}

fn told(object: &Arc<Object>) -> Option<(&Discovered, &BTreeMap<String, String>)> {
    match &object.body {
        Body::Workload(discovered) => Some((discovered, &object.meta.labels)),
        _ => None,
    }
}

/// A workload's own port, else the Service's where that is the same for all.
fn address<'r>(
    one: &'r Discovered,
    labels: &'r BTreeMap<String, String>,
    (namespace, name): (&str, &str),
    service: &Service,
    port: &Port,
) -> Option<Address<'r>> {
    if !one.is_healthy && !service.takes_unready {
        return None;
    }
    let target = one.of(namespace, name)?.target(port.port).or(match port.target {
        TargetPort::Number(number) => Some(number),
        TargetPort::Name(_) => None,
    });
    let workload = &one.workload;
    Some(Address {
        socket: SocketAddr::new(one.ip()?, target?),
        weight: one.weight,
        place: Place::from(workload.as_ref()),
        labels: Some(labels),
        workload: Some(workload),
        gateway: None,
    })
}

/// Ready addresses at the slice port of the Service port's name. When there is none, those that end and still serve.
fn from_slices<'r>(slices: &[&'r EndpointSlice], port: &Port, workloads: &Workloads<'r>) -> Vec<Address<'r>> {
    let ready = in_state(State::Ready, slices, port, workloads);
    if ready.is_empty() {
        return in_state(State::Draining, slices, port, workloads);
    }
    ready
}

fn in_state<'r>(
    state: State,
    slices: &[&'r EndpointSlice],
    port: &Port,
    workloads: &Workloads<'r>,
) -> Vec<Address<'r>> {
    let addresses = slices.iter().flat_map(|slice| {
        let target = slice
            .ports
            .iter()
            .find(|(name, _)| *name == *port.name)
            .map(|(_, number)| *number);
        let endpoints = slice.endpoints.iter().filter(move |endpoint| endpoint.state == state);
        target
            .into_iter()
            .flat_map(move |target| endpoints.clone().flat_map(move |one| sockets(one, target)))
    });
    unique(addresses, workloads)
}

fn sockets(endpoint: &SliceEndpoint, target: u16) -> impl Iterator<Item = (SocketAddr, Option<&SliceEndpoint>)> {
    let addresses = endpoint.addresses.iter();
    addresses.map(move |ip| (SocketAddr::new(*ip, target), Some(endpoint)))
}

/// For manifests without EndpointSlices: the ready Pods that the selector names.
fn from_pods<'r>(namespace: &'r str, service: &'r Service, port: &Port, workloads: &Workloads<'r>) -> Vec<Address<'r>> {
    if service.selector.is_empty() {
        return Vec::new();
    }
    let pods = workloads.selected(namespace, &service.selector).filter(|pod| pod.ready);
    let addresses = pods.filter_map(|pod| {
        let target = match &port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => pod.ports.iter().find(|(known, _)| known == name)?.1,
        };
        Some((SocketAddr::new(*pod.ips.first()?, target), None))
    });
    unique(addresses, workloads)
}

/// Each once, with what is known of the workload there.
fn unique<'r>(
    addresses: impl Iterator<Item = (SocketAddr, Option<&'r SliceEndpoint>)>,
    workloads: &Workloads<'r>,
) -> Vec<Address<'r>> {
    let mut seen: HashSet<SocketAddr> = HashSet::new();
    let addresses = addresses.filter(|(socket, _)| seen.insert(*socket));
    let known = addresses.map(|(socket, slice)| Address {
        socket,
        weight: 1,
        place: place(socket, slice, workloads),
        labels: workloads.labels(socket.ip()),
        workload: None,
        gateway: None,
    });
    known.collect()
}

/// What its Pod tells, else what the slice does.
fn place(socket: SocketAddr, slice: Option<&SliceEndpoint>, workloads: &Workloads<'_>) -> Place {
    let mut place = workloads.place(socket.ip());
    if let Some(slice) = slice {
        if place.zone.is_empty() {
            place.zone.clone_from(&slice.zone);
        }
        if place.node.is_empty() {
            place.node.clone_from(&slice.node);
        }
    }
    workloads.complete(place)
}
