//! What may be touched: objects that this controller made for this very Gateway, and nothing else.

use crate::{CONTROLLER_NAME, Gateway};
use serde_json::Value;

/// Whether the object belongs to this Gateway: it is its owner, by uid, not by name.
pub fn belongs(object: &Value, gateway: &Gateway) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        let text = |field: &str| owner.get(field).and_then(Value::as_str);
        text("kind") == Some("Gateway") && text("uid") == Some(&gateway.uid)
    })
}

/// Whether this controller applied it: it is one of its field managers. `metadata.managedFields` as the API server gives
/// it, or only the managers' names.
pub fn is_made(object: &Value) -> bool {
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let is_us = |entry: &Value| entry.as_str().or_else(|| entry.get("manager")?.as_str()) == Some(CONTROLLER_NAME);
    managers.into_iter().flatten().any(is_us)
}

/// What a live object has where something is wanted of it: the same as after it was applied, unless somebody changed that.
/// Fields that nobody asked for (defaults, other managers' fields, the server's own words) are not in it.
pub fn shadow(wanted: &Value, live: &Value) -> Value {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            let fields = wanted.iter().map(|(name, wanted)| {
                let live = live.get(name).map_or(Value::Null, |live| shadow(wanted, live));
                (name.clone(), live)
            });
            Value::Object(fields.collect())
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => Value::Array(
            wanted
                .iter()
                .zip(live)
                .map(|(wanted, live)| shadow(wanted, live))
                .collect(),
        ),
        (_, live) => live.clone(),
    }
}

#[cfg(test)]
mod tests;
