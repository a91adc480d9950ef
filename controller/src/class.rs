//! GatewayClasses: which are ours, and what their status says.

use crate::CONTROLLER_NAME;
use crate::conditions::{Condition, Written};
use serde_json::{Value, json};

/// Whether a GatewayClass is ours to look after.
pub fn is_ours(class: &Value) -> bool {
    class.pointer("/spec/controllerName").and_then(Value::as_str) == Some(CONTROLLER_NAME)
}

/// Whether its Gateways are looked after.
pub fn is_accepted(class: &Value) -> bool {
    is_ours(class) && refusal(class).is_none()
}

/// What the Gateway API's conformance profiles MESH-HTTP and MESH-GRPC ask for, core and extended (GEP-2162, its
/// `pkg/features`): all of it. Features of gateways are not told, whether routes have them here or not: they would ask for
/// tests from outside the mesh.
const FEATURES: [&str; 12] = [
    "GRPCRoute",
    "HTTPRoute",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
];

/// The part of the status of a class of ours that is to be written next, or `None` when it says all already. `now` is RFC
/// 3339. Features come after the conditions: CRDs before 1.3 do not know them, or have them in another form.
pub fn status(class: &Value, now: &str) -> Option<Value> {
    let generation = class.pointer("/metadata/generation").and_then(Value::as_i64);
    let written = Written {
        generation: generation.unwrap_or(0),
        now,
    };
    let accepted = match refusal(class) {
        None => Condition::holds("Accepted", "Accepted", "Gateways of this class get a waypoint"),
        Some(why) => Condition::fails("Accepted", "InvalidParameters", why),
    };
    let before = class.pointer("/status/conditions");
    let conditions = json!(written.conditions(&[accepted], before));
    if before != Some(&conditions) {
        return Some(json!({ "conditions": conditions }));
    }
    let features = features();
    (class.pointer("/status/supportedFeatures") != Some(&features)).then(|| json!({ "supportedFeatures": features }))
}

/// `supportedFeatures`, in order, as the CRD wants it.
fn features() -> Value {
    FEATURES.iter().map(|name| json!({ "name": name })).collect()
}

fn refusal(class: &Value) -> Option<&'static str> {
    let parameters = class.pointer("/spec/parametersRef").filter(|value| !value.is_null());
    parameters.map(
        |_| "spec.parametersRef: expected none: a Gateway's own infrastructure.parametersRef says what is wanted of it",
    )
}

#[cfg(test)]
mod tests;
