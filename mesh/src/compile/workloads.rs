//! Pods and WorkloadEntries -> Workloads: who is at an address, and what telemetry tells about it.

use super::locality::{Place, REGION, ZONE};
use super::remote;
use crate::kinds::Body;
use crate::kinds::discovered::{Discovered, WORKLOAD};
use crate::kinds::pod::Pod;
use crate::kinds::workload_entry::{Address, Instance};
use crate::object::{Meta, Object};
use crate::resources::{Index, Name};
use crate::snapshot::Builder;
use authz::TrustDomains;
use request::{SpiffeId, Workload};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

const ISTIO_LOCALITY: &str = "istio-locality";
const REDIRECTION: &str = "ambient.istio.io/redirection";

/// What survives a compile: Pods and WorkloadEntries by name.
pub(crate) type Kept = HashMap<Name, Arc<Workload>>;

pub(crate) type Labels<'r> = &'r BTreeMap<String, String>;

/// A workload that istiod tells, and its labels.
pub(crate) type Told<'r> = (&'r Discovered, Labels<'r>);

/// All live workloads.
#[derive(Debug, Default)]
pub(crate) struct Workloads<'r> {
    by_ip: HashMap<IpAddr, (Arc<Workload>, Labels<'r>)>,
    by_identity: HashMap<SpiffeId, Arc<Workload>>,
    by_label: HashMap<(&'r str, &'r str, &'r str), Vec<&'r Arc<Object>>>,
    by_name: HashMap<(&'r str, &'r str), IpAddr>,
    nodes: HashMap<&'r str, &'r BTreeMap<String, String>>,
    entries: HashMap<&'r str, Vec<Entry<'r>>>,
    /// The gateways of other networks.
    pub(crate) elsewhere: remote::Gateways<'r>,
    /// Those that istiod tells, by the namespace and the host of a ServiceEntry that they serve.
    by_host: HashMap<&'r str, HashMap<&'r str, Vec<Told<'r>>>>,
}

/// A WorkloadEntry.
#[derive(Debug)]
pub(crate) struct Entry<'r> {
    /// What it says.
    pub(crate) instance: &'r Instance,
    /// Who it is.
    pub(crate) workload: Arc<Workload>,
    /// Its object's labels, beside those it has itself.
    of_object: Labels<'r>,
}

impl<'r> Entry<'r> {
    /// Its labels.
    pub(crate) fn labels(&self) -> Labels<'r> {
        if self.instance.labels.is_empty() {
            self.of_object
        } else {
            &self.instance.labels
        }
    }
}

impl<'r> Workloads<'r> {
    /// Reads all Pods. Workloads that did not change are the same `Arc` as before.
    pub(crate) fn build(index: &Index<'r>, trust: &TrustDomains, kept: &mut Kept) -> Self {
        let nodes = index.all("Node").iter();
        let mut all = Self {
            nodes: nodes.map(|object| (&*object.meta.name, &object.meta.labels)).collect(),
            elsewhere: remote::Gateways::find(index),
            ..Self::default()
        };
        let mut known = HashMap::new();
        for &object in index.all("Pod") {
            let Body::Pod(pod) = &object.body else { continue };
            if !pod.is_live {
                continue;
            }
            for (key, value) in &object.meta.labels {
                all.by_label
                    .entry((&*object.meta.namespace, key, value))
                    .or_default()
                    .push(object);
            }
            let identity = SpiffeId::of(&trust.own, &object.meta.namespace, &pod.service_account).ok();
            let place = all.complete(place(&object.meta, pod));
            let workload = workload(&object.meta, pod, identity.clone(), place);
            let name = (Arc::clone(&object.meta.namespace), Arc::clone(&object.meta.name));
            let workload = match kept.remove(&name) {
                Some(before) if *before == workload => before,
                _ => Arc::new(workload),
            };
            known.insert(name, Arc::clone(&workload));
            if let Some(ip) = pod.ips.first() {
                all.by_name.insert((&object.meta.namespace, &object.meta.name), *ip);
            }
            for ip in &pod.ips {
                all.by_ip
                    .entry(*ip)
                    .or_insert_with(|| (Arc::clone(&workload), &object.meta.labels));
            }
            if let Some(identity) = identity {
                all.by_identity.entry(identity).or_insert(workload);
            }
        }
        for &object in index.all(WORKLOAD) {
            if let Body::Workload(discovered) = &object.body {
                all.discovered(&object.meta, discovered);
            }
        }
        for &object in index.all("WorkloadEntry") {
            if let Body::WorkloadEntry(instance) = &object.body {
                all.entry(object, instance, trust, kept, &mut known);
            }
        }
        for &object in index.all("ServiceEntry") {
            let Body::ServiceEntry(entry) = &object.body else {
                continue;
            };
            for instance in entry.endpoints.iter().filter(|instance| instance.is_described()) {
                let meta = &object.meta;
                let workload = of_instance(&meta.namespace, &meta.name, &instance.labels, instance, trust);
                all.adopt(&Arc::new(workload), &instance.labels);
            }
        }
        *kept = known;
        all
    }

