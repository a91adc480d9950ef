//! Conditions as the Gateway API has them: what an object says of itself, for which generation, and since when.

use serde_json::{Value, json};

/// A condition before it has times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub kind: &'static str,
    /// `status`.
    pub holds: bool,
    /// `reason`.
    pub reason: &'static str,
    /// `message`.
    pub message: String,
}

impl Condition {
    pub(crate) fn holds(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            holds: true,
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn fails(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            holds: false,
            ..Self::holds(kind, reason, message)
        }
    }
}

/// When and for which generation conditions are written.
pub(crate) struct Written<'a> {
    /// `observedGeneration`.
    pub(crate) generation: i64,
    /// RFC 3339.
    pub(crate) now: &'a str,
}

impl Written<'_> {
    /// `lastTransitionTime` stays as long as the status does. Conditions of others stay as they are, and where they are.
    pub(crate) fn conditions(&self, conditions: &[Condition], before: Option<&Value>) -> Vec<Value> {
        let mut all = before.and_then(Value::as_array).cloned().unwrap_or_default();
        for condition in conditions {
            let place = all.iter_mut().find(|one| is_of(one, condition.kind));
            match place {
                Some(place) => *place = self.condition(condition, Some(place)),
                None => all.push(self.condition(condition, None)),
            }
        }
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

/// Whether this is a condition of this type.
pub(crate) fn is_of(condition: &Value, kind: &str) -> bool {
    condition.get("type").and_then(Value::as_str) == Some(kind)
}
