//! What a Gateway's status says: true things only, and nothing new when nothing has changed.
//!
//! Reasons are those of the Gateway API (`apis/v1/gateway_types.go`). `status.addresses` appears with the first ready
//! pod, because istiod takes a waypoint into use as soon as it has an address; and it stays when no pod is ready any more,
//! because traffic would then pass by the waypoint and its policies.

use crate::conditions::{Condition, Written};
use crate::{Gateway, Listener, Settings};
use serde_json::{Value, json};

/// What is known about a Gateway's pods and routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Pods of its Deployment that are ready.
    pub ready_pods: u64,
    /// Why what belongs to it could not be made, in words.
    pub failed: Option<String>,
    /// Why the overlays of its `parametersRef` are not what they must be.
    pub bad_parameters: Option<String>,
    /// Routes bound to each of its listeners, in the listeners' order.
    pub attached_routes: Vec<u32>,
}

/// The kinds of routes that an HBONE listener takes.
const KINDS: [&str; 4] = ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"];
const GROUP: &str = "gateway.networking.k8s.io";
const NO_PODS: &str = "no pod of the waypoint is ready yet";
const NO_PODS_NOW: &str = "no pod of the waypoint is ready: what is sent to it fails, and does not pass by it";
const BY_HAND: &str = "the addresses are those of the spec: what is behind them is looked after by somebody else";

/// The status, or `None` when `current` says it already. `now` is RFC 3339.
pub fn gateway(
    gateway: &Gateway,
    settings: &Settings,
    observed: &Observed,
    current: Option<&Value>,
    now: &str,
) -> Option<Value> {
    let written = Written {
        generation: gateway.generation,
        now,
    };
    let old = |pointer: &str| current.and_then(|status| status.pointer(pointer));
    let addresses = addresses(gateway, settings, observed, old("/addresses"));
    let conditions = [
        accepted(gateway, observed),
        programmed(gateway, observed, !addresses.is_empty()),
    ];
    let listeners: Vec<Value> = gateway
        .listeners
        .iter()
        .enumerate()
        .map(|(i, listener)| {
            let before = old("/listeners").and_then(Value::as_array).and_then(|all| {
                all.iter()
                    .find(|one| one.get("name").and_then(Value::as_str) == Some(&listener.name))
            });
            let routes = observed.attached_routes.get(i).copied().unwrap_or_default();
            self::listener(gateway, listener, routes, observed, before, &written)
        })
        .collect();
    let status = json!({
        "addresses": addresses,
        "conditions": written.conditions(&conditions, old("/conditions")),
        "listeners": listeners,
    });
    // What others say of it beside these fields is theirs.
    let is_said = |(field, wanted): (&String, &Value)| current.and_then(|status| status.get(field)) == Some(wanted);
    let is_new = !status.as_object().is_some_and(|fields| fields.iter().all(is_said));
    is_new.then_some(status)
}

/// Whether anything is made for it.
pub fn is_accepted(gateway: &Gateway, observed: &Observed) -> bool {
    accepted(gateway, observed).holds
}

fn addresses(gateway: &Gateway, settings: &Settings, observed: &Observed, before: Option<&Value>) -> Vec<Value> {
    if gateway.is_manual {
        return gateway.addresses.clone();
    }
    let own = json!({ "type": "Hostname", "value": gateway.host(&settings.cluster_domain) });
    match before.and_then(Value::as_array) {
        // Also one of a name that it had before, until there is something behind the new one.
        Some(before) if observed.ready_pods == 0 => before.clone(),
        None if observed.ready_pods == 0 => Vec::new(),
        _ => vec![own],
    }
}

fn accepted(gateway: &Gateway, observed: &Observed) -> Condition {
    if let Some(why) = &observed.bad_parameters {
        let message = format!("infrastructure.parametersRef: {why}");
        return Condition::fails("Accepted", "InvalidParameters", message);
    }
    if let Some(kind) = &gateway.bad_parameters {
        let message = format!("infrastructure.parametersRef: expected a ConfigMap, found {kind}");
        return Condition::fails("Accepted", "InvalidParameters", message);
    }
    let bad: Vec<&str> = gateway
        .listeners
        .iter()
        .filter(|listener| refusal(gateway, listener).is_some())
        .map(|listener| listener.name.as_str())
        .collect();
    let has_hbone = gateway
        .listeners
        .iter()
        .any(|listener| refusal(gateway, listener).is_none());
    match (bad.is_empty(), has_hbone) {
        (true, true) => Condition::holds("Accepted", "Accepted", "a waypoint of this class"),
        // The Gateway API: accepted as long as one listener is, with the reason that some are not.
        (false, true) => {
            let message = format!("served, but for the listeners {}", bad.join(", "));
            Condition::holds("Accepted", "ListenersNotValid", message)
        }
        (_, false) => {
            let message = "expected a listener with protocol HBONE on port 15008, found none: a waypoint has no other";
            Condition::fails("Accepted", "ListenersNotValid", message)
        }
    }
}

