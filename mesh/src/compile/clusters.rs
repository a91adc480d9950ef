//! Clusters: addresses and a policy become what requests are balanced over. Ids, load and health outlive a compile.

use super::destination_rules::{Applied, DestinationRules, Merged};
use super::locality::{Own, Place, Rank, Setting};
use super::origination::{Of, Originations, Spoken};
use super::workloads::Workloads;
use crate::kinds::destination_rule::Subset;
use crate::kinds::service::{Distribution, Port};
use crate::kinds::traffic_policy::Locality;
use crate::object::Object;
use request::{ServiceName, Workload};
use routing::{Cluster, ClusterId, ClusterSpec, Endpoint, Health, NetworkGateway, Protocol, Tls};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// What survives a compile.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    ids: HashMap<Key, ClusterId>,
    clusters: HashMap<ClusterId, Arc<Cluster>>,
    loads: HashMap<SocketAddr, Arc<AtomicU32>>,
}

/// Namespace, key, port, subset.
type Key = (Arc<str>, Arc<str>, u16, Option<Arc<str>>);

/// Builds the clusters of one compile.
#[derive(Debug)]
pub(crate) struct Clusters<'a, 'r> {
    workloads: &'a Workloads<'r>,
    rules: &'a DestinationRules<'r>,
    own: Own<'r>,
    mesh_locality: Option<&'a Locality>,
    originations: &'a Originations<'a, 'r>,
    kept: &'a mut Kept,
    clusters: HashMap<ClusterId, Arc<Cluster>>,
    loads: HashMap<SocketAddr, Arc<AtomicU32>>,
}

/// What a cluster is called.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Host, in lower case.
    pub(crate) host: Arc<str>,
    /// Name of the Service.
    pub(crate) name: Arc<str>,
    /// Tells it from all others of its namespace.
    pub(crate) key: Arc<str>,
    /// Its namespace.
    pub(crate) namespace: Arc<str>,
    /// Port.
    pub(crate) port: u16,
    /// What the port declares.
    pub(crate) protocol: Protocol,
    /// Namespace of the waypoint: its DestinationRules go first.
    pub(crate) waypoint: Arc<str>,
    /// Which endpoints its Service prefers.
    pub(crate) distribution: Distribution,
    /// `Service` or `ServiceEntry`.
    pub(crate) kind: &'static str,
    /// Name of the object.
    pub(crate) object: Arc<str>,
    /// Name of the port.
    pub(crate) port_name: Arc<str>,
    /// Names that a ServiceEntry expects in certificates.
    pub(crate) sans: Arc<[Box<str>]>,
}

impl Named {
    fn is(&self, service: &ServiceName) -> bool {
        (&self.host, &self.name, &self.namespace) == (&service.host, &service.name, &service.namespace)
    }

    fn service(&self) -> ServiceName {
        ServiceName {
            host: Arc::clone(&self.host),
            name: Arc::clone(&self.name),
            namespace: Arc::clone(&self.namespace),
        }
    }

    /// The clusters of another port.
    pub(crate) fn of_port(&mut self, port: &Port) {
        (self.port, self.protocol) = (port.port, port.protocol);
        self.port_name = Arc::clone(&port.name);
    }
}

/// One address of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address<'r> {
    /// IP and target port.
    pub(crate) socket: SocketAddr,
    /// Share, at least 1.
    pub(crate) weight: u32,
    /// Where it is.
    pub(crate) place: Place,
    /// Labels of the workload there.
    pub(crate) labels: Option<&'r BTreeMap<String, String>>,
    /// Who is there, when that was told with the address.
    pub(crate) workload: Option<&'r Arc<Workload>>,
    /// Through whom it is reached, on another network.
    pub(crate) gateway: Option<Arc<NetworkGateway>>,
}

impl Address<'_> {
    fn who(&self, workloads: &Workloads<'_>) -> Arc<Workload> {
        self.workload.map_or_else(|| workloads.at(self.socket.ip()), Arc::clone)
    }
}

