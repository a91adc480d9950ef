//! Services: their clusters (ports with endpoints), and which of them are ours to serve.

use super::Report;
use super::clusters::{self, Address, Clusters, Named, OfPort};
use super::gateways::{Addressed, Gateways};
use super::policies::Policies;
use super::routes::Routes;
use super::virtual_services::VirtualServices;
use super::workloads::Workloads;
use crate::kinds::Body;
use crate::kinds::endpoint_slice::EndpointSlice;
use crate::kinds::service::{Port, Service, TargetPort};
use crate::object::Object;
use crate::resources::{Index, Name};
use crate::snapshot::{Builder, ServicePort};
use request::Workload;
use routing::{Cluster, ClusterId, Protocol, Target};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Names a Service: label of an EndpointSlice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// What a Service's host name ends in.
pub(crate) const SERVICE_DOMAIN: &str = "svc.cluster.local";

/// What survives a compile.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) clusters: clusters::Kept,
    pub(crate) workloads: HashMap<Name, Arc<Workload>>,
}

/// All Services.
#[derive(Debug, Default)]
pub(crate) struct Services<'r> {
    all: Vec<Entry<'r>>,
    by_name: HashMap<(&'r str, &'r str), usize>,
}

/// One Service.
#[derive(Debug)]
pub(crate) struct Entry<'r> {
    /// The object.
    pub(crate) object: &'r Arc<Object>,
    /// Its spec.
    pub(crate) service: &'r Service,
    /// Clusters, port by port as in the spec.
    pub(crate) clusters: Vec<(ClusterId, Arc<Cluster>)>,
    /// Clusters of the subsets that a DestinationRule names, of all ports.
    pub(crate) subsets: Vec<(ClusterId, Arc<Cluster>)>,
    /// Those of our Gateways that it uses; empty: not ours.
    pub(crate) gateways: Vec<&'r Object>,
}

impl Entry<'_> {
    /// How its clusters are called; port and protocol are still to be set.
    fn named(&self, waypoint: Option<&Arc<str>>) -> Named {
        let (namespace, name) = (&self.object.meta.namespace, &self.object.meta.name);
        let own = self.gateways.first().map(|gateway| &gateway.meta.namespace);
        Named {
            host: Arc::from(format!("{name}.{namespace}.{SERVICE_DOMAIN}").to_ascii_lowercase()),
            name: Arc::clone(name),
            namespace: Arc::clone(namespace),
            port: 0,
            protocol: Protocol::Detect,
            waypoint: Arc::clone(own.or(waypoint).unwrap_or(namespace)),
        }
    }

    /// Ports and their clusters.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (&Port, ClusterId)> {
        self.service
            .ports
            .iter()
            .zip(&self.clusters)
            .map(|(port, (id, _))| (port, *id))
    }
}

impl<'r> Services<'r> {
    /// Reads all Services and EndpointSlices.
    pub(crate) fn build(
        index: &Index<'r>,
        gateways: &Gateways<'r>,
        workloads: &Workloads<'r>,
        mut clusters: Clusters<'_, 'r>,
        report: &mut Report,
    ) -> Self {
        let slices = slices(index);
        let mut services = Self::default();
        for &object in index.all("Service") {
            let Body::Service(service) = &object.body else { continue };
            let (namespace, name) = (&object.meta.namespace, &object.meta.name);
            let used = gateways.used_by(Addressed::Service, &object.meta, |why| {
                report.warning(object, "metadata.labels", why);
            });
            let mut entry = Entry {
                object,
                service,
                clusters: Vec::with_capacity(service.ports.len()),
                subsets: Vec::new(),
                gateways: used,
            };
            let slices = slices.get(&(&**namespace, &**name));
            let mut named = entry.named(gateways.namespace());
            for port in &service.ports {
                let addresses = match slices {
                    Some(slices) => from_slices(slices, port),
                    None => from_pods(namespace, service, port, workloads),
                };
                (named.port, named.protocol) = (port.port, port.protocol);
                let OfPort { whole, subsets } = clusters.of_port(&named, &addresses);
                entry.clusters.push(whole);
                entry.subsets.extend(subsets);
            }
            services.by_name.insert((namespace, name), services.all.len());
            services.all.push(entry);
        }
        clusters.finish();
        services
    }