    /// One that istiod tells.
    fn discovered(&mut self, meta: &'r Meta, discovered: &'r Discovered) {
        let workload = &discovered.workload;
        if discovered.is_addressed {
            for ip in &workload.ips {
                let known = self.by_ip.entry(*ip);
                known.or_insert_with(|| (Arc::clone(workload), &meta.labels));
            }
            if let Some(ip) = workload.ips.first().filter(|_| !workload.pod.is_empty()) {
                self.by_name.insert((&meta.namespace, &workload.pod), *ip);
            }
        }
        let known = self.by_identity.entry(discovered.identity.clone());
        known.or_insert_with(|| Arc::clone(workload));
        for serves in discovered.serves.iter().filter(|serves| serves.service.is_none()) {
            let hosts = self.by_host.entry(&serves.namespace).or_default();
            let servers = hosts.entry(&serves.host).or_default();
            servers.push((discovered, &meta.labels));
        }
    }

    /// Those that istiod tells as endpoints of a host of a ServiceEntry.
    pub(crate) fn serving(&self, namespace: &str, host: &str) -> &[Told<'r>] {
        let hosts = self.by_host.get(namespace);
        hosts.and_then(|hosts| hosts.get(host)).map_or(&[], Vec::as_slice)
    }

    fn entry(
        &mut self,
        object: &'r Object,
        instance: &'r Instance,
        trust: &TrustDomains,
        kept: &mut Kept,
        known: &mut Kept,
    ) {
        let meta = &object.meta;
        let labels = if instance.labels.is_empty() {
            &meta.labels
        } else {
            &instance.labels
        };
        let workload = of_instance(&meta.namespace, &meta.name, labels, instance, trust);
        // No Pod has a name with a slash.
        let name = (
            Arc::clone(&meta.namespace),
            Arc::from(format!("WorkloadEntry/{}", meta.name)),
        );
        let workload = match kept.remove(&name) {
            Some(before) if *before == workload => before,
            _ => Arc::new(workload),
        };
        known.insert(name, Arc::clone(&workload));
        self.adopt(&workload, labels);
        self.entries.entry(&meta.namespace).or_default().push(Entry {
            instance,
            workload,
            of_object: &meta.labels,
        });
    }

    /// Makes a workload known that is no Pod. A Pod at its address, or of its identity, goes before it.
    fn adopt(&mut self, workload: &Arc<Workload>, labels: Labels<'r>) {
        for ip in &workload.ips {
            let known = self.by_ip.entry(*ip);
            known.or_insert_with(|| (Arc::clone(workload), labels));
        }
        if let Some(identity) = &workload.identity {
            let known = self.by_identity.entry(identity.clone());
            known.or_insert_with(|| Arc::clone(workload));
        }
    }

    /// WorkloadEntries with all these labels.
    pub(crate) fn entries_selected(
        &self,
        namespace: &str,
        selector: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &Entry<'r>> {
        let all = self.entries.get(namespace).into_iter().flatten();
        all.filter(|entry| {
            let of = |key: &String| entry.instance.labels.get(key).or_else(|| entry.of_object.get(key));
            let has = |(key, value): (&String, &String)| of(key) == Some(value);
            selector.iter().all(has)
        })
    }

