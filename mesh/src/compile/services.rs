//! Services: their clusters (ports with endpoints), and which of them are ours to serve.

use super::clusters::{Clusters, Named, OfPort};
use super::endpoints::{self, Slices};
use super::gateways::{Addressed, Gateways};
use super::service_entries::Face;
use super::workloads::Workloads;
use super::{Report, kept};
use crate::kinds::Body;
use crate::kinds::discovered::WORKLOAD;
use crate::kinds::service::{Distribution, Service};
use crate::object::Object;
use crate::resources::Index;
use routing::{Cluster, ClusterId, Protocol};
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

/// For clusters that do not know the field.
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
/// What a Service's host name ends in.
pub(crate) const SERVICE_DOMAIN: &str = "svc.cluster.local";

/// Clusters, port by port as in the spec.
pub(crate) type PortClusters = Vec<(ClusterId, Arc<Cluster>)>;

/// Clusters of a Service's ports, and of their subsets.
pub(crate) type Built = (PortClusters, PortClusters);

/// Kinds that the clusters of a Service do not depend on, but for the Service, its EndpointSlices and its workloads that
/// istiod tells.
pub(super) const FREE: &[&str] = &[
    "Service",
    "EndpointSlice",
    WORKLOAD,
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "TCPRoute",
    "ReferenceGrant",
    "VirtualService",
    "AuthorizationPolicy",
    "RequestAuthentication",
];

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
    pub(crate) clusters: PortClusters,
    /// Clusters of the subsets that a DestinationRule names, of all ports.
    pub(crate) subsets: PortClusters,
    /// Those of our Gateways that it uses; empty: not ours.
    pub(crate) gateways: Vec<&'r Object>,
    /// Of a ServiceEntry: its hosts as they are served. Empty for a Service.
    pub(crate) faces: Vec<Face>,
}

impl Entry<'_> {
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
        kept: &mut kept::Kept<Built>,
        report: &mut Report,
    ) -> Self {
        kept.begin(index);
        let slices = Slices::read(index);
        let mut services = Self::default();
        for &object in index.all("Service") {
            let Body::Service(service) = &object.body else { continue };
            let (namespace, name) = (&object.meta.namespace, &object.meta.name);
            let used = gateways.used_by(Addressed::Service, &object.meta, |why| {
                report.warning(object, "metadata.labels", why);
            });
            let mut builder = ServiceBuilder {
                object,
                service,
                named: named(object, used.first().copied(), gateways),
                slices: slices.of(namespace, name),
                workloads,
                clusters: &mut *clusters,
            };
            if builder.misses_node() && !used.is_empty() {
                let message = "the node of this waypoint is not known (--node, or its Pod by POD_NAME): endpoints of \
                               all nodes are used";
                report.warning(object, "spec.internalTrafficPolicy", message);
            }
            let (clusters, subsets) = builder.clusters(kept);
            services.by_name.insert((namespace, name), services.all.len());
            services.all.push(Entry {
                object,
                service,
                clusters,
                subsets,
                gateways: used,
                faces: Vec::new(),
            });
        }
        kept.finish();
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
}

/// Builds the clusters of one Service.
struct ServiceBuilder<'b, 'a, 'r> {
    object: &'r Arc<Object>,
    service: &'r Service,
    named: Named,
    slices: &'b [&'r Arc<Object>],
    workloads: &'b Workloads<'r>,
    clusters: &'b mut Clusters<'a, 'r>,
}

impl ServiceBuilder<'_, '_, '_> {
    /// Those of the compile before, when nothing changed that they depend on.
    fn clusters(&mut self, kept: &mut kept::Kept<Built>) -> Built {
        let (object, slices) = (self.object, self.slices);
        let mut is_new = false;
        let built = kept.outcome(object, slices, || {
            is_new = true;
            self.build()
        });
        let built = built.clone();
        if !is_new {
            self.again(&built);
        }
        built
    }

    fn build(&mut self) -> Built {
        let (mut all, mut of_subsets) = (Vec::with_capacity(self.service.ports.len()), Vec::new());
        let own = self.clusters.own().clone();
        let is_node_local = self.service.is_node_local && !self.misses_node();
        let meta = &self.object.meta;
        let name: (&str, &str) = (&meta.namespace, &meta.name);
        for port in &self.service.ports {
            let mut addresses = endpoints::addresses(self.slices, name, self.service, port, self.workloads);
            if is_node_local {
                addresses.retain(|address| address.place.node == own.node);
            }
            self.named.of_port(port);
            let OfPort { whole, subsets, .. } = self.clusters.of_port(&self.named, &addresses);
            all.push(whole);
            of_subsets.extend(subsets.into_iter().map(|one| one.cluster));
        }
        (all, of_subsets)
    }

    fn again(&mut self, (all, subsets): &Built) {
        for (port, whole) in self.service.ports.iter().zip(all) {
            self.named.of_port(port);
            let of_port = subsets.iter().filter(|(_, cluster)| cluster.port == port.port);
            self.clusters.again(&self.named, iter::once(whole).chain(of_port));
        }
    }

    /// Endpoints of the waypoint's own node are asked for, which is not known.
    fn misses_node(&self) -> bool {
        self.service.is_node_local && self.clusters.own().node.is_empty()
    }
}

/// How the clusters of a Service are called; the port is still to be told.
fn named(object: &Object, gateway: Option<&Object>, gateways: &Gateways<'_>) -> Named {
    let (namespace, name) = (&object.meta.namespace, &object.meta.name);
    let own = gateway.map(|gateway| &gateway.meta.namespace);
    let distribution = match &object.body {
        Body::Service(service) => distribution(object, service),
        _ => Distribution::Any,
    };
    Named {
        host: Arc::from(format!("{name}.{namespace}.{SERVICE_DOMAIN}").to_ascii_lowercase()),
        name: Arc::clone(name),
        key: Arc::clone(name),
        namespace: Arc::clone(namespace),
        port: 0,
        protocol: Protocol::Detect,
        waypoint: Arc::clone(own.or(gateways.namespace()).unwrap_or(namespace)),
        distribution,
        kind: "Service",
        object: Arc::clone(name),
        port_name: Arc::default(),
        sans: Arc::default(),
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
