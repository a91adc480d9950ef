//! What istiod has told, address by address: parsed, and kept when it goes away or errs.

use super::address::{self, Parsed};
use super::proto::{DeltaResponse, Resource};
use super::words::{Network, shown};
use super::{ADDRESS, REPLACED};
use crate::compile::{Waypoint, waypoints_named};
use crate::finding::{Finding, Severity};
use crate::kinds::Body;
use crate::kinds::service_entry::Host;
use crate::object::Object;
use crate::resources::{Resources, content_hash};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses that are held. Those beyond are refused.
const MAX_ADDRESSES: usize = 500_000;
/// A name's and a version's length limit.
const MAX_NAME_BYTES: usize = 1024;
/// Refusals that are told.
const MAX_REFUSED: usize = 100;

/// The addresses.
pub(super) struct State {
    network: Box<str>,
    held: BTreeMap<Arc<str>, Held>,
    /// Addresses whose latest state was refused, and why.
    refused: BTreeMap<String, String>,
    /// Everything was told once.
    pub(super) is_whole: bool,
    /// Why the latest call ended.
    pub(super) trouble: Option<String>,
}

/// One address.
struct Held {
    version: String,
    fingerprint: u64,
    is: Is,
    /// As it was told, where a waypoint is named by its address: which Service that is may change.
    told: Option<Vec<u8>>,
}

enum Is {
    Object(Arc<Object>),
    /// A host of a ServiceEntry.
    Entry(Box<str>),
}

/// What came of an answer.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) is_changed: bool,
    pub(super) refused: Vec<String>,
}

impl State {
    pub(super) fn new(network: &str) -> Self {
        Self {
            network: network.into(),
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            is_whole: false,
            trouble: None,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// The versions that are held: istiod tells what differs. What was refused is not among them in its refused version.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let held = self.held.iter();
        held.map(|(name, held)| (name.to_string(), held.version.clone()))
            .collect()
    }

    /// Takes an answer in, resource by resource.
    pub(super) fn take(&mut self, answer: DeltaResponse) -> Taken {
        let mut taken = Taken {
            is_changed: !self.is_whole,
            refused: Vec::new(),
        };
        self.is_whole = true;
        let holders = self.holders();
        for resource in answer.resources {
            let name = key(&resource.name);
            match self.put(resource, &holders) {
                Ok(is_changed) => {
                    taken.is_changed |= is_changed | self.refused.remove(&name).is_some();
                }
                Err(why) => {
                    taken.is_changed = true;
                    taken.refused.push(format!("{}: {why}", shown(&name)));
                    if self.refused.len() < MAX_REFUSED || self.refused.contains_key(&name) {
                        self.refused.insert(name, why);
                    }
                }
            }
        }
        for name in &answer.removed_resources {
            let was_there = self.held.remove(name.as_str()).is_some();
            taken.is_changed |= was_there | self.refused.remove(&key(name)).is_some();
        }
        if taken.is_changed {
            self.look_again();
        }
        taken
    }

    /// One resource. True when it is another than before.
    fn put(&mut self, resource: Resource, holders: &Holders) -> Result<bool, String> {
        let Resource {
            version,
            resource,
            name,
        } = resource;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || version.len() > MAX_NAME_BYTES {
            let (name, version) = (name.len(), version.len());
            return Err(format!(
                "expected a name and a version of at most {MAX_NAME_BYTES} bytes, found {name} and {version}"
            ));
        }
        let Some(any) = resource else {
            // A sign of life of something that is held.
            return if self.held.contains_key(name.as_str()) {
                Ok(false)
            } else {
                Err("expected a resource, found none".to_owned())
            };
        };
        if any.type_url != ADDRESS {
            return Err(format!("expected {ADDRESS}, found {:?}", shown(&any.type_url)));
        }
        let fingerprint = content_hash(&any.value);
        match self.held.get_mut(name.as_str()) {
            Some(held) if held.fingerprint == fingerprint => {
                held.version = version;
                return Ok(false);
            }
            Some(_) => {}
            None => self.room()?,
        }
        let is = self.read(&any.value, holders)?;
        let told = address::waypoint_addresses(&any.value).then_some(any.value);
        let held = Held {
            version,
            fingerprint,
            is,
            told,
        };
        self.held.insert(Arc::from(name), held);
        Ok(true)
    }

    fn room(&self) -> Result<(), String> {
        if self.held.len() < MAX_ADDRESSES {
            return Ok(());
        }
        Err(format!("at most {MAX_ADDRESSES} addresses are held"))
    }

    fn read(&self, bytes: &[u8], holders: &Holders) -> Result<Is, String> {
        let holder = |at: &Network<'_>| {
            let is_ours = at.network == &*self.network;
            holders.get(&at.ip).filter(|_| is_ours).cloned()
        };
        Ok(match address::parse(bytes, &self.network, &holder)? {
            Parsed::Object(object) => Is::Object(object),
            Parsed::Entry(host) => Is::Entry(host),
        })
    }

