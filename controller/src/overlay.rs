//! The owner's wishes on top of what we make: the ConfigMap of `spec.infrastructure.parametersRef`, one key for a kind,
//! merged as `kubectl patch --type strategic` merges.

use serde_json::{Map, Value};
use thiserror::Error;

/// Nested maps and lists of an overlay at most.
const MAX_DEPTH: usize = 64;

/// Why an overlay is not applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadOverlay {
    /// It is a list or a scalar.
    #[error("expected fields of the object, found something else")]
    NotAnObject,
    /// It is nested too deeply.
    #[error("expected at most {MAX_DEPTH} nested fields, found more")]
    TooDeep,
    /// It changes what makes the object this Gateway's.
    #[error("{} cannot be changed by an overlay: it says whose object this is; take it out", .0.replace("~1", "/"))]
    Fixed(&'static str),
}

/// What an overlay must leave alone, as JSON pointers.
const FIXED: [&str; 8] = [
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/ownerReferences",
    "/metadata/labels/gateway.networking.k8s.io~1gateway-name",
    "/spec/selector",
    "/spec/template/metadata/labels/gateway.networking.k8s.io~1gateway-name",
];

/// The object with the overlay on top. Maps are merged, `null` deletes, lists of named things are merged by name
/// (containers, volumes, environment, ports, mounts), other lists are replaced. `$patch: delete` in an element of such a
/// list deletes it; `$patch: replace` in a map replaces it.
///
/// # Errors
/// The overlay is not fields, or changes whose object this is: nothing of it is applied.
pub fn apply(object: &Value, overlay: &Value) -> Result<Value, BadOverlay> {
    if !overlay.is_object() {
        return Err(BadOverlay::NotAnObject);
    }
    let merged = merge(object, overlay, MAX_DEPTH)?;
    // The selector of a disruption budget is fixed like a Deployment's: both say which pods are meant.
    let changed = FIXED
        .into_iter()
        .find(|pointer| merged.pointer(pointer) != object.pointer(pointer));
    match changed {
        Some(pointer) => Err(BadOverlay::Fixed(pointer.trim_start_matches('/'))),
        None => Ok(merged),
    }
}

fn merge(base: &Value, patch: &Value, depth: usize) -> Result<Value, BadOverlay> {
    let depth = depth.checked_sub(1).ok_or(BadOverlay::TooDeep)?;
    let (Value::Object(base), Value::Object(patch)) = (base, patch) else {
        return Ok(cleaned(patch));
    };
    if directive(patch) == Some("replace") {
        return Ok(cleaned(&Value::Object(patch.clone())));
    }
    let mut merged = base.clone();
    for (name, wanted) in patch {
        match (wanted, merged.get(name)) {
            (Value::Null, _) => drop(merged.remove(name)),
            (Value::Array(wanted), Some(Value::Array(there))) => {
                let list = merge_lists(name, there, wanted, depth)?;
                merged.insert(name.clone(), list);
            }
            (wanted, Some(there)) => {
                let value = merge(there, wanted, depth)?;
                merged.insert(name.clone(), value);
            }
            (wanted, None) => drop(merged.insert(name.clone(), cleaned(wanted))),
        }
    }
    Ok(Value::Object(merged))
}

fn merge_lists(field: &str, there: &[Value], wanted: &[Value], depth: usize) -> Result<Value, BadOverlay> {
    let Some(key) = merge_key(field, there, wanted) else {
        return Ok(Value::Array(wanted.to_vec()));
    };
    let mut merged = there.to_vec();
    for item in wanted {
        let place = merged.iter().position(|one| one.get(key) == item.get(key));
        let is_delete = item.as_object().and_then(directive) == Some("delete");
        match place {
            Some(place) if is_delete => drop(merged.remove(place)),
            Some(place) => {
                let value = merged.get(place).map(|one| merge(one, item, depth)).transpose()?;
                if let (Some(slot), Some(value)) = (merged.get_mut(place), value) {
                    *slot = value;
                }
            }
            None if is_delete => {}
            None => merged.push(cleaned(item)),
        }
    }
    Ok(Value::Array(merged))
}

/// The field that tells the elements of a list apart (`patchMergeKey` in Kubernetes' API), when all have it.
fn merge_key(field: &str, there: &[Value], wanted: &[Value]) -> Option<&'static str> {
    let keys: &[&str] = match field {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" | "secrets" => &["name"],
        "ports" => &["containerPort", "port"],
        "volumeMounts" => &["mountPath"],
        "topologySpreadConstraints" => &["topologyKey"],
        "hostAliases" => &["ip"],
        _ => &[],
    };
    let all_have = |key: &&&str| there.iter().chain(wanted).all(|item| item.get(**key).is_some());
    keys.iter().find(all_have).copied()
}

fn directive(map: &Map<String, Value>) -> Option<&str> {
    map.get("$patch").and_then(Value::as_str)
}

/// Without directives and deletions, which mean nothing where there is nothing below.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, value)| *name != "$patch" && !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), cleaned(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(cleaned).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
