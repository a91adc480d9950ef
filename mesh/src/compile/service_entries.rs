//! ServiceEntries: served like Services, by their hosts and addresses. What is resolved by DNS is only named here.
//!
//! Each host is a face of its own: Istio makes a cluster for each host and port. An entry of resolution NONE has a face
//! for each address instead, for its connections go where their client wanted to go.

use super::Report;
use super::clusters::{Address, Clusters, Named, OfPort, OfSubset};
use super::gateways::{Addressed, Gateways};
use super::origination::Spoken;
use super::services::{Entry, PortClusters, Services};
use super::workloads::Workloads;
use crate::kinds::Body;
use crate::kinds::destination_rule::Subset;
use crate::kinds::service::{Distribution, Port, TargetPort};
use crate::kinds::service_entry::{Host, Resolution, ServiceEntry};
use crate::kinds::workload_entry as kinds;
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot::{self, Builder, Name, Resolve, Wildcard};
use request::Workload;
use routing::{Cluster, ClusterId, Protocol};
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One host of a ServiceEntry, as it is served.
#[derive(Debug)]
pub(crate) struct Face {
    /// The host.
    pub(crate) host: Host,
    /// Its addresses.
    pub(crate) vips: Vec<IpAddr>,
    /// Clusters, port by port as in the spec.
    pub(crate) clusters: PortClusters,
    /// Those of them with endpoints in DNS.
    resolves: Vec<(ClusterId, Arc<Resolve>)>,
    /// Clusters of the subsets that a DestinationRule names, of all ports.
    pub(crate) subsets: PortClusters,
}

/// Reads all ServiceEntries, the oldest first: it keeps a host or an address that others want too.
pub(crate) fn build<'r>(
    index: &Index<'r>,
    gateways: &Gateways<'r>,
    workloads: &Workloads<'r>,
    clusters: &mut Clusters<'_, 'r>,
    services: &mut Services<'r>,
    report: &mut Report,
) {
    let mut objects: Vec<(&'r Arc<Object>, &'r ServiceEntry)> = Vec::new();
    for &object in index.all("ServiceEntry") {
        if let Body::ServiceEntry(entry) = &object.body {
            objects.push((object, entry));
        }
    }
    objects.sort_by_key(|(object, _)| {
        let meta = &object.meta;
        (meta.created.unwrap_or(i64::MAX), &meta.namespace, &meta.name)
    });
    for (object, entry) in objects {
        let used = gateways.used_by(Addressed::Service, &object.meta, |why| {
            report.warning(object, "metadata.labels", why);
        });
        let own = used.first().map(|gateway| &gateway.meta.namespace);
        let waypoint = own.or(gateways.namespace()).unwrap_or(&object.meta.namespace);
        let mut compiler = EntryCompiler {
            object,
            entry,
            waypoint,
            workloads,
            clusters: &mut *clusters,
            told: HashSet::new(),
        };
        let faces = compiler.faces(report);
        services.push(Entry {
            object,
            service: &entry.service,
            clusters: faces.first().map(|face| face.clusters.clone()).unwrap_or_default(),
            subsets: Vec::new(),
            gateways: used,
            faces,
        });
    }
}

impl Face {
    /// Hands its clusters over to the snapshot: routes of others may lead to them, whoever serves the entry.
    pub(crate) fn clusters(&self, builder: &mut Builder) {
        for (id, cluster) in self.clusters.iter().chain(&self.subsets) {
            builder.cluster(*id, Arc::clone(cluster));
        }
        for (id, resolve) in &self.resolves {
            builder.resolve(*id, Arc::clone(resolve));
        }
    }
}

/// Compiles one ServiceEntry.
struct EntryCompiler<'c, 'a, 'r> {
    object: &'r Object,
    entry: &'r ServiceEntry,
    /// Namespace of the waypoint.
    waypoint: &'c Arc<str>,
    workloads: &'c Workloads<'r>,
    clusters: &'c mut Clusters<'a, 'r>,
    /// Subsets that nothing is of.
    told: HashSet<*const Subset>,
}

type Labels<'r> = &'r BTreeMap<String, String>;

/// Something that serves an entry: at an address or a name, at the port of each name.
struct Server<'r> {
    address: kinds::Address,
    ports: Option<&'r BTreeMap<String, u16>>,
    weight: u32,
    /// Who is at the address, when that was told with it.
    told: Option<&'r Arc<Workload>>,
    /// Of who is at a name; who is at an address is known by it.
    workload: Arc<Workload>,
    /// Its own labels; `None`: those of who is at its address.
    labels: Option<Labels<'r>>,
}

impl<'r> EntryCompiler<'_, '_, 'r> {
    fn faces(&mut self, report: &mut Report) -> Vec<Face> {
        let entry = self.entry;
        let servers = self.servers();
        let mut faces = Vec::new();
        for (place, host) in entry.hosts.iter().enumerate() {
            let vips = vips(entry, host, place == 0);
            if entry.resolution != Resolution::None {
                faces.push(self.face(host, vips, servers.as_deref(), report));
                continue;
            }
            for vip in vips {
                faces.push(self.face(host, vec![vip], Some(&[Server::at(vip)]), report));
            }
        }
        let by_host = servers.is_none() && entry.resolution != Resolution::None;
        if by_host && entry.hosts.len() > 1 && !entry.service.vips.is_empty() {
            let message = "several hosts share these addresses, and each is looked up by itself: \
                           connections to the addresses go to the first host";
            report.warning(self.object, "spec.addresses", message);
        }
        faces
    }

