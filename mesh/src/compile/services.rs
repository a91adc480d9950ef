//! Services: their clusters (ports with endpoints), and which of them are ours to serve.

use super::Report;
use super::clusters::{self, Clusters, Named, OfPort};
use super::endpoints::Slices;
use super::gateways::{Addressed, Gateways};
use super::policies::Policies;
use super::routes::Routes;
use super::service_entries::{self, Face};
use super::virtual_services::VirtualServices;
use super::workloads::Workloads;
use crate::kinds::Body;
use crate::kinds::service::{Distribution, Service};
use crate::kinds::service_entry::Exports;
use crate::object::Object;
use crate::resources::{Index, Name};
use crate::snapshot::{Builder, ServicePort};
use request::Workload;
use routing::{Cluster, ClusterId, Protocol, Target};
use std::collections::HashMap;
use std::sync::Arc;

/// For clusters that do not know the field.
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
/// What a Service's host name ends in.
pub(crate) const SERVICE_DOMAIN: &str = "svc.cluster.local";

/// Clusters, port by port as in the spec.
pub(crate) type PortClusters = Vec<(ClusterId, Arc<Cluster>)>;

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
    /// ServiceEntries, numbered after the Services.
    pub(crate) entries: HashMap<(&'r str, &'r str), usize>,
    /// By each exact host of a ServiceEntry.
    pub(crate) hosts: HashMap<Arc<str>, (usize, usize)>,
}

/// One Service, or one ServiceEntry.
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
    /// Of a ServiceEntry: its hosts as they are served. Empty for a Service.
    pub(crate) faces: Vec<Face>,
}

impl Entry<'_> {
    /// How its clusters are called; port and protocol are still to be set.
    fn named(&self, waypoint: Option<&Arc<str>>) -> Named {
        let (namespace, name) = (&self.object.meta.namespace, &self.object.meta.name);
        let own = self.gateways.first().map(|gateway| &gateway.meta.namespace);
        Named {
            host: Arc::from(format!("{name}.{namespace}.{SERVICE_DOMAIN}").to_ascii_lowercase()),
            name: Arc::clone(name),
            key: Arc::clone(name),
            namespace: Arc::clone(namespace),
            port: 0,
            protocol: Protocol::Detect,
            waypoint: Arc::clone(own.or(waypoint).unwrap_or(namespace)),
            distribution: Distribution::Any,
            kind: "Service",
            object: Arc::clone(name),
            port_name: Arc::default(),
            sans: Arc::default(),
        }
    }

    /// `exportTo`: whether routes of a namespace may lead here.
    pub(crate) fn is_exported_to(&self, namespace: &str) -> bool {
        match &self.object.body {
            Body::ServiceEntry(entry) => entry.exports.reach(namespace, &self.object.meta.namespace),
            _ => true,
        }
    }
}

