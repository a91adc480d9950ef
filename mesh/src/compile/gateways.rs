//! Which Gateway is ours, and which Services and pods name it and may.

use super::{Report, topology};
use crate::Scope;
use crate::finding::Severity;
use crate::kinds::Body;
use crate::kinds::backend_ref::ParentRef;
use crate::kinds::gateway::{Allowed, Gateway, Listener};
use crate::object::{Meta, Object};
use crate::resources::Index;
use crate::snapshot::Topology;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Istio's class of waypoints.
const ISTIO_WAYPOINT: &str = "istio-waypoint";
/// Istio's controller of waypoint classes.
const ISTIO_MESH_CONTROLLER: &str = "istio.io/mesh-controller";
const USE_WAYPOINT: &str = "istio.io/use-waypoint";
const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";
const USE_CANARY: &str = "istio.io/use-waypoint-canary";
const USE_CANARY_NAMESPACE: &str = "istio.io/use-waypoint-canary-namespace";
/// Each with the label of its namespace.
const LABELS: [(&str, &str); 2] = [
    (USE_WAYPOINT, USE_WAYPOINT_NAMESPACE),
    (USE_CANARY, USE_CANARY_NAMESPACE),
];
/// On the Services and pods of a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// On the Service of a Gateway that Istio deployed.
const MANAGED: &str = "gateway.istio.io/managed";
const WAYPOINT_FOR: &str = "istio.io/waypoint-for";

/// The waypoints (namespace, name) that labels of something in this namespace name.
pub(crate) fn waypoints_named<'m>(
    labels: &'m BTreeMap<String, String>,
    namespace: &'m str,
) -> impl Iterator<Item = (&'m str, &'m str)> {
    LABELS.into_iter().filter_map(move |(label, label_namespace)| {
        let of = labels.get(label_namespace).map_or(namespace, String::as_str);
        Some((of, labels.get(label)?.as_str()))
    })
}

/// A waypoint: namespace and name.
pub(crate) type Waypoint = (String, String);

/// Writes down as labels which waypoints something has, and nothing else: what a Namespace says of it counts no more.
pub(crate) fn bind_waypoints(
    labels: &mut BTreeMap<String, String>,
    first: Option<&Waypoint>,
    canary: Option<&Waypoint>,
) {
    for ((label, label_namespace), waypoint) in LABELS.into_iter().zip([first, canary]) {
        match waypoint {
            Some((namespace, name)) => {
                labels.insert(label_namespace.to_owned(), namespace.clone());
                labels.insert(label.to_owned(), name.clone());
            }
            None => drop(labels.insert(label.to_owned(), "none".to_owned())),
        }
    }
}

/// What is addressed: a waypoint is for one of them, or for both (`istio.io/waypoint-for`, default `service`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressed {
    /// A Service.
    Service,
    /// A pod, by its own address.
    Workload,
}

/// The waypoints that this process is.
#[derive(Debug)]
pub(crate) struct Gateways<'r> {
    ours: Vec<Ours<'r>>,
    namespaces: BTreeMap<&'r str, &'r Meta>,
}

#[derive(Debug)]
struct Ours<'r> {
    object: &'r Arc<Object>,
    gateway: &'r Gateway,
}

impl<'r> Gateways<'r> {
    /// Finds them by scope.
    pub(crate) fn find(scope: &Scope, index: &Index<'r>, report: &mut Report) -> Self {
        let mut ours = Vec::new();
        for &object in index.all("Gateway") {
            let Body::Gateway(gateway) = &object.body else { continue };
            let by_name = scope
                .namespace
                .as_deref()
                .is_none_or(|namespace| namespace == &*object.meta.namespace)
                && scope.gateway.as_deref().is_none_or(|name| name == &*object.meta.name);
            let is_named = scope.gateway.is_some();
            if by_name && (is_named || is_waypoint(gateway, index)) {
                ours.push(Ours { object, gateway });
            }
        }
        if ours.is_empty() {
            report.general(Severity::Warning, none_found(scope));
        }
        let namespaces = index
            .all("Namespace")
            .iter()
            .map(|object| (&*object.meta.name, &object.meta))
            .collect();
        Self { ours, namespaces }
    }