    /// The workload at an address; one without a name when no Pod has it.
    pub(crate) fn at(&self, ip: IpAddr) -> Arc<Workload> {
        match self.by_ip.get(&ip) {
            Some((workload, _)) => Arc::clone(workload),
            None => Arc::new(Workload {
                ips: vec![ip],
                ..Workload::default()
            }),
        }
    }

    /// Labels of the Pod at an address.
    pub(crate) fn labels(&self, ip: IpAddr) -> Option<Labels<'r>> {
        self.by_ip.get(&ip).map(|(_, labels)| *labels)
    }

    /// The address of a Pod.
    pub(crate) fn ip_of(&self, namespace: &str, name: &str) -> Option<IpAddr> {
        self.by_name.get(&(namespace, name)).copied()
    }

    /// Where the Pod at an address runs.
    pub(crate) fn place(&self, ip: IpAddr) -> Place {
        let workload = self.by_ip.get(&ip).map(|(workload, _)| workload);
        workload.map_or_else(Place::default, |workload| Place::from(workload.as_ref()))
    }

    /// What is not known of a place, its Node may tell.
    pub(crate) fn complete(&self, mut place: Place) -> Place {
        let Some(labels) = self.nodes.get(place.node.as_str()) else {
            return place;
        };
        for (label, part) in [(REGION, &mut place.region), (ZONE, &mut place.zone)] {
            if let Some(value) = labels.get(label).filter(|_| part.is_empty()) {
                part.clone_from(value);
            }
        }
        place
    }

    /// Pods with all these labels.
    pub(crate) fn selected(
        &self,
        namespace: &'r str,
        selector: &'r BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'r Pod> + '_ {
        let candidates = selector
            .iter()
            .filter_map(|(key, value)| {
                self.by_label
                    .get(&(namespace, key.as_str(), value.as_str()))
                    .or(Some(NONE))
            })
            .min_by_key(|pods| pods.len());
        let all = move |object: &&Arc<Object>| {
            selector
                .iter()
                .all(|(key, value)| object.meta.labels.get(key) == Some(value))
        };
        candidates
            .unwrap_or(NONE)
            .iter()
            .copied()
            .filter(all)
            .filter_map(|object| match &object.body {
                Body::Pod(pod) => Some(&**pod),
                _ => None,
            })
    }

    /// Addresses of the ready Pods with all these labels.
    pub(crate) fn ready(&self, namespace: &str, selector: &BTreeMap<String, String>) -> Vec<IpAddr> {
        let has = |object: &Object| {
            selector
                .iter()
                .all(|(key, value)| object.meta.labels.get(key) == Some(value))
        };
        let candidates = selector.iter().filter_map(|(key, value)| {
            let named = self.by_label.get(&(namespace, key.as_str(), value.as_str()));
            named.or(Some(NONE))
        });
        let candidates = candidates.min_by_key(|pods| pods.len()).unwrap_or(NONE);
        let pods = candidates
            .iter()
            .filter(|object| has(object))
            .filter_map(|object| match &object.body {
                Body::Pod(pod) if pod.ready => pod.ips.first().copied(),
                _ => None,
            });
        pods.collect()
    }

    /// Hands over to the snapshot.
    pub(crate) fn finish(self, builder: &mut Builder) {
        builder.workloads = self
            .by_ip
            .into_iter()
            .map(|(ip, (workload, _))| (ip, workload))
            .collect();
        builder.identities = self.by_identity;
    }
}

