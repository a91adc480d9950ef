//! The compiled config: immutable, published by `ArcSwap`, held by every request from start to end.

mod cluster_dump;
mod dump;
mod pod;
mod pod_endpoint;
mod resolve;

use crate::compile::Place;
use crate::kinds::service_entry::{Exports, Host};
use crate::kinds::traffic_policy::Locality;
use authz::{Authn, KeySource, Policies, TrustDomains};
pub(crate) use pod::{PodTarget, implicit, is_implicit};
use pod_endpoint::PodEndpoints;
use request::{Authority, Mode, ServiceName, SpiffeId, Workload};
pub use resolve::{Name, Named, Resolve, Wildcard};
use routing::{Cluster, ClusterId, ExternalAuth, Protocol, RetryBudget, Rule, Table, Target};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use telemetry::Plan;

/// Everything a request can ask of the config.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows by one with each published snapshot; 0 is the empty one before the first compile.
    pub generation: u64,
    /// Mesh-wide settings.
    pub settings: Settings,
    ports: Vec<Arc<ServicePort>>,
    by_address: HashMap<(IpAddr, u16), Arc<ServicePort>>,
    /// By `name.namespace`.
    by_host: HashMap<Box<str>, Vec<Arc<ServicePort>>>,
    /// By a host of a ServiceEntry.
    by_entry_host: HashMap<Arc<str>, Vec<Arc<ServicePort>>>,
    /// By what stands behind `*.` in a host of a ServiceEntry.
    by_wildcard: HashMap<Arc<str>, Vec<Arc<ServicePort>>>,
    /// Pods that are served by their own address.
    pods: HashMap<IpAddr, Arc<PodTarget>>,
    /// Endpoints of Services that are ours: indexed when a pod is first addressed by itself, which is rare.
    endpoints: OnceLock<PodEndpoints>,
    clusters: Vec<Option<Arc<Cluster>>>,
    /// Clusters with endpoints in DNS.
    resolves: BTreeMap<ClusterId, Arc<Resolve>>,
    retry_budgets: HashMap<ClusterId, Arc<RetryBudget>>,
    workloads: HashMap<IpAddr, Arc<Workload>>,
    identities: HashMap<SpiffeId, Arc<Workload>>,
    /// Gateways of other networks.
    gateways: HashSet<(SocketAddr, SpiffeId)>,
    key_sources: Vec<KeySource>,
}

/// Mesh-wide settings (MeshConfig).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Trust domain and aliases.
    pub trust: TrustDomains,
    /// `rootNamespace`, default `istio-system`.
    pub root_namespace: String,
    /// `pathNormalization.normalization`.
    pub path_mode: Mode,
    /// Access log to standard output, when MeshConfig's `accessLogFile` names a file: `TEXT` or `JSON`
    /// (`accessLogEncoding`).
    pub access_log: Option<String>,
    /// `defaultConfig.tracing.sampling`, per cent.
    pub trace_sampling_percent: Option<f64>,
    /// Whom CUSTOM policies may ask (`extensionProviders`), by name. What names another is denied.
    pub auth_providers: BTreeMap<Arc<str>, Arc<ExternalAuth>>,
    /// CUSTOM policies of one Service may ask several providers.
    pub several_providers: bool,
    /// What is told of requests that belong to no Service of ours.
    pub telemetry: Arc<Plan>,
    /// What the waypoint's Gateway says of clients.
    pub topology: Topology,
    /// `localityLbSetting`.
    pub(crate) locality: Option<Locality>,
    /// Where this waypoint runs, as far as it knows.
    pub(crate) place: Place,
}

/// What stands before the waypoint, and what endpoints are told of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// `numTrustedProxies`: so many entries of `x-forwarded-for`, from the right, are those of proxies; the one before
    /// them is the client.
    pub trusted_proxies: usize,
    /// What becomes of `x-forwarded-client-cert`.
    pub client_cert: ClientCert,
    /// Endpoints are told the client's address at the end of `x-forwarded-for`.
    pub tell_forwarded_for: bool,
    /// Endpoints are told the client's address at the end of `forwarded` (RFC 7239).
    pub tell_forwarded: bool,
}

