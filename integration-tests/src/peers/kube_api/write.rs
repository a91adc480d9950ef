//! Writing: create, replace, merge, apply, the status subresource, delete; with conflicts as the server has them.

use super::paths::Target;
use super::serve::Refusal;
use super::state::{State, is_same};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a client asks for.
pub(super) enum Write<'w> {
    /// POST
    Create(Value),
    /// PUT
    Replace(Value),
    /// PATCH of merge-patch form.
    Merge(Value),
    /// PATCH of apply form, by this field manager.
    Apply {
        object: Value,
        manager: &'w str,
        force: bool,
    },
    /// DELETE, of the object with this uid if one is given.
    Delete { uid: Option<String> },
}

impl Write<'_> {
    fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Replace(_) => "replace",
            Self::Merge(_) => "merge",
            Self::Apply { .. } => "apply",
            Self::Delete { .. } => "delete",
        }
    }
}

/// Does it: the object as it is then.
pub(super) fn write(
    state: &mut State,
    kind: &str,
    target: &Target<'_>,
    write: Write<'_>,
) -> Result<Arc<Value>, Refusal> {
    let is_status = target.subresource == Some("status");
    let given = match &write {
        Write::Create(object) | Write::Replace(object) | Write::Apply { object, .. } => {
            object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
        }
        Write::Merge(_) | Write::Delete { .. } => String::new(),
    };
    let name = target.name.map_or(given, str::to_owned);
    let namespace = target.namespace.unwrap_or_default();
    let key = (kind.to_owned(), namespace.to_owned(), name.clone());
    let before = state.objects.get(&key).cloned();
    if let Some(at) = state.faults.conflicts.iter().position(|of| of == kind) {
        state.faults.conflicts.remove(at);
        return Err(Refusal::conflict("as the test wants it"));
    }
    let told = format!("{} {kind} {namespace}/{name}", write.verb());
    let mut next = match (&write, &before) {
        (Write::Delete { uid }, before) => {
            if let (Some(uid), Some(before)) = (uid, before)
                && before["metadata"]["uid"] != **uid
            {
                return Err(Refusal::conflict("Precondition failed: UID in precondition"));
            }
            state.counts.writes.push(told);
            let gone = state.delete(kind, namespace, &name);
            return gone.ok_or_else(|| Refusal::not_found(target, &name));
        }
        (Write::Create(_), Some(_)) => return Err(Refusal::exists(target, &name)),
        (Write::Replace(_) | Write::Merge(_), None) => return Err(Refusal::not_found(target, &name)),
        (Write::Apply { object, .. }, before) if is_of_another(object, before.as_deref()) => {
            return Err(Refusal::conflict("Precondition failed: UID in precondition"));
        }
        (Write::Apply { .. }, None) if is_status => return Err(Refusal::not_found(target, &name)),
        (Write::Create(object) | Write::Apply { object, .. }, None) | (Write::Replace(object), Some(_)) => {
            object.clone()
        }
        (Write::Merge(patch), Some(before)) => merged((**before).clone(), patch),
        (Write::Apply { object, manager, force }, Some(before)) => {
            if !force && let Some(owner) = other_owner(before, manager, object) {
                return Err(Refusal::conflict(&format!("conflict with \"{owner}\"")));
            }
            let last = state.applied.get(&(key.clone(), (*manager).to_owned()));
            let kept = last.map_or_else(|| (**before).clone(), |last| without((**before).clone(), last, object));
            merged(kept, object)
        }
    };
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    if let (Some(before), Write::Replace(object) | Write::Merge(object)) = (&before, &write)
        && version(object).is_some_and(|wanted| Some(wanted) != version(before))
    {
        return Err(Refusal::conflict(
            "the object has been modified; please apply your changes to the latest version",
        ));
    }
    next["metadata"]["name"] = json!(name);
    if !namespace.is_empty() {
        next["metadata"]["namespace"] = json!(namespace);
    }
    next["kind"] = json!(kind);
    if let Some(before) = &before {
        // The status is written by its own subresource, and nothing else is.
        if is_status {
            let status = next["status"].take();
            next = (**before).clone();
            next["status"] = status;
        } else if let Some(status) = before.get("status") {
            next["status"] = status.clone();
        }
    }
    let managers = managers(before.as_deref(), &write);
    state.own_metadata(&mut next, before.as_deref());
    if let Some(managers) = managers {
        next["metadata"]["managedFields"] = managers;
    }
    if let Write::Apply { object, manager, .. } = write {
        state.applied.insert((key, manager.to_owned()), object);
    }
    // What changes nothing makes no version, and no watch tells of it.
    if let Some(before) = before.as_ref().filter(|before| is_same(before, &next)) {
        return Ok(Arc::clone(before));
    }
    state.counts.writes.push(told);
    Ok(state.store(kind, next, before))
}

/// Whether an apply names the uid of another object.
fn is_of_another(object: &Value, before: Option<&Value>) -> bool {
    let wanted = object["metadata"]["uid"].as_str();
    wanted.is_some_and(|wanted| before.is_none_or(|before| before["metadata"]["uid"] != *wanted))
}

/// Without the fields that were applied last time and are not now.
fn without(mut base: Value, last: &Value, now: &Value) -> Value {
    if let (Some(fields), Some(last)) = (base.as_object_mut(), last.as_object()) {
        for (field, last) in last {
            match (now.get(field), fields.get_mut(field)) {
                (None, _) => drop(fields.remove(field)),
                (Some(now), Some(inner)) => *inner = without(inner.take(), last, now),
                (Some(_), None) => {}
            }
        }
    }
    base
}

/// RFC 7386.
fn merged(mut base: Value, patch: &Value) -> Value {
    match patch {
        Value::Object(fields) => {
            if !base.is_object() {
                base = json!({});
            }
            for (field, value) in fields {
                if value.is_null() {
                    base.as_object_mut().unwrap().remove(field);
                } else {
                    let inner = base[field].take();
                    base[field] = merged(inner, value);
                }
            }
            base
        }
        other => other.clone(),
    }
}

/// Another manager that applied this object with something else than is applied now.
fn other_owner(before: &Value, manager: &str, object: &Value) -> Option<String> {
    let owners = before["metadata"]["managedFields"].as_array()?;
    let other = owners
        .iter()
        .filter_map(|owner| owner["manager"].as_str())
        .find(|owner| *owner != manager)?;
    let differs = ["spec", "status", "data"].iter().any(|part| {
        object
            .get(part)
            .is_some_and(|new| before.get(part).is_some_and(|old| merged(old.clone(), new) != *old))
    });
    differs.then(|| other.to_owned())
}

fn managers(before: Option<&Value>, write: &Write<'_>) -> Option<Value> {
    let Write::Apply { manager, force, .. } = write else {
        return None;
    };
    let kept = before
        .filter(|_| !force)
        .and_then(|before| before["metadata"]["managedFields"].as_array().cloned());
    let mut owners = kept.unwrap_or_default();
    if !owners.iter().any(|owner| owner["manager"] == **manager) {
        owners.push(json!({ "manager": manager, "operation": "Apply" }));
    }
    Some(json!(owners))
}
