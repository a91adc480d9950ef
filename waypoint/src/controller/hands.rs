//! All writes to the API server: what must be so is made so, once, and only where it is ours to make.

use super::memory::{Memory, Next, Sight};
use controller::Gateway;
use controller::ours::{self, shadow};
use mesh::{CallError, ClusterClient};
use serde_json::{Value, json};
use std::sync::Arc;
use telemetry::ControllerMetrics;
use tokio::time::Instant;

/// The API server is away: nothing else is tried in this look.
#[derive(Debug)]
pub(super) struct Away;

/// What writes.
pub(super) struct Hands {
    client: ClusterClient,
    metrics: Arc<ControllerMetrics>,
    memory: Memory,
}

/// Who may have the object.
#[derive(Clone, Copy)]
pub(super) enum Whose<'g> {
    /// It belongs to this Gateway; another's of that name is left alone.
    Gateway(&'g Gateway),
    /// Likewise, but another's of that name will do: it was asked for by name.
    Anybody(&'g Gateway),
    /// It is ours by its name, and some fields of it may be others'.
    Shared,
}

impl Hands {
    pub(super) fn new(client: ClusterClient, metrics: Arc<ControllerMetrics>) -> Self {
        Self {
            client,
            metrics,
            memory: Memory::default(),
        }
    }

    /// A look at everything begins.
    pub(super) fn begin(&mut self) {
        self.memory.begin();
    }

    /// It ended. Gives when the next may do something that this could not.
    pub(super) fn end(&mut self) -> Option<Instant> {
        let again = self.memory.end();
        self.metrics.waiting.set(super::number(self.memory.waiting()));
        again
    }

    /// When something that waits may be tried.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.memory.wake()
    }

    /// Makes the object be as it is wanted, where it may be. `live` is how the watch has it. Gives why it is not so.
    pub(super) async fn apply(
        &mut self,
        wanted: &Value,
        live: Option<&Value>,
        whose: Whose<'_>,
    ) -> Result<Option<String>, Away> {
        let key = name(wanted);
        if let Some(why) = live.and_then(|live| refusal(wanted, live, whose)) {
            return Ok(why);
        }
        let seen = sight(wanted, live);
        match self.memory.next(&key, wanted, &seen) {
            Next::Nothing => return Ok(None),
            Next::Wait => return Ok(self.memory.why(&key).map(str::to_owned)),
            Next::Write => {}
        }
        // The watch may not have it: it is told of what has our label.
        let fresh = match live {
            Some(_) => None,
            None => match self.client.get(wanted).await {
                Ok(found) => found,
                Err(error) => return self.failed(&key, wanted, "get", error).map(Some),
            },
        };
        let live = live.or(fresh.as_ref());
        if let Some(why) = live.and_then(|live| refusal(wanted, live, whose)) {
            if let Some(why) = &why {
                self.told(&key, why);
            }
            return Ok(why);
        }
        let mut object = wanted.clone();
        let is_gateways = matches!(whose, Whose::Gateway(_) | Whose::Anybody(_));
        if let (true, Some(live)) = (is_gateways, live) {
            // That very object, and not one that takes its name now.
            put(&mut object, "uid", live.pointer("/metadata/uid"));
        }
        match self.client.apply(&object, is_gateways && live.is_some()).await {
            Ok(after) => {
                self.metrics.write(&kind(wanted), "apply", "ok");
                tracing::info!(target: "waypoint::controller", "{key} applied");
                self.memory
                    .wrote(&key, &sight(wanted, live), &sight(wanted, Some(&after)));
                Ok(None)
            }
            Err(error) => self.failed(&key, wanted, "apply", error).map(Some),
        }
    }

    /// Writes the status of an object as the watch has it. Gives why it is not so.
    pub(super) async fn status(&mut self, object: &Value, status: &Value) -> Result<bool, Away> {
        let key = format!("status of {}", name(object));
        let wanted = timeless(status);
        let before = status_sight(&wanted, object);
        if self.memory.next(&key, &wanted, &before) != Next::Write {
            return Ok(false);
        }
        match self.client.write_status(object, status).await {
            Ok(after) => {
                self.metrics.write(&kind(object), "status", "ok");
                tracing::debug!(target: "waypoint::controller", "{key} written");
                self.memory.wrote(&key, &before, &status_sight(&wanted, &after));
                Ok(true)
            }
            Err(error) => self.failed(&key, object, "status", error).map(|_| true),
        }
    }

    /// Deletes an object that this controller made.
    pub(super) async fn delete(&mut self, object: &Value) -> Result<(), Away> {
        let key = format!("deletion of {}", name(object));
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let seen = Sight {
            version: version.map(str::to_owned),
            shadow: None,
        };
        if self.memory.next(&key, &json!("deleted"), &seen) != Next::Write {
            return Ok(());
        }
        match self.client.delete(object).await {
            Ok(()) => {
                self.metrics.write(&kind(object), "delete", "ok");
                tracing::info!(target: "waypoint::controller", "{} deleted: nobody asks for it any more", name(object));
                self.memory.wrote(&key, &seen, &Sight::default());
                Ok(())
            }
            Err(error) => self.failed(&key, object, "delete", error).map(drop),
        }
    }

    fn failed(&mut self, key: &str, object: &Value, verb: &'static str, error: CallError) -> Result<String, Away> {
        let result = match &error {
            CallError::Conflict(_) => "conflict",
            CallError::NotFound(_) => "not_found",
            CallError::Denied(_) => "denied",
            CallError::Invalid(_) => "invalid",
            CallError::Unavailable(_) => "unavailable",
        };
        self.metrics.write(&kind(object), verb, result);
        let why = format!("{key}: {error}");
        // Somebody else was faster: the watch tells what it is now.
        if verb == "status" && result == "conflict" {
            self.memory.failed(key, &why);
            tracing::debug!(target: "waypoint::controller", "{why}");
        } else {
            self.told(key, &why);
        }
        if matches!(error, CallError::Unavailable(_)) {
            Err(Away)
        } else {
            Ok(why)
        }
    }

    fn told(&mut self, key: &str, why: &str) {
        if self.memory.failed(key, why) {
            tracing::warn!(target: "waypoint::controller", "{why}");
        }
    }
}