/// The clusters of one port.
#[derive(Debug)]
pub(crate) struct OfPort<'r> {
    /// All addresses.
    pub(crate) whole: (ClusterId, Arc<Cluster>),
    /// By subset.
    pub(crate) subsets: Vec<OfSubset<'r>>,
    /// What is spoken to all of them.
    pub(crate) spoken: Spoken,
}

/// The cluster of a subset of a port.
#[derive(Debug)]
pub(crate) struct OfSubset<'r> {
    /// The cluster.
    pub(crate) cluster: (ClusterId, Arc<Cluster>),
    /// The DestinationRule.
    pub(crate) rule: &'r Object,
    /// What it says of it.
    pub(crate) subset: &'r Subset,
    /// What is spoken to its endpoints.
    pub(crate) spoken: Spoken,
}

/// What DestinationRules and BackendTLSPolicies say of a port.
struct Plan<'r> {
    whole: (Applied, Spoken),
    subsets: Vec<((&'r Object, &'r Subset), Applied, Spoken)>,
}

impl<'a, 'r> Clusters<'a, 'r> {
    /// Begins.
    pub(crate) fn new(
        workloads: &'a Workloads<'r>,
        rules: &'a DestinationRules<'r>,
        own: Own<'r>,
        mesh_locality: Option<&'a Locality>,
        originations: &'a Originations<'a, 'r>,
        kept: &'a mut Kept,
    ) -> Self {
        Self {
            workloads,
            rules,
            own,
            mesh_locality,
            originations,
            kept,
            clusters: HashMap::new(),
            loads: HashMap::new(),
        }
    }

    /// The clusters of one port.
    pub(crate) fn of_port(&mut self, named: &Named, addresses: &[Address<'r>]) -> OfPort<'r> {
        let Plan { whole, subsets } = self.plan(named);
        let (applied, spoken) = whole;
        let whole = self.cluster(named, None, addresses, applied, &spoken);
        let subsets = subsets.into_iter().map(|((rule, subset), applied, spoken)| {
            let selected = selected(addresses, subset);
            OfSubset {
                cluster: self.cluster(named, Some(&subset.name), &selected, applied, &spoken),
                rule,
                subset,
                spoken,
            }
        });
        OfPort {
            subsets: subsets.collect(),
            whole,
            spoken,
        }
    }

    /// The clusters of one port are what they were in the compile before. What is told of rules is told again.
    pub(crate) fn again<'c>(&mut self, named: &Named, clusters: impl Iterator<Item = &'c (ClusterId, Arc<Cluster>)>) {
        let _ = self.plan(named);
        for (id, cluster) in clusters {
            self.clusters.insert(*id, Arc::clone(cluster));
            for endpoint in &cluster.endpoints {
                let load = self.loads.entry(endpoint.address);
                load.or_insert_with(|| Arc::clone(&endpoint.in_flight));
            }
        }
    }

    /// What holds for a port and for each of its subsets.
    fn plan(&self, named: &Named) -> Plan<'r> {
        let rule = self.rules.of(&named.host, &named.namespace, &named.waypoint);
        let policy = |subset| {
            let applied = rule.map_or_else(Applied::default, |rule| rule.policy(named.port, subset));
            let tls = rule.zip(applied.tls.as_ref()).map(|(rule, tls)| (rule.object(), tls));
            let spoken = self.originations.of(Of::from(named), tls);
            (applied, spoken)
        };
        let subsets = rule.map_or(&[][..], Merged::subsets).iter().map(|one| {
            let (applied, spoken) = policy(Some(one.1));
            (*one, applied, spoken)
        });
        let subsets = subsets.collect();
        Plan {
            whole: policy(None),
            subsets,
        }
    }

    /// What is not there any more is forgotten.
    pub(crate) fn finish(self) {
        self.kept.clusters = self.clusters;
        self.kept.loads = self.loads;
    }

    /// Where this waypoint runs.
    pub(crate) fn own(&self) -> &Place {
        &self.own.place
    }

