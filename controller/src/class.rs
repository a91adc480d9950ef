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

/// The status of a class of ours, or `None` when it says so already. `now` is RFC 3339.
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
    (before != Some(&conditions)).then(|| json!({ "conditions": conditions }))
}

fn refusal(class: &Value) -> Option<&'static str> {
    let parameters = class.pointer("/spec/parametersRef").filter(|value| !value.is_null());
    parameters.map(
        |_| "spec.parametersRef: expected none: a Gateway's own infrastructure.parametersRef says what is wanted of it",
    )
}

#[cfg(test)]
mod tests;