fn programmed(gateway: &Gateway, observed: &Observed, has_address: bool) -> Condition {
    let kind = "Programmed";
    if let Some(why) = &observed.failed {
        return Condition::fails(kind, "Invalid", why.clone());
    }
    if !is_accepted(gateway, observed) {
        return Condition::fails(kind, "Invalid", "the Gateway is not accepted");
    }
    match observed.ready_pods {
        _ if gateway.is_manual => Condition::holds(kind, "Programmed", BY_HAND),
        0 if has_address => Condition::fails(kind, "Pending", NO_PODS_NOW),
        0 => Condition::fails(kind, "AddressNotAssigned", NO_PODS),
        n => Condition::holds(kind, "Programmed", format!("{n} ready")),
    }
}

/// Why a listener cannot be served.
fn refusal(gateway: &Gateway, listener: &Listener) -> Option<(&'static str, String)> {
    if listener.protocol != "HBONE" {
        let message = format!("expected protocol HBONE, found {}", listener.protocol);
        return Some(("UnsupportedProtocol", message));
    }
    if listener.port != 15008 {
        let message = format!(
            "expected port 15008, where node tunnels look for a waypoint, found {}",
            listener.port
        );
        return Some(("PortUnavailable", message));
    }
    let first = gateway
        .listeners
        .iter()
        .find(|one| one.protocol == "HBONE" && one.port == 15008);
    (first != Some(listener)).then(|| ("ProtocolConflict", "another listener has the same port".to_owned()))
}

fn listener(
    gateway: &Gateway,
    listener: &Listener,
    routes: u32,
    observed: &Observed,
    before: Option<&Value>,
    written: &Written<'_>,
) -> Value {
    let refusal = refusal(gateway, listener);
    let accepted = match &refusal {
        None => Condition::holds("Accepted", "Accepted", "served"),
        Some((reason, message)) => Condition::fails("Accepted", reason, message.clone()),
    };
    let conflicted = match &refusal {
        Some((reason @ "ProtocolConflict", message)) => Condition::holds("Conflicted", reason, message.clone()),
        _ => Condition::fails("Conflicted", "NoConflicts", "no other listener has this port"),
    };
    let programmed = match (&refusal, observed.ready_pods) {
        (Some(_), _) => Condition::fails("Programmed", "Invalid", "the listener is not accepted"),
        (None, 0) if !gateway.is_manual => Condition::fails("Programmed", "Pending", NO_PODS),
        (None, _) => Condition::holds("Programmed", "Programmed", "served"),
    };
    let (kinds, resolved) = kinds(listener);
    let conditions = [accepted, conflicted, programmed, resolved];
    json!({
        "name": listener.name,
        "attachedRoutes": if refusal.is_none() { routes } else { 0 },
        "supportedKinds": kinds,
        "conditions": written.conditions(&conditions, before.and_then(|status| status.get("conditions"))),
    })
}

/// The kinds that the listener takes, and whether it asks for others.
fn kinds(listener: &Listener) -> (Vec<Value>, Condition) {
    let json = |kind: &str| json!({ "group": GROUP, "kind": kind });
    if listener.kinds.is_empty() {
        let all = KINDS.iter().map(|kind| json(kind)).collect();
        return (
            all,
            Condition::holds("ResolvedRefs", "ResolvedRefs", "nothing is missing"),
        );
    }
    let is_known = |(group, kind): &&(String, String)| group == GROUP && KINDS.contains(&kind.as_str());
    let (known, other): (Vec<_>, Vec<_>) = listener.kinds.iter().partition(is_known);
    let known = known.iter().map(|(_, kind)| json(kind)).collect();
    if other.is_empty() {
        return (
            known,
            Condition::holds("ResolvedRefs", "ResolvedRefs", "nothing is missing"),
        );
    }
    let names: Vec<String> = other.iter().map(|(group, kind)| format!("{group}/{kind}")).collect();
    let message = format!("expected {}, found {}", KINDS.join(", "), names.join(", "));
    (known, Condition::fails("ResolvedRefs", "InvalidRouteKinds", message))
}

#[cfg(test)]
mod tests;
