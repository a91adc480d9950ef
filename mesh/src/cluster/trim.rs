//! What is kept of an object on its way from the API server: enough for `kinds` to read it, and no more. What is dropped
//! here can change a thousand times a second without a compile.

use super::kind::Kind;
use crate::object::is_read_annotation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// An object as the store takes it. Not to be printed: it may be a Secret.
pub(super) struct Seen {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    /// `uid/resourceVersion`: an object that is listed again is not read again.
    pub(super) version: Box<str>,
    /// The same for the same content, whatever its version.
    pub(super) fingerprint: u64,
    /// As `object::read` takes it.
    pub(super) value: Value,
}

/// Trims. `None`: it has no name.
pub(super) fn trim(kind: &Kind, version: &str, object: DynamicObject) -> Option<Seen> {
    let DynamicObject { metadata, data, .. } = object;
    let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone()?);
    let told = format!(
        "{}/{}",
        metadata.uid.as_deref().unwrap_or_default(),
        metadata.resource_version.as_deref().unwrap_or_default()
    );
    let mut value = match data {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    match kind.name {
        "Pod" => pod(&mut value),
        "Node" | "Namespace" => value.retain(|_, _| false),
        // Its addresses are told there.
        "ServiceEntry" => {}
        _ => {
            value.remove("status");
        }
    }
    value.insert("apiVersion".to_owned(), json!(kind.api_version(version)));
    value.insert("kind".to_owned(), json!(kind.name));
    value.insert("metadata".to_owned(), meta(metadata));
    let value = Value::Object(value);
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    Some(Seen {
        namespace: Arc::from(namespace),
        name: Arc::from(name),
        version: told.into(),
        fingerprint: hasher.finish(),
        value,
    })
}

fn meta(meta: ObjectMeta) -> Value {
    let mut out = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(field.to_owned(), value);
        }
    };
    put("name", meta.name.map(Value::from));
    put("namespace", meta.namespace.map(Value::from));
    put("labels", meta.labels.map(|labels| json!(labels)));
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.retain(|key, _| is_read_annotation(key));
    put("annotations", (!annotations.is_empty()).then(|| json!(annotations)));
    put("creationTimestamp", meta.creation_timestamp.map(|time| json!(time)));
    put("generation", meta.generation.map(Value::from));
    put(
        "ownerReferences",
        meta.owner_references.map(|owners| {
            let owner = owners.into_iter().filter(|owner| owner.controller == Some(true));
            owner
                .map(|owner| json!({ "controller": true, "kind": owner.kind, "name": owner.name }))
                .collect()
        }),
    );
    Value::Object(out)
}

/// Of a pod: who it is, its ports, its addresses and whether it is ready.
fn pod(pod: &mut Map<String, Value>) {
    pod.retain(|field, _| matches!(field.as_str(), "spec" | "status"));
    if let Some(Value::Object(spec)) = pod.get_mut("spec") {
        spec.retain(|field, _| {
            matches!(
                field.as_str(),
                "serviceAccountName" | "nodeName" | "hostNetwork" | "containers"
            )
        });
        if let Some(Value::Array(containers)) = spec.get_mut("containers") {
            for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                container.retain(|field, _| field == "ports");
            }
        }
    }
    if let Some(Value::Object(status)) = pod.get_mut("status") {
        status.retain(|field, _| matches!(field.as_str(), "phase" | "podIP" | "podIPs" | "conditions"));
        if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
            conditions.retain(|condition| condition.get("type").and_then(Value::as_str) == Some("Ready"));
            for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
                condition.retain(|field, _| matches!(field.as_str(), "type" | "status"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
