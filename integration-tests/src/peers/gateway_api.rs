//! Gateways as their users write them, and what an object says of itself.

use serde_json::{Value, json};

/// `apiVersion` of its objects.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// A waypoint's Gateway.
pub fn gateway(namespace: &str, name: &str, class: &str) -> Value {
    let listeners = json!([{ "name": "mesh", "port": 15008, "protocol": "HBONE" }]);
    json!({ "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": { "name": name, "namespace": namespace },
        "spec": { "gatewayClassName": class, "listeners": listeners } })
}

/// `True Reason` of a condition; empty without one. `status` is whatever has `conditions`: one of a route's parents, too.
pub fn condition(status: &Value, kind: &str) -> String {
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    found.map_or(String::new(), |found| {
        format!("{} {}", text(found, "status"), text(found, "reason"))
    })
}