/// What becomes of the `x-forwarded-client-cert` that a client sends (Istio's `ForwardClientCertDetails`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCert {
    /// It is removed.
    #[default]
    Remove,
    /// It passes as it is.
    Forward,
    /// The client's own identity is added to it.
    Append,
    /// The client's own identity takes its place.
    Set,
}

/// One port of one Service that is ours, or of one pod that is addressed by itself: all a tunnel to it needs.
#[derive(Debug)]
pub struct ServicePort {
    /// `<name>.<namespace>.svc.<domain>`; empty for a pod.
    pub host: Arc<str>,
    /// Service name; empty for a pod.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Service port, or the pod's.
    pub port: u16,
    /// The destination address that policies see, where it is not the one of the CONNECT.
    pub judged_at: Option<IpAddr>,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Its own endpoints: see [`Snapshot::endpoints_of`].
    pub cluster: Target,
    /// RequestAuthentications. The same `Arc` as long as nothing changes in them, so that token caches last.
    pub authn: Arc<Authn>,
    /// AuthorizationPolicies.
    pub policies: Arc<Policies>,
    /// What is told of its requests. The same `Arc` as long as that does not change.
    pub telemetry: Arc<Plan>,
    /// `AuthorizationPolicy default/x`: what binds here, by name.
    pub(crate) bound: Vec<String>,
    pub(crate) producer: Arc<Table>,
    /// By client namespace.
    pub(crate) consumers: BTreeMap<Box<str>, Arc<Table>>,
    /// Some route asks an external authoriser, or may.
    pub(crate) asks: bool,
    /// `exportTo` of a ServiceEntry.
    pub(crate) exports: Exports,
}

impl ServicePort {
    /// The table for clients of this namespace: a consumer route replaces the producer's for its own namespace.
    pub fn routes(&self, client_namespace: &str) -> &Table {
        // Few Services have consumer routes at all.
        if self.consumers.is_empty() {
            return &self.producer;
        }
        self.consumers.get(client_namespace).unwrap_or(&self.producer)
    }

    /// Whether clients of this namespace have routes of their own, in place of the Service's.
    pub fn has_routes_of(&self, client_namespace: &str) -> bool {
        self.consumers.contains_key(client_namespace)
    }

    /// Whether clients of this namespace may come (`exportTo` of a ServiceEntry).
    pub fn is_visible_to(&self, client_namespace: &str) -> bool {
        self.exports.reach(client_namespace, &self.namespace)
    }

    /// The rules of all its tables: a rule that shapes several of them comes several times.
    pub fn all_rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let tables = std::iter::once(&self.producer).chain(self.consumers.values());
        tables.flat_map(|table| table.rules())
    }

    /// The rules of that table, route by route, for people to read.
    pub fn rules(&self, client_namespace: &str) -> Vec<&Arc<Rule>> {
        self.routes(client_namespace).rules().collect()
    }
}

impl Snapshot {
    /// The port a CONNECT authority names (VIP:port, host:port, or pod IP:port), when it is ours to serve. Hosts are
    /// `name.namespace`, with or without `.svc` and `.svc.cluster.local`, or a host of a ServiceEntry, or a name below
    /// its wildcard (the longest). A pod is ours by its own address when its waypoint is for workloads
    /// (`istio.io/waypoint-for: workload` or `all`): then every port of it is. Else its ports are that are endpoints of
    /// Services of ours, unless these Services judge differently.
    pub fn target(&self, authority: &Authority) -> Option<Arc<ServicePort>> {
        let port = authority.port()?;
        if let Some(ip) = authority.ip().map(|ip| ip.to_canonical()) {
            if let Some(service) = self.by_address.get(&(ip, port)) {
                return Some(Arc::clone(service));
            }
            return match self.pods.get(&ip) {
                Some(pod) => Some(pod.port(ip, port)),
                None => self.endpoints.get_or_init(|| PodEndpoints::of(self)).port(ip, port),
            };
        }
        let host = authority.host();
        let name = host
            .strip_suffix(".svc.cluster.local")
            .or_else(|| host.strip_suffix(".svc"))
            .unwrap_or(host);
        let with_port = |ports: &Vec<Arc<ServicePort>>| ports.iter().find(|service| service.port == port).cloned();
        let exact = [self.by_host.get(name), self.by_entry_host.get(host)];
        let exact = exact.into_iter().flatten().find_map(with_port);
        exact.or_else(|| {
            let above = std::iter::successors(Some(host), |host| Some(host.split_once('.')?.1)).skip(1);
            above
                .filter_map(|suffix| self.by_wildcard.get(suffix))
                .find_map(with_port)
        })
    }