    /// The cluster of a subset of a Service's port.
    #[allow(dead_code)] // for VirtualServices, which are being built
    pub(crate) fn subset(&self, namespace: &str, name: &str, port: u16, subset: &str) -> Option<ClusterId> {
        let (_, entry) = self.get(namespace, name)?;
        let is_it = |cluster: &Cluster| cluster.port == port && cluster.subset.as_deref() == Some(subset);
        let mut subsets = entry.subsets.iter();
        subsets.find(|(_, cluster)| is_it(cluster)).map(|(id, _)| *id)
    }

    /// A Service by name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<(usize, &Entry<'r>)> {
        let number = *self.by_name.get(&(namespace, name))?;
        Some((number, self.all.get(number)?))
    }

    /// All Services, numbered.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Entry<'r>)> {
        self.all.iter().enumerate()
    }

    /// Hands over to the snapshot: every cluster, and a [`ServicePort`] for each port that is ours.
    pub(crate) fn finish(
        self,
        mut routes: Routes<'_, 'r>,
        mut virtual_services: VirtualServices<'r>,
        policies: Policies<'r>,
        report: &mut Report,
        builder: &mut Builder,
    ) {
        for (number, entry) in self.all.iter().enumerate() {
            for (id, cluster) in entry.clusters.iter().chain(&entry.subsets) {
                builder.cluster(*id, Arc::clone(cluster));
            }
            if entry.gateways.is_empty() {
                continue;
            }
            let (authn, judges) = policies.of(number);
            for (port, (id, cluster)) in entry.service.ports.iter().zip(&entry.clusters) {
                let (producer, consumers) = routes.tables(number, entry, port, *id, report);
                let producer = virtual_services.shape(&self, number, entry, port, producer, report);
                let service_port = Arc::new(ServicePort {
                    host: Arc::clone(&cluster.host),
                    name: Arc::clone(&cluster.name),
                    namespace: Arc::clone(&cluster.namespace),
                    port: cluster.port,
                    judged_at: None,
                    protocol: port.protocol,
                    cluster: Target::Cluster(*id),
                    authn: Arc::clone(&authn),
                    policies: Arc::clone(&judges),
                    bound: policies.names(number),
                    producer,
                    consumers,
                });
                builder.endpoints(&service_port, &cluster.endpoints, entry.service.vips.first().copied());
                if let Some(taken) = builder.service_port(service_port, &entry.service.vips) {
                    report.error(
                        entry.object,
                        "spec.clusterIP",
                        format!("{taken} already has this address and port"),
                    );
                }
            }
        }
    }
}

type Slices<'r> = HashMap<(&'r str, &'r str), Vec<&'r EndpointSlice>>;

fn slices<'r>(index: &Index<'r>) -> Slices<'r> {
    let mut slices = Slices::new();
    for &object in index.all("EndpointSlice") {
        let Body::EndpointSlice(slice) = &object.body else {
            continue;
        };
        if let Some(service) = object.meta.labels.get(SERVICE_NAME) {
            slices
                .entry((&*object.meta.namespace, service))
                .or_default()
                .push(slice);
        }
    }
    slices
}

/// Ready addresses at the slice port of the Service port's name.
fn from_slices(slices: &[&EndpointSlice], port: &Port) -> Vec<Address> {
    let addresses = slices.iter().flat_map(|slice| {
        let target = slice
            .ports
            .iter()
            .find(|(name, _)| *name == *port.name)
            .map(|(_, number)| *number);
        target
            .into_iter()
            .flat_map(|target| slice.ready.iter().map(move |ip| SocketAddr::new(*ip, target)))
    });
    unique(addresses)
}

/// For manifests without EndpointSlices: the ready Pods that the selector names.
fn from_pods<'r>(namespace: &'r str, service: &'r Service, port: &Port, workloads: &Workloads<'r>) -> Vec<Address> {
    if service.selector.is_empty() {
        return Vec::new();
    }
    let pods = workloads.selected(namespace, &service.selector).filter(|pod| pod.ready);
    let addresses = pods.filter_map(|pod| {
        let target = match &port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => pod.ports.iter().find(|(known, _)| known == name)?.1,
        };
        Some(SocketAddr::new(*pod.ips.first()?, target))
    });
    unique(addresses)
}

fn unique(addresses: impl Iterator<Item = SocketAddr>) -> Vec<Address> {
    let mut seen: HashSet<SocketAddr> = HashSet::new();
    addresses
        .filter(|address| seen.insert(*address))
        .map(|socket| Address { socket, weight: 1 })
        .collect()
}