/// Why the live object is not touched; `Some(None)`: it need not be. `None`: it may be.
#[expect(clippy::option_option, reason = "three answers, said above")]
fn refusal(wanted: &Value, live: &Value, whose: Whose<'_>) -> Option<Option<String>> {
    let (gateway, is_named) = match whose {
        Whose::Gateway(gateway) => (gateway, false),
        Whose::Anybody(gateway) => (gateway, true),
        Whose::Shared => return None,
    };
    if ours::belongs(live, gateway) {
        return None;
    }
    Some((!is_named).then(|| {
        format!(
            "{} exists and does not belong to this Gateway (no ownerReference with its uid): it is left alone; remove it, or \
             give the waypoint another name by the annotation gateway.istio.io/name-override",
            name(wanted)
        )
    }))
}

fn sight(wanted: &Value, live: Option<&Value>) -> Sight {
    Sight {
        version: live.and_then(version),
        shadow: live.map(|live| shadow(wanted, live)),
    }
}

fn status_sight(wanted: &Value, object: &Value) -> Sight {
    let status = object.get("status").map(timeless).unwrap_or_default();
    Sight {
        version: version(object),
        shadow: Some(shadow(wanted, &status)),
    }
}

fn version(object: &Value) -> Option<String> {
    let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    version.map(str::to_owned)
}

/// Without times: what is said is the same whenever it is said.
fn timeless(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != "lastTransitionTime");
            Value::Object(kept.map(|(name, value)| (name.clone(), timeless(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(timeless).collect()),
        other => other.clone(),
    }
}

fn put(object: &mut Value, field: &str, value: Option<&Value>) {
    if let (Some(value), Some(meta)) = (value, object.get_mut("metadata").and_then(Value::as_object_mut)) {
        meta.insert(field.to_owned(), value.clone());
    }
}

fn kind(object: &Value) -> String {
    object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// `Deployment shop/waypoint`.
pub(super) fn name(object: &Value) -> String {
    let text = |field: &str| object.pointer(field).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {namespace}{slash}{name}", kind(object))
}

/// Whether this controller made the object for this very Gateway: then it may be deleted.
pub(super) fn is_made_for(object: &Value, gateway: &Gateway) -> bool {
    ours::belongs(object, gateway) && ours::is_made(object)
}
