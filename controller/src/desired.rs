//! What belongs to a Gateway: ServiceAccount, Deployment, Service, and on demand a HorizontalPodAutoscaler and a
//! PodDisruptionBudget. Ports, probes and labels are those of Istio's waypoints, so that what knows these knows ours.

mod pod;

use crate::{Gateway, Settings};
use serde_json::{Map, Value, json};

const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
const GATEWAY_CLASS_NAME: &str = "gateway.networking.k8s.io/gateway-class-name";
const MANAGED: &str = "gateway.istio.io/managed";
/// Value of [`MANAGED`]: a label cannot hold a slash.
const MANAGED_BY: &str = "waypoint-proxy.io-controller";
const USE_WAYPOINT: &str = "istio.io/use-waypoint";
const STATUS_PORT: u16 = 15021;

/// A kind that may be asked for by an overlay, with the key of the overlay's ConfigMap.
pub const OVERLAY_KEYS: [(&str, &str); 5] = [
    ("serviceAccount", "ServiceAccount"),
    ("deployment", "Deployment"),
    ("service", "Service"),
    ("horizontalPodAutoscaler", "HorizontalPodAutoscaler"),
    ("podDisruptionBudget", "PodDisruptionBudget"),
];

/// The objects that always belong to it, in the order in which they are applied.
pub fn objects(gateway: &Gateway, settings: &Settings) -> Vec<Value> {
    vec![
        service_account(gateway),
        deployment(gateway, settings),
        service(gateway),
    ]
}

/// An object that belongs to it only when an overlay asks for it: see [`OVERLAY_KEYS`].
pub fn on_demand(gateway: &Gateway, kind: &str) -> Option<Value> {
    match kind {
        "HorizontalPodAutoscaler" => Some(autoscaler(gateway)),
        "PodDisruptionBudget" => Some(disruption_budget(gateway)),
        _ => None,
    }
}

fn service_account(gateway: &Gateway) -> Value {
    let meta = metadata(gateway, &gateway.service_account);
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta })
}

fn deployment(gateway: &Gateway, settings: &Settings) -> Value {
    let mut meta = metadata(gateway, &gateway.deployment);
    set(&mut meta, "labels", MANAGED, MANAGED_BY);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
        "spec": {
            "selector": { "matchLabels": { GATEWAY_NAME: gateway.name } },
            "template": pod::template(gateway, settings),
        },
    })
}

fn service(gateway: &Gateway) -> Value {
    let mut meta = metadata(gateway, &gateway.deployment);
    set(&mut meta, "labels", MANAGED, MANAGED_BY);
    // A waypoint's own Service must not go through a waypoint.
    set(&mut meta, "labels", USE_WAYPOINT, "none");
    // Istio's and Kubernetes' word for the same: the nearest replica is used.
    set(
        &mut meta,
        "annotations",
        "networking.istio.io/traffic-distribution",
        "PreferClose",
    );
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta,
        "spec": {
            "type": gateway.service_type,
            "ipFamilyPolicy": "PreferDualStack",
            "selector": { GATEWAY_NAME: gateway.name },
            "ports": ports(gateway),
        },
    })
}

fn ports(gateway: &Gateway) -> Vec<Value> {
    let status = json!({ "name": "status-port", "port": STATUS_PORT, "protocol": "TCP", "appProtocol": "tcp" });
    let mut seen = vec![STATUS_PORT];
    let mut ports = vec![status];
    for listener in &gateway.listeners {
        if !seen.contains(&listener.port) {
            seen.push(listener.port);
            let protocol = listener.protocol.to_ascii_lowercase();
            ports.push(
                json!({ "name": listener.name, "port": listener.port, "protocol": "TCP", "appProtocol": protocol }),
            );
        }
    }
    ports
}

fn autoscaler(gateway: &Gateway) -> Value {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": gateway.deployment });
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(gateway, &gateway.deployment),
        "spec": { "scaleTargetRef": target, "maxReplicas": 1 },
    })
}

fn disruption_budget(gateway: &Gateway) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": metadata(gateway, &gateway.deployment),
        "spec": { "selector": { "matchLabels": { GATEWAY_NAME: gateway.name } } },
    })
}

/// The owner is the Gateway: with it all goes.
fn metadata(gateway: &Gateway, name: &str) -> Value {
    let owner = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": gateway.name, "uid": gateway.uid,
        "controller": true, "blockOwnerDeletion": true,
    });
    let mut meta = json!({
        "name": name, "namespace": gateway.namespace, "ownerReferences": [owner],
        "labels": gateway.labels, "annotations": gateway.annotations,
    });
    set(&mut meta, "labels", GATEWAY_NAME, &gateway.name);
    set(&mut meta, "labels", GATEWAY_CLASS_NAME, &gateway.class);
    meta
}

fn set(meta: &mut Value, map: &str, name: &str, value: &str) {
    if let Some(map) = meta.get_mut(map).and_then(Value::as_object_mut) {
        map.insert(name.to_owned(), json!(value));
    }
}

/// `first` with `second` over it.
fn merged(first: Value, second: &Map<String, Value>) -> Value {
    let mut all = first;
    if let Some(map) = all.as_object_mut() {
        map.extend(second.clone());
    }
    all
}

#[cfg(test)]
mod tests;