    /// The addresses of a Service port, in order. For people: it looks at all there are.
    pub fn addresses(&self, port: &ServicePort) -> Vec<IpAddr> {
        let own = self
            .by_address
            .iter()
            .filter(|(_, service)| std::ptr::eq(&***service, port));
        let mut addresses: Vec<IpAddr> = own.map(|((ip, _), _)| *ip).collect();
        addresses.sort_unstable();
        addresses
    }

    /// Where the endpoints of a target are to be looked up, when they are not in its cluster.
    pub fn resolve(&self, target: &Target) -> Option<&Arc<Resolve>> {
        match target {
            Target::Cluster(id) => self.resolves.get(id),
            _ => None,
        }
    }

    /// Every cluster with endpoints in DNS.
    pub fn resolves(&self) -> impl Iterator<Item = (ClusterId, &Arc<Resolve>)> {
        self.resolves.iter().map(|(id, resolve)| (*id, resolve))
    }

    /// Where a backend, or a port's own `cluster`, leads.
    pub fn endpoints_of<'a>(&'a self, target: &'a Target) -> Option<&'a Arc<Cluster>> {
        match target {
            Target::Cluster(id) => self.cluster(*id),
            Target::Direct(cluster) => Some(cluster),
            Target::Invalid => None,
        }
    }

    /// The Service port that a backend leads to, as telemetry names it; `None` for a pod by its own address.
    pub fn service_of<'a>(&'a self, target: &'a Target) -> Option<(&'a Arc<ServiceName>, u16)> {
        let cluster = self.endpoints_of(target)?;
        (!cluster.service.host.is_empty()).then_some((&cluster.service, cluster.port))
    }

    /// A cluster by the id that backends hold.
    pub fn cluster(&self, id: ClusterId) -> Option<&Arc<Cluster>> {
        self.clusters.get(usize::try_from(id.0).ok()?)?.as_ref()
    }

    /// How many requests to where a backend leads may be retries, where that is limited.
    pub fn retry_budget(&self, target: &Target) -> Option<&Arc<RetryBudget>> {
        match target {
            Target::Cluster(id) if !self.retry_budgets.is_empty() => self.retry_budgets.get(id),
            _ => None,
        }
    }

    /// The workload with this address.
    pub fn workload(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workloads.get(&ip.to_canonical())
    }

    /// Whether endpoints are reached through this gateway.
    pub fn is_gateway(&self, address: SocketAddr, identity: &SpiffeId) -> bool {
        !self.gateways.is_empty() && self.gateways.contains(&(address, identity.clone()))
    }

    /// Some workload with this identity (for telemetry, when the address is unknown).
    pub fn workload_by_identity(&self, id: &SpiffeId) -> Option<&Arc<Workload>> {
        self.identities.get(id)
    }

    /// All Service ports that are ours, by namespace, name and port.
    pub fn service_ports(&self) -> &[Arc<ServicePort>] {
        &self.ports
    }

    /// Every cluster there is.
    pub fn clusters(&self) -> impl Iterator<Item = (ClusterId, &Arc<Cluster>)> {
        let numbered = self.clusters.iter().enumerate();
        numbered.filter_map(|(id, cluster)| Some((ClusterId(u32::try_from(id).ok()?), cluster.as_ref()?)))
    }

    /// The JWKS URIs (or issuers to discover) that some Service of ours needs, each once, in order.
    pub fn key_sources(&self) -> &[KeySource] {
        &self.key_sources
    }

    /// A readable dump for `/config_dump`: no key, no token. `now_ms` is of the clock that health is kept by.
    pub fn dump(&self, now_ms: u64) -> serde_json::Value {
        dump::dump(self, now_ms)
    }
}

/// Puts a snapshot together.
#[derive(Debug)]
pub(crate) struct Builder {
    snapshot: Snapshot,
    pub(crate) workloads: HashMap<IpAddr, Arc<Workload>>,
    pub(crate) identities: HashMap<SpiffeId, Arc<Workload>>,
}