    /// Which Services have which addresses, where that matters to anybody.
    fn holders(&self) -> Holders {
        let mut holders = Holders::new();
        if self.held.values().all(|held| held.told.is_none()) {
            return holders;
        }
        for object in self.objects() {
            if let Body::Service(service) = &object.body {
                let (namespace, name) = (object.meta.namespace.to_string(), object.meta.name.to_string());
                for vip in &service.vips {
                    holders.insert(*vip, (namespace.clone(), name.clone()));
                }
            }
        }
        holders
    }

    /// What names a waypoint by its address is read again: the Service there may have come, or be another.
    fn look_again(&mut self) {
        let holders = self.holders();
        if holders.is_empty() {
            return;
        }
        let named: Vec<Arc<str>> = self
            .held
            .iter()
            .filter(|(_, held)| held.told.is_some())
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in named {
            let told = self.held.get(&name).and_then(|held| held.told.as_deref());
            let Some(Ok(Is::Object(new))) = told.map(|told| self.read(told, &holders)) else {
                continue;
            };
            if let Some(Held {
                is: Is::Object(object), ..
            }) = self.held.get_mut(&name)
                && object.meta.labels != new.meta.labels
            {
                *object = new;
            }
        }
    }

    fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.held.values().filter_map(|held| match &held.is {
            Is::Object(object) => Some(object),
            Is::Entry(_) => None,
        })
    }

    /// Namespaces with something whose waypoint is this one.
    pub(super) fn served(&self, namespace: &str, waypoint: Option<&str>) -> BTreeSet<Arc<str>> {
        let is_ours = |object: &&Arc<Object>| {
            let mut named = waypoints_named(&object.meta.labels, &object.meta.namespace);
            named.any(|(of, name)| of == namespace && waypoint.is_none_or(|waypoint| waypoint == name))
        };
        let served = self.objects().filter(is_ours);
        served.map(|object| Arc::clone(&object.meta.namespace)).collect()
    }

    /// Puts what was told in place of objects of those kinds, and tells what cannot be in force.
    pub(super) fn merge(&self, resources: &mut Resources) {
        let before = resources.objects.len();
        resources.objects.retain(|object| !REPLACED.contains(&&*object.kind));
        let unused = before.saturating_sub(resources.objects.len());
        let finding = |severity, object: Option<String>, message: String| Finding {
            severity,
            object,
            field: None,
            place: None,
            message,
        };
        if unused > 0 {
            let message = format!(
                "{unused} objects of kind {} are not used: istiod tells these",
                REPLACED.join(", ")
            );
            resources.unread.push(finding(Severity::Warning, None, message));
        }
        if let Some(message) = self.missing_entries(resources) {
            resources.unread.push(finding(Severity::Warning, None, message));
        }
        let lost = self.objects().filter(|object| is_lost(object)).count();
        if lost > 0 {
            let message = format!("{lost} workloads are on other networks and have no gateway: they are not reached");
            resources.unread.push(finding(Severity::Warning, None, message));
        }
        for (name, why) in &self.refused {
            let message = format!("istiod's word of it is refused, its last good state stays in force: {why}");
            let object = Some(format!("Address {}", shown(name)));
            resources.unread.push(finding(Severity::Error, object, message));
        }
        resources.objects.extend(self.objects().cloned());
    }

    /// Hosts of ServiceEntries are served as the ServiceEntry itself has it.
    fn missing_entries(&self, resources: &Resources) -> Option<String> {
        let mut known: BTreeSet<Arc<str>> = BTreeSet::new();
        for object in &resources.objects {
            if let Body::ServiceEntry(entry) = &object.body {
                known.extend(entry.hosts.iter().map(Host::text));
            }
        }
        let mut missing = self.held.values().filter_map(|held| match &held.is {
            Is::Entry(host) if !known.contains(&**host) => Some(host),
            _ => None,
        });
        let first = missing.next()?;
        let more = missing.count();
        Some(format!(
            "istiod tells of {first} and {more} more hosts of ServiceEntries that are not in the config: they are not served"
        ))
    }
}

/// By address of our network: namespace and name.
type Holders = HashMap<IpAddr, Waypoint>;

/// On another network, and no way leads there.
fn is_lost(object: &Object) -> bool {
    let Body::Workload(workload) = &object.body else {
        return false;
    };
    let elsewhere = workload.elsewhere.as_ref();
    !workload.serves.is_empty() && elsewhere.is_some_and(|elsewhere| elsewhere.gateway.is_none())
}

/// What a refusal is found by: a name, or what can be shown of one that is none.
fn key(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        name.to_owned()
    } else {
        shown(name)
    }
}