    /// What the first of ours is annotated with.
    pub(crate) fn topology(&self, index: &Index<'r>, report: &mut Report) -> Topology {
        let first = self.ours.first();
        first.map_or_else(Topology::default, |ours| {
            topology::read(ours.object, &ours.gateway.class, index, report)
        })
    }

    /// Whether a Gateway is ours.
    pub(crate) fn is_ours(&self, namespace: &str, name: &str) -> bool {
        self.ours.iter().any(|ours| is_named(ours.object, namespace, name))
    }

    /// One of ours.
    pub(crate) fn ours(&self, namespace: &str, name: &str) -> Option<&'r Arc<Object>> {
        let mut ours = self.ours.iter().map(|ours| ours.object);
        ours.find(|object| is_named(object, namespace, name))
    }

    /// The namespace of the first of ours.
    pub(crate) fn namespace(&self) -> Option<&'r Arc<str>> {
        self.ours.first().map(|ours| &ours.object.meta.namespace)
    }

    /// Whether some of ours is of this class, or the class is Istio's for waypoints.
    pub(crate) fn is_our_class(&self, class: &str) -> bool {
        class == ISTIO_WAYPOINT || self.ours.iter().any(|ours| ours.gateway.class == class)
    }

    /// Whether a Gateway of ours that this parentRef names has the listener that it means.
    pub(crate) fn has_listener(&self, parent: &ParentRef, namespace: &str) -> bool {
        let ours = self
            .ours
            .iter()
            .find(|ours| is_named(ours.object, namespace, &parent.name));
        ours.is_some_and(|ours| ours.listeners().any(|listener| is_meant(parent, listener)))
    }

    /// Why a route may not shape the Services of a Gateway of ours that this parentRef names; `None`: it may.
    pub(crate) fn refuses_route(&self, parent: &ParentRef, namespace: &str, route: &Object) -> Option<String> {
        let ours = self
            .ours
            .iter()
            .find(|ours| is_named(ours.object, namespace, &parent.name))?;
        let gateway = ours.object;
        let of_kind =
            |listener: &&Listener| listener.kinds.is_empty() || listener.kinds.iter().any(|kind| **kind == *route.kind);
        let meant: Vec<&Listener> = ours.listeners().filter(|listener| is_meant(parent, listener)).collect();
        if meant.is_empty() {
            return Some(format!(
                "{gateway} has no HBONE listener of this name and port: it does not bind there"
            ));
        }
        let no_labels = BTreeMap::new();
        let own = self.namespaces.get(&*route.meta.namespace);
        let labels = own.map_or(&no_labels, |namespace| &namespace.labels);
        let mut admitting = meant.into_iter().filter(of_kind);
        let is_admitted = admitting.any(|listener| ours.allows(listener, &route.meta, labels));
        (!is_admitted).then(|| {
            format!(
                "the listener's allowedRoutes of {gateway} do not admit a {} of namespace {}: it does not bind there",
                route.kind, route.meta.namespace
            )
        })
    }

    /// Those of ours that a Service or pod uses: named by its labels, else by its Namespace's, and allowed by the
    /// listener. `refused` is told why one that is named is not used.
    pub(crate) fn used_by(&self, what: Addressed, user: &Meta, mut refused: impl FnMut(String)) -> Vec<&'r Object> {
        let no_labels = BTreeMap::new();
        let namespace_labels = self.namespace_labels(user).unwrap_or(&no_labels);
        let mut used: Vec<&'r Object> = Vec::new();
        // A waypoint has no waypoint: it would call itself without an end.
        let is_gateway = [MANAGED, GATEWAY_NAME]
            .iter()
            .any(|label| user.labels.contains_key(*label));
        if is_gateway || what == Addressed::Service && self.is_ours(&user.namespace, &user.name) {
            return used;
        }
        for (label, label_namespace) in LABELS {
            let Some((labels, name)) = named(label, [&user.labels, namespace_labels]) else {
                continue;
            };
            let of = labels.get(label_namespace).map_or(&*user.namespace, String::as_str);
            for ours in self.ours.iter().filter(|ours| is_named(ours.object, of, name)) {
                match ours.refuses(what, user, namespace_labels) {
                    Some(why) => refused(why),
                    None if used.iter().any(|object| is_named(object, of, name)) => {}
                    None => used.push(ours.object),
                }
            }
        }
        used
    }

    /// Whether the labels of a Service or of its Namespace name a waypoint, ours or another.
    pub(crate) fn names_any(&self, user: &Meta) -> bool {
        let no_labels = BTreeMap::new();
        let all = [&user.labels, self.namespace_labels(user).unwrap_or(&no_labels)];
        [USE_WAYPOINT, USE_CANARY]
            .into_iter()
            .any(|label| named(label, all).is_some())
    }

    fn namespace_labels(&self, user: &Meta) -> Option<&'r BTreeMap<String, String>> {
        let namespace = self.namespaces.get(&*user.namespace)?;
        Some(&namespace.labels)
    }
}

