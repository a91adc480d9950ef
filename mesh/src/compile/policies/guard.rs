//! The policy that belongs beside a waypoint's: bound to pods by a selector, enforced by the node tunnel, it lets in nobody
//! but the waypoint. It is no mistake that it does not bind here.

use crate::compile::gateways::Gateways;
use authz::AuthorizationPolicySpec;
use serde_json::Value;

/// Whether an ALLOW policy names nobody but waypoints that this process is, by their service accounts.
pub(super) fn lets_in_waypoints_only(spec: &AuthorizationPolicySpec, gateways: &Gateways<'_>) -> bool {
    let is_allow = matches!(spec.action.as_deref(), None | Some("ALLOW"));
    let rules = spec.rules.as_deref().unwrap_or_default();
    is_allow && !rules.is_empty() && rules.iter().all(|rule| is_of_waypoints(rule, gateways))
}

fn is_of_waypoints(rule: &Value, gateways: &Gateways<'_>) -> bool {
    let only = |value: &'_ Value, name: &str| -> Option<Value> {
        let object = value.as_object().filter(|object| object.len() == 1)?;
        object.get(name).cloned()
    };
    let principals = || -> Option<Vec<String>> {
        let mut all = Vec::new();
        for from in only(rule, "from")?.as_array()? {
            for principal in only(&only(from, "source")?, "principals")?.as_array()? {
                all.push(principal.as_str()?.to_owned());
            }
        }
        Some(all)
    };
    principals().is_some_and(|all| !all.is_empty() && all.iter().all(|principal| is_waypoint(principal, gateways)))
}

/// `<trust domain>/ns/<namespace>/sa/<Gateway>`: a waypoint runs as the service account of its Gateway's name.
fn is_waypoint(principal: &str, gateways: &Gateways<'_>) -> bool {
    let parts: Vec<&str> = principal.split('/').collect();
    matches!(parts.as_slice(), [_, "ns", namespace, "sa", name] if gateways.is_ours(namespace, name))
}
