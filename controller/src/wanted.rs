//! All that is wanted for a Gateway: what belongs to it, with the overlays of its ConfigMap on top.

use crate::desired::{OVERLAY_KEYS, objects as always, on_demand};
use crate::{Gateway, Settings, overlay};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The objects, in the order in which they are applied. `overlays` are the values of the ConfigMap's keys.
///
/// # Errors
/// The first overlay that cannot be applied, with its key: then nothing is made, and what was made stays as it is.
pub fn objects(
    gateway: &Gateway,
    overlays: &BTreeMap<String, Value>,
    settings: &Settings,
) -> Result<Vec<Value>, String> {
    let mut wanted = always(gateway, settings);
    for (key, overlay) in overlays {
        let known = OVERLAY_KEYS.iter().find(|(known, _)| known == key);
        let Some((_, kind)) = known else {
            let keys: Vec<&str> = OVERLAY_KEYS.iter().map(|(key, _)| *key).collect();
            return Err(format!("{key}: expected one of {}", keys.join(", ")));
        };
        let empty = Value::Object(Map::new());
        // A key without a value asks for the object as it is by default.
        let overlay = if overlay.is_null() { &empty } else { overlay };
        let of_kind = |object: &Value| object.get("kind").and_then(Value::as_str) == Some(kind);
        if !wanted.iter().any(of_kind) {
            wanted.extend(on_demand(gateway, kind));
        }
        for object in wanted.iter_mut().filter(|object| of_kind(object)) {
            *object = overlay::apply(object, overlay).map_err(|bad| format!("{key}: {bad}"))?;
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;
