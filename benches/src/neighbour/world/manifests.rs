//! The objects of a world, as text.

use super::route_versions::ROUTES_A_FILE;
use crate::scenario::Mesh;
use integration_tests::peers::mesh_world::{NAMESPACE, SERVICE_PORT};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// One rule of a policy: whom it allows, and where.
pub(crate) struct PolicyRule {
    /// With `spiffe://`.
    pub(crate) principal: String,
    /// With its slash.
    pub(crate) path_prefix: String,
}

impl PolicyRule {
    pub(super) fn manifest(&self) -> Value {
        let principal = self.principal.trim_start_matches("spiffe://");
        json!({
            "from": [{ "source": { "principals": [principal] } }],
            "to": [{ "operation": { "methods": ["GET"], "paths": [format!("{}*", self.path_prefix)] } }],
        })
    }
}

/// A pod in the mesh.
pub(super) fn pod(name: &str, ip: Ipv4Addr) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{name}-5d8f9c7b64-bench"), "namespace": NAMESPACE,
            "labels": { "app": name, "version": "v1", "pod-template-hash": "5d8f9c7b64" },
            "annotations": { "ambient.istio.io/redirection": "enabled" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-5d8f9c7b64"),
                "uid": "0", "controller": true }],
        },
        "spec": { "serviceAccountName": name, "nodeName": "node-1", "containers": [{ "name": "app", "image": "x" }] },
        "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": "True" }] },
    })
    .to_string()
}

/// Files with so many HTTPRoutes on the Service, by name.
pub(super) fn routes(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count.div_ceil(ROUTES_A_FILE)).filter_map(move |file| routes_file(count, file, 0))
}

/// One of those files.
pub(super) fn routes_file(count: usize, file: usize, version: u64) -> Option<(String, String)> {
    let first = file.checked_mul(ROUTES_A_FILE)?;
    let last = first.checked_add(ROUTES_A_FILE)?.min(count);
    let objects: Vec<_> = (first..last).map(|number| route(number, version).to_string()).collect();
    (!objects.is_empty()).then(|| (format!("routes-{file}.yaml"), objects.join("\n---\n")))
}

fn route(number: usize, version: u64) -> Value {
    let mut rule = json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": Mesh::route_prefix(number) } }],
        "backendRefs": [{ "name": "echo", "port": SERVICE_PORT }],
    });
    if let (Some(rule), 1..) = (rule.as_object_mut(), version) {
        let set = json!([{ "name": "x-route-version", "value": version.to_string() }]);
        rule.insert(
            "filters".to_owned(),
            json!([{ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": set } }]),
        );
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": format!("route-{number}"), "namespace": NAMESPACE,
            "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "parentRefs": [{ "group": "", "kind": "Service", "name": "echo" }], "rules": [rule] },
    })
}