    fn cluster(
        &mut self,
        named: &Named,
        subset: Option<&Arc<str>>,
        addresses: &[Address<'r>],
        applied: Applied,
        spoken: &Spoken,
    ) -> (ClusterId, Arc<Cluster>) {
        let id = self.kept.id(named, subset);
        let before = self.kept.clusters.get(&id).cloned();
        let before_at: HashMap<SocketAddr, &Arc<Endpoint>> = before
            .iter()
            .flat_map(|cluster| &cluster.endpoints)
            .map(|endpoint| (endpoint.address, endpoint))
            .collect();
        let (tls, workloads) = (spoken.with(&named.host), self.workloads);
        let ranks = self.own.rank(&self.setting(named, &applied), addresses);
        let endpoints = addresses
            .iter()
            .zip(ranks)
            .filter(|(_, rank)| rank.weight > 0)
            .map(|(address, rank)| (address, rank, address.who(workloads)))
            .filter(|(_, _, workload)| spoken.reaches(workload))
            .map(|(address, rank, workload)| {
                let before = before_at.get(&address.socket).copied();
                self.endpoint((address, workload), rank, before, tls.as_ref())
            })
            .collect();
        let service = before.as_ref().map(|before| &before.service);
        let service = match service.filter(|service| named.is(service)) {
            Some(service) => Arc::clone(service),
            None => Arc::new(named.service()),
        };
        let cluster = Arc::new(Cluster::new(ClusterSpec {
            service,
            port: named.port,
            subset: subset.cloned(),
            protocol: applied.protocol(named.protocol),
            endpoints,
            policy: applied.policy,
            state: before.map(|before| Arc::clone(&before.state)).unwrap_or_default(),
        }));
        self.clusters.insert(id, Arc::clone(&cluster));
        (id, cluster)
    }

    fn setting<'s>(&self, named: &Named, applied: &'s Applied) -> Setting<'s>
    where
        'a: 's,
    {
        Setting {
            distribution: named.distribution,
            rule: applied.locality.as_ref(),
            mesh: self.mesh_locality,
            has_outliers: applied.policy.outliers.is_some(),
        }
    }

    /// One that did not change is the very same as before; of one that did, load and health stay while the workload does.
    fn endpoint(
        &mut self,
        (at, workload): (&Address<'r>, Arc<Workload>),
        rank: Rank,
        before: Option<&Arc<Endpoint>>,
        tls: Option<&Arc<Tls>>,
    ) -> Arc<Endpoint> {
        let (address, gateway) = (at.socket, &at.gateway);
        let before = before.filter(|before| before.workload == workload && before.tls.as_ref() == tls);
        let before = before.filter(|before| before.gateway == *gateway);
        let Rank { priority, weight } = rank;
        if let Some(before) = before.filter(|before| before.priority == priority && before.weight == weight) {
            self.loads
                .entry(address)
                .or_insert_with(|| Arc::clone(&before.in_flight));
            return Arc::clone(before);
        }
        let known = &self.kept.loads;
        let in_flight = self.loads.entry(address).or_insert_with(|| {
            let known = known.get(&address);
            known.map(Arc::clone).unwrap_or_default()
        });
        let health: Arc<Health> = before.map(|before| Arc::clone(&before.health)).unwrap_or_default();
        Arc::new(Endpoint {
            address,
            workload,
            in_flight: Arc::clone(in_flight),
            weight,
            priority,
            health,
            tls: tls.cloned(),
            gateway: gateway.clone(),
        })
    }
}

/// Those whose workload has the labels of a subset.
fn selected<'r>(addresses: &[Address<'r>], subset: &Subset) -> Vec<Address<'r>> {
    let selected = addresses.iter().filter(|address| subset.selects(address.labels));
    selected.cloned().collect()
}

impl Kept {
    /// The id of a port, or a subset of it: given once, never to another.
    fn id(&mut self, named: &Named, subset: Option<&Arc<str>>) -> ClusterId {
        let next = ClusterId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        let key = (
            Arc::clone(&named.namespace),
            Arc::clone(&named.key),
            named.port,
            subset.cloned(),
        );
        *self.ids.entry(key).or_insert(next)
    }
}
