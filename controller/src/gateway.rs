//! A Gateway as far as the controller reads it. What it does not understand it leaves alone.

use serde_json::{Map, Value};
use thiserror::Error;

/// Overrides the name of the Deployment and the Service (Istio's annotation).
const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
/// Names the ServiceAccount (Istio's annotation).
const SERVICE_ACCOUNT: &str = "gateway.istio.io/service-account";
/// `ClusterIP`, `LoadBalancer` or `NodePort` (Istio's annotation).
const SERVICE_TYPE: &str = "networking.istio.io/service-type";
/// Annotations that say something about the Gateway itself and do not pass to what belongs to it.
const NOT_PASSED_ON: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    NAME_OVERRIDE,
    SERVICE_ACCOUNT,
    SERVICE_TYPE,
    "gateway.istio.io/controller-version",
];

/// A Gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`, for owner references.
    pub uid: String,
    /// `metadata.generation`, for conditions.
    pub generation: i64,
    /// `spec.gatewayClassName`.
    pub class: String,
    /// Name of its Deployment and Service: its own, or `gateway.istio.io/name-override`.
    pub deployment: String,
    /// Name of its ServiceAccount: its own, or `gateway.istio.io/service-account`.
    pub service_account: String,
    /// `networking.istio.io/service-type`, default `ClusterIP`.
    pub service_type: String,
    /// Labels for all that belongs to it: `spec.infrastructure.labels`, else its own.
    pub labels: Map<String, Value>,
    /// Annotations likewise, without those that are about the Gateway.
    pub annotations: Map<String, Value>,
    /// The ConfigMap named by `spec.infrastructure.parametersRef`.
    pub parameters: Option<String>,
    /// A `parametersRef` that is no ConfigMap: `group/kind`.
    pub bad_parameters: Option<String>,
    /// Whether it names addresses itself: then it stands for a Deployment that somebody else looks after.
    pub is_manual: bool,
    /// Those addresses.
    pub addresses: Vec<Value>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `name`.
    pub name: String,
    /// `port`.
    pub port: u16,
    /// `protocol`.
    pub protocol: String,
    /// `allowedRoutes.kinds`, as (group, kind).
    pub kinds: Vec<(String, String)>,
}

/// Why an object is no Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a Gateway, found none at {0}")]
pub struct NotAGateway(&'static str);

impl Gateway {
    /// Reads an object of the API server.
    ///
    /// # Errors
    /// A field without which there is no Gateway is missing.
    pub fn parse(object: &Value) -> Result<Self, NotAGateway> {
        let text = |pointer: &'static str| {
            let value = object.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned).ok_or(NotAGateway(pointer))
        };
        let name = text("/metadata/name")?;
        let annotation = |name: &str| {
            let all = object.pointer("/metadata/annotations")?;
            all.get(name)?
                .as_str()
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
        };
        let reference = object.pointer("/spec/infrastructure/parametersRef");
        let parameters = reference.map(config_map);
        let addresses = object.pointer("/spec/addresses").and_then(Value::as_array);
        let addresses = addresses.cloned().unwrap_or_default();
        Ok(Self {
            namespace: text("/metadata/namespace")?,
            uid: text("/metadata/uid")?,
            generation: object
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0),
            class: text("/spec/gatewayClassName")?,
            deployment: annotation(NAME_OVERRIDE).unwrap_or_else(|| name.clone()),
            service_account: annotation(SERVICE_ACCOUNT).unwrap_or_else(|| name.clone()),
            service_type: annotation(SERVICE_TYPE).unwrap_or_else(|| "ClusterIP".to_owned()),
            labels: passed_on(object, "labels"),
            annotations: passed_on(object, "annotations"),
            bad_parameters: parameters.clone().and_then(Result::err),
            parameters: parameters.and_then(Result::ok),
            is_manual: !addresses.is_empty(),
            addresses,
            listeners: listeners(object),
            name,
        })
    }

    /// `name.namespace.svc.<domain>`: where the waypoint is found, and what `status.addresses` says.
    pub fn host(&self, cluster_domain: &str) -> String {
        format!("{}.{}.svc.{cluster_domain}", self.deployment, self.namespace)
    }
}

/// `spec.infrastructure.*`, else the Gateway's own (Gateway API: infrastructure replaces what implementations copied).
fn passed_on(object: &Value, what: &str) -> Map<String, Value> {
    let own = object.pointer("/metadata").and_then(|meta| meta.get(what));
    let wanted = match object.pointer("/spec/infrastructure") {
        Some(infrastructure) => infrastructure.get(what),
        None => own,
    };
    let mut wanted = wanted.and_then(Value::as_object).cloned().unwrap_or_default();
    wanted.retain(|name, value| value.is_string() && !NOT_PASSED_ON.contains(&name.as_str()));
    wanted
}

fn config_map(reference: &Value) -> Result<String, String> {
    let field = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    match (field("group"), field("kind"), field("name")) {
        ("", "ConfigMap", name) if !name.is_empty() => Ok(name.to_owned()),
        (group, kind, _) => Err(format!("{group}/{kind}")),
    }
}

fn listeners(object: &Value) -> Vec<Listener> {
    let listeners = object.pointer("/spec/listeners").and_then(Value::as_array);
    listeners.into_iter().flatten().filter_map(listener).collect()
}

fn listener(value: &Value) -> Option<Listener> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let kinds = value.pointer("/allowedRoutes/kinds").and_then(Value::as_array);
    let kind = |kind: &Value| {
        let group = text(kind, "group").unwrap_or_else(|| "gateway.networking.k8s.io".to_owned());
        Some((group, text(kind, "kind")?))
    };
    Some(Listener {
        name: text(value, "name")?,
        port: u16::try_from(value.get("port")?.as_u64()?).ok()?,
        protocol: text(value, "protocol")?,
        kinds: kinds.into_iter().flatten().filter_map(kind).collect(),
    })
}
