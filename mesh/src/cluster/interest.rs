//! What of a cluster counts for one waypoint: the namespaces whose pods and endpoints are watched, and the ConfigMaps and
//! Secrets that are read.
//!
//! The namespaces are our own; those with a Service, ServiceEntry or Namespace that names our Gateway; those of routes
//! and VirtualServices that are in such a namespace or mention one; and those that these mention.

use super::mentions::Named;
use super::store::{Held, Store};
use crate::compile::waypoints_named;
use crate::finding::{Finding, Severity};
use crate::{Discovery, Resources};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Namespaces whose pods and endpoints are watched, each by two watches.
const MAX_NAMESPACES: usize = 1_000;
/// ConfigMaps and Secrets that are watched, each by its own watch.
const MAX_OBJECTS: usize = 256;

/// Kinds that shape traffic of other namespaces, or lead to them.
const SHAPING: [&str; 5] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "VirtualService"];
/// Kinds that may be in force for a host wherever they are.
const BY_HOST: [&str; 3] = ["VirtualService", "DestinationRule", "ServiceEntry"];

/// Whose cluster it is seen by.
#[derive(Clone, Debug)]
pub(super) struct Eye {
    /// The waypoint's namespace.
    pub(super) own: Arc<str>,
    /// Istio's root namespace.
    pub(super) root: Arc<str>,
    /// Name of the Gateway; `None`: any of our namespace.
    pub(super) gateway: Option<String>,
    /// Who tells Services and workloads, if not the cluster.
    pub(super) istiod: Option<Arc<Discovery>>,
}

/// What counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// Namespaces.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    /// ConfigMaps and Secrets.
    pub(super) objects: BTreeSet<Named>,
    /// There were too many.
    is_cut: bool,
}

impl Interest {
    /// As the objects have it now.
    pub(super) fn of(store: &Store, eye: &Eye) -> Self {
        let served = served(store, eye);
        let mut namespaces = served.clone();
        for kind in SHAPING {
            for ((namespace, _), held) in store.of(kind) {
                let mentioned = &held.mentions.namespaces;
                if served.contains(namespace) || mentioned.iter().any(|named| served.contains(named)) {
                    namespaces.insert(Arc::clone(namespace));
                    namespaces.extend(mentioned.iter().cloned());
                }
            }
        }
        let settings = ("ConfigMap", Arc::clone(&eye.root), Arc::from("istio"));
        let mut objects = BTreeSet::from([settings]);
        let of_root = store
            .of("ConfigMap")
            .filter(|((namespace, _), _)| *namespace == eye.root);
        namespaces.extend(of_root.flat_map(|(_, held)| held.mentions.namespaces.iter().cloned()));
        for kind in ["DestinationRule", "BackendTLSPolicy"] {
            let counting = store
                .of(kind)
                .filter(|((namespace, _), _)| *namespace == eye.root || namespaces.contains(namespace));
            objects.extend(counting.flat_map(|(_, held)| held.mentions.objects.iter().cloned()));
        }
        Self::cut(namespaces, objects, eye)
    }

    fn cut(mut namespaces: BTreeSet<Arc<str>>, mut objects: BTreeSet<Named>, eye: &Eye) -> Self {
        let is_cut = namespaces.len() > MAX_NAMESPACES || objects.len() > MAX_OBJECTS;
        if is_cut {
            namespaces = namespaces.into_iter().take(MAX_NAMESPACES).collect();
            namespaces.insert(Arc::clone(&eye.own));
            objects = objects.into_iter().take(MAX_OBJECTS).collect();
        }
        Self {
            namespaces,
            objects,
            is_cut,
        }
    }

    /// What was left out.
    pub(super) fn finding(&self) -> Option<Finding> {
        self.is_cut.then(|| Finding {
            severity: Severity::Warning,
            object: None,
            field: None,
            place: None,
            message: format!(
                "pods and endpoints are watched in at most {MAX_NAMESPACES} namespaces, and at most {MAX_OBJECTS} ConfigMaps \
                 and Secrets: routes of this waypoint name more, and those are not seen"
            ),
        })
    }

    /// The objects that count, for `compile`.
    pub(super) fn resources(&self, store: &Store, eye: &Eye) -> Resources {
        let mut resources = Resources::default();
        for (kind, (namespace, _), held) in store.all() {
            if self.counts(kind, namespace, held, eye) {
                resources.objects.extend(held.object.iter().cloned());
                resources.bad.extend(held.bad.iter().cloned());
            }
        }
        resources
    }

    fn counts(&self, kind: &str, namespace: &Arc<str>, held: &Held, eye: &Eye) -> bool {
        namespace.is_empty()
            || *namespace == eye.root
            || self.namespaces.contains(namespace)
            || BY_HOST.contains(&kind)
            || held
                .mentions
                .namespaces
                .iter()
                .any(|named| self.namespaces.contains(named))
    }

    /// Whether what is wrong with an object is ours to tell: every waypoint sees the DestinationRules of all namespaces.
    pub(super) fn is_ours(&self, finding: &Finding, eye: &Eye) -> bool {
        let object = finding.object.as_deref().and_then(|object| object.rsplit_once(' '));
        let namespace = object
            .and_then(|(_, name)| name.split_once('/'))
            .map(|(namespace, _)| namespace);
        namespace.is_none_or(|namespace| *namespace == *eye.root || self.namespaces.contains(namespace))
    }
}

/// Our namespace, and those with something that names our Gateway.
fn served(store: &Store, eye: &Eye) -> BTreeSet<Arc<str>> {
    let mut served = BTreeSet::from([Arc::clone(&eye.own)]);
    for kind in ["Namespace", "Service", "ServiceEntry"] {
        for ((namespace, name), held) in store.of(kind) {
            let Some(object) = &held.object else { continue };
            let of = if kind == "Namespace" { name } else { namespace };
            let mut named = waypoints_named(&object.meta.labels, of);
            let is_named = named.any(|(waypoint_namespace, waypoint)| {
                *waypoint_namespace == *eye.own && eye.gateway.as_deref().is_none_or(|gateway| gateway == waypoint)
            });
            if is_named {
                served.insert(Arc::clone(of));
            }
        }
    }
    let told = eye.istiod.iter();
    served.extend(told.flat_map(|istiod| istiod.served(&eye.own, eye.gateway.as_deref())));
    served
}

#[cfg(test)]
mod tests;