    /// Who serves; `None`: whoever is at the host itself.
    fn servers(&self) -> Option<Vec<Server<'r>>> {
        let entry = self.entry;
        if !entry.service.selector.is_empty() {
            return Some(self.selected());
        }
        let by_dns = !matches!(entry.resolution, Resolution::Static | Resolution::None);
        if entry.endpoints.is_empty() && by_dns {
            return None;
        }
        let host = entry.hosts.iter().find_map(Host::exact);
        let servers = entry.endpoints.iter().filter_map(|instance| {
            let address = match (&instance.address, host) {
                (Some(address), _) => address.clone(),
                (None, Some(host)) if by_dns => kinds::Address::Name(Arc::clone(host)),
                _ => return None,
            };
            Some(Server {
                address,
                ports: Some(&instance.ports),
                weight: instance.weight.max(1),
                told: None,
                workload: Arc::default(),
                labels: Some(&instance.labels).filter(|labels| !labels.is_empty()),
            })
        });
        Some(servers.collect())
    }

    /// Ready Pods and WorkloadEntries with the labels of the selector.
    fn selected(&self) -> Vec<Server<'r>> {
        let (namespace, selector) = (&self.object.meta.namespace, &self.entry.service.selector);
        let entries = self.workloads.entries_selected(namespace, selector).filter_map(|one| {
            Some(Server {
                address: one.instance.address.clone()?,
                ports: Some(&one.instance.ports),
                weight: one.instance.weight.max(1),
                told: None,
                workload: Arc::clone(&one.workload),
                labels: Some(one.labels()),
            })
        });
        let mut servers: Vec<Server<'r>> = entries.collect();
        let pods = self.workloads.ready(namespace, selector);
        servers.extend(pods.into_iter().map(Server::at));
        servers.extend(self.discovered());
        servers
    }

    /// What istiod tells to serve a host of it: all hosts have the same.
    fn discovered(&self) -> impl Iterator<Item = Server<'r>> + '_ {
        let namespace = &self.object.meta.namespace;
        let told = self.entry.hosts.iter().map(Host::text);
        let told = told.map(|host| self.workloads.serving(namespace, host.trim_start_matches("*.")));
        let told = told.max_by_key(|told| told.len()).unwrap_or_default().iter();
        told.filter(|(one, _)| one.is_healthy).filter_map(|(one, labels)| {
            Some(Server {
                told: Some(&one.workload),
                weight: one.weight,
                labels: Some(labels),
                ..Server::at(one.ip()?)
            })
        })
    }

    fn face(&mut self, host: &Host, vips: Vec<IpAddr>, servers: Option<&[Server<'r>]>, report: &mut Report) -> Face {
        let mut named = self.named(host, &vips);
        let mut face = Face {
            host: host.clone(),
            vips,
            clusters: Vec::new(),
            resolves: Vec::new(),
            subsets: Vec::new(),
        };
        for port in &self.entry.service.ports {
            let (addresses, names) = places(servers, host, port, self.workloads);
            named.of_port(port);
            let OfPort { whole, subsets, spoken } = self.clusters.of_port(&named, &addresses);
            let is_at_host = servers.is_none();
            let all = names.iter().map(|(name, _)| name.clone());
            let all = self.spoken_to(all, &named.host, &spoken);
            if let Some(resolve) = self.resolve(host, port, &whole.1, all, is_at_host, &spoken) {
                face.resolves.push((whole.0, Arc::new(resolve)));
            }
            for one in subsets {
                // Whoever is at the host itself has no labels.
                let is_at_host = is_at_host && one.subset.selects(None);
                let of_subset = names.iter().filter(|(_, labels)| one.subset.selects(*labels));
                let of_subset = of_subset.map(|(name, _)| name.clone());
                let of_subset = self.spoken_to(of_subset, &named.host, &one.spoken);
                let (id, cluster) = one.cluster.clone();
                match self.resolve(host, port, &cluster, of_subset, is_at_host, &one.spoken) {
                    Some(resolve) => face.resolves.push((id, Arc::new(resolve))),
                    None if cluster.endpoints.is_empty() => self.tell_of_nobody(&one, report),
                    None => {}
                }
                face.subsets.push((id, cluster));
            }
            face.clusters.push(whole);
        }
        face
    }

    /// A subset that nothing is of, and where nothing comes and goes by itself.
    fn tell_of_nobody(&mut self, one: &OfSubset<'r>, report: &mut Report) {
        let is_fixed = self.entry.service.selector.is_empty() && self.entry.resolution != Resolution::None;
        if is_fixed && !one.subset.selects(None) && self.told.insert(one.subset) {
            let message = format!(
                "no endpoint of {} has these labels (those of its `endpoints` count): the subset answers 503",
                self.object
            );
            report.warning(one.rule, format!("spec.subsets[{}].labels", one.subset.index), message);
        }
    }

    /// How the clusters of a face are called. No Service has such a key.
    fn named(&self, host: &Host, vips: &[IpAddr]) -> Named {
        let (name, host) = (&self.object.meta.name, host.text());
        Named {
            key: match (self.entry.resolution, vips.first()) {
                (Resolution::None, Some(vip)) => Arc::from(format!("{name}/{host}/{vip}")),
                _ => Arc::from(format!("{name}/{host}")),
            },
            name: Arc::clone(&host),
            host,
            namespace: Arc::clone(&self.object.meta.namespace),
            port: 0,
            protocol: Protocol::Detect,
            waypoint: Arc::clone(self.waypoint),
            distribution: Distribution::Any,
            kind: "ServiceEntry",
            object: Arc::clone(name),
            port_name: Arc::default(),
            sans: self.entry.sans.as_slice().into(),
        }
    }

    /// The names, with what is spoken to who is there.
    fn spoken_to(&self, names: impl Iterator<Item = Name>, host: &Arc<str>, spoken: &Spoken) -> Vec<Name> {
        if !spoken.reaches_names() {
            return Vec::new();
        }
        let tls = spoken.with(host);
        let names = names.map(|name| Name {
            tls: tls.clone(),
            ..name
        });
        names.collect()
    }

    /// Where the endpoints of a cluster are looked up, when some are.
    fn resolve(
        &self,
        host: &Host,
        port: &Port,
        cluster: &Arc<Cluster>,
        names: Vec<Name>,
        is_at_host: bool,
        spoken: &Spoken,
    ) -> Option<Resolve> {
        match host {
            Host::Below(suffix) if is_at_host => {
                // Another resolution cannot look a wildcard up: it has no endpoints, which was told.
                let is_dynamic = self.entry.resolution == Resolution::DynamicDns && spoken.reaches_names();
                is_dynamic.then(|| {
                    Resolve::Below(Wildcard {
                        cluster: Arc::clone(cluster),
                        suffix: Arc::clone(suffix),
                        port: target(port),
                        tls: spoken.tls().cloned(),
                    })
                })
            }
            _ if names.is_empty() => None,
            _ => Some(Resolve::Names(snapshot::Named {
                cluster: Arc::clone(cluster),
                names,
                first_only: self.entry.resolution == Resolution::DnsRoundRobin,
            })),
        }
    }
}

