//! What a Gateway's status says: true things only, and nothing new when nothing has changed.
//!
//! Reasons are those of the Gateway API (`apis/v1/gateway_types.go`). `status.addresses` appears with the first ready
//! pod: istiod takes a waypoint into use as soon as it has an address.

use crate::{Gateway, Listener, Settings};
use serde_json::{Value, json};

/// What is known about a Gateway's pods and routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Pods of its Deployment that are ready.
    pub ready_pods: u64,
    /// Why what belongs to it could not be made, in words.
    pub failed: Option<String>,
    /// Routes bound to each of its listeners, in the listeners' order.
    pub attached_routes: Vec<u32>,
}

/// The kinds of routes that an HBONE listener takes.
const KINDS: [&str; 4] = ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"];
const GROUP: &str = "gateway.networking.k8s.io";
const NO_PODS: &str = "no pod of the waypoint is ready yet";

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
    let conditions = [accepted(gateway), programmed(gateway, observed)];
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
    let host = gateway.host(&settings.cluster_domain);
    let addresses = if observed.ready_pods > 0 {
        json!([{ "type": "Hostname", "value": host }])
    } else {
        json!([])
    };
    let status = json!({
        "addresses": addresses,
        "conditions": written.conditions(&conditions, old("/conditions")),
        "listeners": listeners,
    });
    (current != Some(&status)).then_some(status)
}

/// A condition before it has times.
struct Condition {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    fn holds(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            holds: true,
            reason,
            message: message.into(),
        }
    }

    fn fails(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            holds: false,
            ..Self::holds(kind, reason, message)
        }
    }
}

fn accepted(gateway: &Gateway) -> Condition {
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

fn programmed(gateway: &Gateway, observed: &Observed) -> Condition {
    let kind = "Programmed";
    if let Some(why) = &observed.failed {
        return Condition::fails(kind, "Invalid", why.clone());
    }
    if !accepted(gateway).holds {
        return Condition::fails(kind, "Invalid", "the Gateway is not accepted");
    }
    match observed.ready_pods {
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
        (None, 0) => Condition::fails("Programmed", "Pending", NO_PODS),
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

/// When and for which generation conditions are written.
struct Written<'a> {
    generation: i64,
    now: &'a str,
}

impl Written<'_> {
    /// `lastTransitionTime` stays as long as the status does. Conditions of others stay as they are.
    fn conditions(&self, conditions: &[Condition], before: Option<&Value>) -> Vec<Value> {
        let before = before.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let kind_of = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
        let mut all: Vec<Value> = conditions
            .iter()
            .map(|condition| {
                let old = before
                    .iter()
                    .find(|old| kind_of(old).as_deref() == Some(condition.kind));
                self.condition(condition, old)
            })
            .collect();
        let is_ours = |value: &&Value| kind_of(value).is_some_and(|kind| conditions.iter().any(|one| one.kind == kind));
        all.extend(before.iter().filter(|value| !is_ours(value)).cloned());
        all
    }

    fn condition(&self, condition: &Condition, old: Option<&Value>) -> Value {
        let status = if condition.holds { "True" } else { "False" };
        let same = old.filter(|old| old.get("status").and_then(Value::as_str) == Some(status));
        let since = same
            .and_then(|old| old.get("lastTransitionTime")?.as_str())
            .unwrap_or(self.now);
        json!({
            "type": condition.kind, "status": status, "reason": condition.reason, "message": condition.message,
            "observedGeneration": self.generation, "lastTransitionTime": since,
        })
    }
}

#[cfg(test)]
mod tests;