impl Builder {
    pub(crate) fn new(generation: u64, settings: Settings) -> Self {
        let snapshot = Snapshot {
            generation,
            settings,
            ..Snapshot::default()
        };
        Self {
            snapshot,
            workloads: HashMap::new(),
            identities: HashMap::new(),
        }
    }

    /// All budgets there are.
    pub(crate) fn retry_budgets(&mut self, budgets: HashMap<ClusterId, Arc<RetryBudget>>) {
        self.snapshot.retry_budgets = budgets;
    }

    pub(crate) fn cluster(&mut self, id: ClusterId, cluster: Arc<Cluster>) {
        let Ok(place) = usize::try_from(id.0) else { return };
        for endpoint in &cluster.endpoints {
            if let Some(gateway) = &endpoint.gateway {
                let known = (endpoint.address, gateway.identity.clone());
                self.snapshot.gateways.insert(known);
            }
        }
        if self.snapshot.clusters.len() <= place {
            self.snapshot.clusters.resize(place + 1, None);
        }
        if let Some(slot) = self.snapshot.clusters.get_mut(place) {
            *slot = Some(cluster);
        }
    }

    /// Adds a Service port; gives back the host of the one that has an address of it already (which keeps it).
    pub(crate) fn service_port(&mut self, service: Arc<ServicePort>, vips: &[IpAddr]) -> Option<Arc<str>> {
        let taken = self.addresses(&service, vips);
        let host = service.host.strip_suffix(".svc.cluster.local");
        let host = host.unwrap_or(&service.host);
        self.snapshot
            .by_host
            .entry(Box::from(host))
            .or_default()
            .push(Arc::clone(&service));
        self.snapshot.ports.push(service);
        taken
    }

    /// Adds a port of a ServiceEntry, found by its host; gives back as [`Self::service_port`] does.
    pub(crate) fn entry_port(&mut self, service: Arc<ServicePort>, host: &Host, vips: &[IpAddr]) -> Option<Arc<str>> {
        let taken = self.addresses(&service, vips);
        let (hosts, name) = match host {
            Host::Exact(name) => (&mut self.snapshot.by_entry_host, name),
            Host::Below(suffix) => (&mut self.snapshot.by_wildcard, suffix),
        };
        hosts.entry(Arc::clone(name)).or_default().push(Arc::clone(&service));
        self.snapshot.ports.push(service);
        taken
    }

    /// Says where the endpoints of a cluster are looked up.
    pub(crate) fn resolve(&mut self, id: ClusterId, resolve: Arc<Resolve>) {
        self.snapshot.resolves.insert(id, resolve);
    }

    fn addresses(&mut self, service: &Arc<ServicePort>, vips: &[IpAddr]) -> Option<Arc<str>> {
        let mut taken = None;
        for vip in vips {
            let first = self
                .snapshot
                .by_address
                .entry((*vip, service.port))
                .or_insert_with(|| Arc::clone(service));
            if !Arc::ptr_eq(first, service) {
                taken = Some(Arc::clone(&first.host));
            }
        }
        taken
    }

    /// Adds a pod that is served by its own address.
    pub(crate) fn pod(&mut self, ip: IpAddr, pod: Arc<PodTarget>) {
        self.snapshot.pods.entry(ip).or_insert(pod);
    }

    pub(crate) fn finish(self) -> Snapshot {
        let Self {
            mut snapshot,
            workloads,
            identities,
        } = self;
        snapshot.workloads = workloads;
        snapshot.identities = identities;
        let key = |port: &ServicePort| (Arc::clone(&port.namespace), Arc::clone(&port.name), port.port);
        snapshot.ports.sort_by_cached_key(|port| key(port));
        let mut seen = HashSet::new();
        // Pods of one waypoint share what binds to it.
        let mut pods: Vec<&Arc<PodTarget>> = snapshot.pods.values().collect();
        pods.sort_by_key(|pod| Arc::as_ptr(&pod.authn));
        pods.dedup_by_key(|pod| Arc::as_ptr(&pod.authn));
        let authn = snapshot.ports.iter().map(|port| &port.authn);
        let authn = authn.chain(pods.into_iter().map(|pod| &pod.authn));
        let sources = authn.flat_map(|authn| authn.key_sources());
        snapshot.key_sources = sources
            .filter(|source| seen.insert(Arc::clone(&source.id)))
            .cloned()
            .collect();
        snapshot
    }
}