impl Server<'_> {
    fn at(ip: IpAddr) -> Self {
        Self {
            address: kinds::Address::Ip(ip),
            ports: None,
            weight: 1,
            told: None,
            workload: Arc::default(),
            labels: None,
        }
    }
}

/// The addresses of a face's endpoints on a port, and the names of those that have to be looked up.
fn places<'r>(
    servers: Option<&[Server<'r>]>,
    host: &Host,
    port: &Port,
    workloads: &Workloads<'r>,
) -> (Vec<Address<'r>>, Vec<(Name, Option<Labels<'r>>)>) {
    let (mut addresses, mut names) = (Vec::new(), Vec::new());
    match (servers, host) {
        (None, Host::Exact(name)) => {
            let name = Name {
                name: Arc::clone(name),
                port: target(port),
                workload: Arc::default(),
                tls: None,
            };
            names.push((name, None));
        }
        (None, Host::Below(_)) => {}
        (Some(servers), _) => {
            for server in servers {
                let own = server.ports.and_then(|ports| ports.get(&*port.name));
                let at = own.copied().unwrap_or_else(|| target(port));
                match &server.address {
                    kinds::Address::Ip(ip) => addresses.push(Address {
                        socket: SocketAddr::new(*ip, at),
                        weight: server.weight,
                        place: workloads.complete(workloads.place(*ip)),
                        labels: server.labels.or_else(|| workloads.labels(*ip)),
                        workload: server.told,
                        gateway: None,
                    }),
                    kinds::Address::Name(name) => {
                        let name = Name {
                            name: Arc::clone(name),
                            port: at,
                            workload: Arc::clone(&server.workload),
                            tls: None,
                        };
                        names.push((name, server.labels));
                    }
                }
            }
        }
    }
    addresses.sort_by_key(|address| address.socket);
    addresses.dedup_by_key(|address| address.socket);
    (addresses, names)
}

fn target(port: &Port) -> u16 {
    match port.target {
        TargetPort::Number(number) => number,
        TargetPort::Name(_) => port.port,
    }
}

/// The addresses of a host: the spec's are the first host's, allocated ones say whose they are.
fn vips(entry: &ServiceEntry, host: &Host, is_first: bool) -> Vec<IpAddr> {
    let text = host.text();
    let allocated = entry.allocated.iter().filter(|(of, _)| match of {
        Some(of) => **of == *text,
        None => is_first,
    });
    let mut vips: Vec<IpAddr> = allocated.map(|(_, ip)| *ip).collect();
    if is_first {
        vips.extend(&entry.service.vips);
    }
    vips
}