/// The workload of something that is no Pod: a WorkloadEntry, or an endpoint of a ServiceEntry.
pub(crate) fn of_instance(
    namespace: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
    instance: &Instance,
    trust: &TrustDomains,
) -> Workload {
    let label = |names: &[&str]| {
        let told = names
            .iter()
            .find_map(|name| labels.get(*name).filter(|value| !value.is_empty()));
        told.cloned()
    };
    let hbone = instance.has_tunnel();
    let identity = SpiffeId::of(&trust.own, namespace, &instance.service_account).ok();
    let mut locality = instance.locality.split('/').map(str::to_owned);
    Workload {
        namespace: namespace.to_owned(),
        service_account: instance.service_account.clone(),
        canonical_name: label(CANONICAL_NAME).unwrap_or_else(|| name.to_owned()),
        canonical_revision: label(CANONICAL_REVISION).unwrap_or_else(|| "latest".to_owned()),
        name: name.to_owned(),
        kind: "pod".to_owned(),
        app: label(&["app"]).unwrap_or_default(),
        version: label(&["version"]).unwrap_or_default(),
        region: locality.next().unwrap_or_default(),
        zone: locality.next().unwrap_or_default(),
        ips: match &instance.address {
            Some(Address::Ip(ip)) => vec![*ip],
            _ => Vec::new(),
        },
        identity: identity.filter(|_| hbone),
        hbone,
        ..Workload::default()
    }
}

/// Labels that name a workload for telemetry, and its revision; the first that is there counts.
const CANONICAL_NAME: &[&str] = &["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const CANONICAL_REVISION: &[&str] = &[
    "service.istio.io/canonical-revision",
    "app.kubernetes.io/version",
    "version",
];

static NONE: &Vec<&Arc<Object>> = &Vec::new();

/// Where a Pod says that it runs: Istio's label, else Kubernetes' own.
fn place(meta: &Meta, pod: &Pod) -> Place {
    let label = |name: &str| meta.labels.get(name).cloned().unwrap_or_default();
    let (region, zone) = match meta.labels.get(ISTIO_LOCALITY).filter(|text| !text.is_empty()) {
        Some(text) => {
            // A label has no slashes: dots stand for them.
            let mut parts = text.split(['.', '/']).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        None => (label(REGION), label(ZONE)),
    };
    Place {
        region,
        zone,
        node: pod.node.clone(),
    }
}

fn workload(meta: &Meta, pod: &Pod, identity: Option<SpiffeId>, place: Place) -> Workload {
    let label = |name: &str| meta.labels.get(name).filter(|value| !value.is_empty()).cloned();
    let first = |names: &[&str], otherwise: &str| {
        names
            .iter()
            .find_map(|name| label(name))
            .unwrap_or_else(|| otherwise.to_owned())
    };
    let (kind, name) = owner(meta);
    let hbone = meta
        .annotations
        .get(REDIRECTION)
        .is_some_and(|value| value == "enabled");
    Workload {
        pod: meta.name.to_string(),
        namespace: meta.namespace.to_string(),
        service_account: pod.service_account.clone(),
        canonical_name: first(CANONICAL_NAME, &name),
        canonical_revision: first(CANONICAL_REVISION, "latest"),
        name,
        kind,
        app: first(&["app"], ""),
        version: first(&["version"], ""),
        cluster: first(&["topology.istio.io/cluster"], "Kubernetes"),
        region: place.region,
        zone: place.zone,
        node: place.node,
        ips: pod.ips.clone(),
        identity: identity.filter(|_| hbone),
        hbone,
    }
}

/// Kind (lower case) and name of what made a Pod, by Istio's rules: the Deployment above a ReplicaSet, the CronJob
/// above a Job.
fn owner(meta: &Meta) -> (String, String) {
    let Some((kind, name)) = meta.owner.as_deref() else {
        return ("pod".to_owned(), meta.name.to_string());
    };
    let (stem, last) = name.rsplit_once('-').unwrap_or((name, ""));
    let is_hash = meta.labels.get("pod-template-hash").is_some_and(|hash| hash == last);
    let is_time = (8..=10).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit());
    match kind.as_str() {
        "ReplicaSet" if is_hash && !stem.is_empty() => ("deployment".to_owned(), stem.to_owned()),
        "Job" if is_time && !stem.is_empty() => ("cronjob".to_owned(), stem.to_owned()),
        kind => (kind.to_ascii_lowercase(), name.clone()),
    }
}