/// The waypoint that the first of these with the label names, and the labels beside it. `none` names nobody.
fn named<'l>(label: &str, all: [&'l BTreeMap<String, String>; 2]) -> Option<(&'l BTreeMap<String, String>, &'l str)> {
    let labels = all.into_iter().find(|labels| labels.contains_key(label))?;
    let name = labels.get(label)?.as_str();
    (name != "none" && !name.is_empty()).then_some((labels, name))
}

impl<'r> Ours<'r> {
    fn listeners(&self) -> impl Iterator<Item = &'r Listener> + use<'r> {
        self.gateway.listeners.iter().filter(|listener| listener.is_hbone)
    }

    /// Whether a listener admits what is in this namespace.
    fn allows(&self, listener: &Listener, user: &Meta, namespace_labels: &BTreeMap<String, String>) -> bool {
        match &listener.allowed {
            Allowed::All => true,
            Allowed::Same => user.namespace == self.object.meta.namespace,
            Allowed::Selector(selector) => selector.selects(namespace_labels),
            Allowed::Nobody => false,
        }
    }

    /// Why a Service or pod may not use it.
    fn refuses(&self, what: Addressed, user: &Meta, namespace_labels: &BTreeMap<String, String>) -> Option<String> {
        let gateway = self.object;
        let is_for = gateway.meta.labels.get(WAYPOINT_FOR).map_or("service", String::as_str);
        let (who, is_meant) = match what {
            Addressed::Service => ("Services", matches!(is_for, "service" | "all")),
            Addressed::Workload => ("pods", matches!(is_for, "workload" | "all")),
        };
        if !is_meant {
            return Some(format!(
                "{gateway} is a waypoint for {is_for:?}, not for {who}: it is not used"
            ));
        }
        let mut listeners = self.listeners().peekable();
        let is_allowed = if listeners.peek().is_none() {
            user.namespace == gateway.meta.namespace
        } else {
            listeners.any(|listener| self.allows(listener, user, namespace_labels))
        };
        (!is_allowed).then(|| {
            format!(
                "the listener's allowedRoutes of {gateway} do not admit namespace {}: it is not used",
                user.namespace
            )
        })
    }
}

fn is_meant(parent: &ParentRef, listener: &Listener) -> bool {
    parent.section.as_deref().is_none_or(|name| name == listener.name)
        && parent.port.is_none_or(|port| listener.port == Some(port))
}

fn is_named(object: &Object, namespace: &str, name: &str) -> bool {
    &*object.meta.namespace == namespace && &*object.meta.name == name
}

fn is_waypoint(gateway: &Gateway, index: &Index<'_>) -> bool {
    let class = index.get("GatewayClass", "", &gateway.class).map(|object| &object.body);
    gateway.class == ISTIO_WAYPOINT
        || matches!(class, Some(Body::GatewayClass(controller)) if controller == ISTIO_MESH_CONTROLLER)
        || gateway.listeners.iter().any(|listener| listener.is_hbone)
}

fn none_found(scope: &Scope) -> String {
    let wanted = match (&scope.namespace, &scope.gateway) {
        (Some(namespace), Some(name)) => format!("no Gateway {namespace}/{name}"),
        (None, Some(name)) => format!("no Gateway {name}"),
        (Some(namespace), None) => format!("no Gateway of class {ISTIO_WAYPOINT} in namespace {namespace}"),
        (None, None) => format!("no Gateway of class {ISTIO_WAYPOINT}"),
    };
    format!("{wanted} is in the config: nothing is served; apply one with an HBONE listener on port 15008")
}