impl<'r> Services<'r> {
    /// Reads all Services and EndpointSlices.
    pub(crate) fn build(
        index: &Index<'r>,
        gateways: &Gateways<'r>,
        workloads: &Workloads<'r>,
        clusters: &mut Clusters<'_, 'r>,
        report: &mut Report,
    ) -> Self {
        let slices = Slices::read(index);
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
                faces: Vec::new(),
            };
            let mut named = entry.named(gateways.namespace());
            named.distribution = distribution(object, service);
            let own = clusters.own().clone();
            let is_node_local = service.is_node_local && !own.node.is_empty();
            if service.is_node_local && !is_node_local && !entry.gateways.is_empty() {
                let message = "the node of this waypoint is not known (--node, or its Pod by POD_NAME): endpoints of \
                               all nodes are used";
                report.warning(object, "spec.internalTrafficPolicy", message);
            }
            for port in &service.ports {
                let mut addresses = slices.addresses(namespace, name, service, port, workloads);
                if is_node_local {
                    addresses.retain(|address| address.place.node == own.node);
                }
                (named.port, named.protocol) = (port.port, port.protocol);
                named.port_name = Arc::clone(&port.name);
                let OfPort { whole, subsets, .. } = clusters.of_port(&named, &addresses);
                entry.clusters.push(whole);
                entry.subsets.extend(subsets);
            }
            services.by_name.insert((namespace, name), services.all.len());
            services.all.push(entry);
        }
        services
    }

    /// The cluster of a subset of a port, of this host if it is a ServiceEntry's.
    pub(crate) fn subset(&self, entry: &Entry<'r>, host: &str, port: u16, subset: &str) -> Option<ClusterId> {
        let face = entry.faces.iter().find(|face| *face.host.text() == *host);
        let subsets = face.map_or(&entry.subsets, |face| &face.subsets);
        let is_it = |cluster: &Cluster| cluster.port == port && cluster.subset.as_deref() == Some(subset);
        let mut subsets = subsets.iter();
        subsets.find(|(_, cluster)| is_it(cluster)).map(|(id, _)| *id)
    }

    /// A Service by name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<(usize, &Entry<'r>)> {
        let number = *self.by_name.get(&(namespace, name))?;
        Some((number, self.all.get(number)?))
    }

    /// A Service or a ServiceEntry by name. Neither kind stands for the other.
    pub(crate) fn of_kind(&self, kind: &str, namespace: &str, name: &str) -> Option<(usize, &Entry<'r>)> {
        let numbers = if kind == "ServiceEntry" {
            &self.entries
        } else {
            &self.by_name
        };
        let number = *numbers.get(&(namespace, name))?;
        Some((number, self.all.get(number)?))
    }

    /// What serves a host (Istio's backendRef kind `Hostname`), and its clusters: a Service by its full name, else a
    /// ServiceEntry.
    pub(crate) fn hostname(&self, host: &str) -> Option<(&Entry<'r>, &PortClusters)> {
        let host = host.to_ascii_lowercase();
        let service = host.strip_suffix(SERVICE_DOMAIN).and_then(|rest| {
            let (name, namespace) = rest.strip_suffix('.')?.split_once('.')?;
            self.get(namespace, name)
        });
        if let Some((_, entry)) = service {
            return Some((entry, &entry.clusters));
        }
        let (number, face) = self.hosts.get(&*host)?;
        let entry = self.all.get(*number)?;
        Some((entry, &entry.faces.get(*face)?.clusters))
    }

    /// Adds a ServiceEntry.
    pub(crate) fn push(&mut self, entry: Entry<'r>) {
        let (number, meta) = (self.all.len(), &entry.object.meta);
        self.entries.insert((&meta.namespace, &meta.name), number);
        for (place, face) in entry.faces.iter().enumerate() {
            if let Some(host) = face.host.exact() {
                self.hosts.entry(Arc::clone(host)).or_insert((number, place));
            }
        }
        self.all.push(entry);
    }

    /// A Service by its number.
    pub(crate) fn at(&self, number: usize) -> Option<&Entry<'r>> {
        self.all.get(number)
    }

    /// All Services, numbered.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Entry<'r>)> {
        self.all.iter().enumerate()
    }

    /// Hands over to the snapshot: every cluster, and a [`ServicePort`] for each port that is ours.
    pub(crate) fn finish(
        self,
        mut routes: Routes<'_, 'r>,
        mut virtual_services: VirtualServices<'_, 'r>,
        policies: Policies<'r>,
        report: &mut Report,
        builder: &mut Builder,
    ) {
        for (number, entry) in self.all.iter().enumerate() {
            for (id, cluster) in entry.clusters.iter().chain(&entry.subsets) {
                builder.cluster(*id, Arc::clone(cluster));
            }
            for face in &entry.faces {
                face.clusters(builder);
            }
            if entry.gateways.is_empty() {
                continue;
            }
            if !entry.faces.is_empty() {
                service_entries::finish(
                    &self,
                    (number, entry),
                    &mut routes,
                    &mut virtual_services,
                    &policies,
                    report,
                    builder,
                );
                continue;
            }
            let (authn, judges) = policies.of(number);
            for (port, (id, cluster)) in entry.service.ports.iter().zip(&entry.clusters) {
                let (producer, consumers) = routes.tables(number, entry, port, *id, report);
                let producer = virtual_services.shape(&self, &cluster.host, entry, port, producer, report);
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
                    exports: Exports::Everywhere,
                });
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

/// `spec.trafficDistribution`, else Istio's annotation of the same meaning.
fn distribution(object: &Object, service: &Service) -> Distribution {
    let annotated = object.meta.annotations.get(TRAFFIC_DISTRIBUTION);
    match service.distribution {
        Distribution::Any => annotated.and_then(|word| Distribution::parse(word)).unwrap_or_default(),
        spec => spec,
    }
}
