//! The objects, and what happened to them.

use super::faults::Faults;
use super::kinds::{ApiKind, usual};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Kind, namespace, name.
pub(super) type Key = (String, String, String);

/// All of it.
pub(super) struct State {
    pub(super) kinds: Vec<ApiKind>,
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    pub(super) history: Vec<Happened>,
    /// The latest resource version.
    pub(super) version: u64,
    /// What happened up to this version is forgotten.
    pub(super) forgotten: u64,
    pub(super) token: String,
    pub(super) faults: Faults,
    pub(super) cuts: u64,
    pub(super) bookmarks: u64,
    pub(super) counts: Counts,
    /// What each manager applied last.
    pub(super) applied: BTreeMap<(Key, String), Value>,
}

/// How often it was asked.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) lists: BTreeMap<String, u64>,
    pub(super) pages: BTreeMap<String, u64>,
    pub(super) watches: BTreeMap<String, u64>,
    pub(super) asked: BTreeSet<String>,
    /// Writes that changed something: `verb Kind namespace/name`.
    pub(super) writes: Vec<String>,
}

/// Something that happened to an object.
#[derive(Clone)]
pub(super) struct Happened {
    pub(super) version: u64,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub(super) what: &'static str,
    pub(super) kind: String,
    pub(super) object: Arc<Value>,
    /// As it was before.
    pub(super) before: Option<Arc<Value>>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            kinds: usual(),
            objects: BTreeMap::new(),
            history: Vec::new(),
            version: 100,
            forgotten: 0,
            token: "first".into(),
            faults: Faults::default(),
            cuts: 0,
            bookmarks: 0,
            counts: Counts::default(),
            applied: BTreeMap::new(),
        }
    }

    /// The kind of this name.
    pub(super) fn kind(&self, name: &str) -> Option<&ApiKind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    pub(super) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects
            .get(&(kind.into(), namespace.into(), name.into()))
            .map(|object| &**object)
    }

    /// Puts an object as it is, with the server's own metadata.
    pub(super) fn put(&mut self, object: &Value) {
        let (kind, namespace, name) = key(object);
        assert!(self.kind(&kind).is_some(), "no such kind: {kind}");
        let mut next = object.clone();
        let before = self.objects.get(&(kind.clone(), namespace, name)).cloned();
        self.own_metadata(&mut next, before.as_deref());
        if before.as_deref().is_some_and(|before| is_same(before, &next)) {
            return;
        }
        self.store(&kind, next, before);
    }

    /// Stores the next state of an object under the next version.
    pub(super) fn store(&mut self, kind: &str, mut next: Value, before: Option<Arc<Value>>) -> Arc<Value> {
        self.version += 1;
        next["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let next = Arc::new(next);
        self.objects.insert(key(&next), Arc::clone(&next));
        self.history.push(Happened {
            version: self.version,
            what: if before.is_some() { "MODIFIED" } else { "ADDED" },
            kind: kind.into(),
            object: Arc::clone(&next),
            before,
        });
        next
    }

    pub(super) fn delete(&mut self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let before = self.objects.remove(&(kind.into(), namespace.into(), name.into()))?;
        self.version += 1;
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let last = Arc::new(last);
        self.history.push(Happened {
            version: self.version,
            what: "DELETED",
            kind: kind.into(),
            object: Arc::clone(&last),
            before: Some(before),
        });
        Some(last)
    }

    pub(super) fn remove_kind(&mut self, name: &str) -> ApiKind {
        let gone: Vec<Key> = self.objects.keys().filter(|key| key.0 == name).cloned().collect();
        for (kind, namespace, name) in gone {
            self.delete(&kind, &namespace, &name);
        }
        let at = self.kinds.iter().position(|kind| kind.name == name);
        self.kinds.remove(at.unwrap_or_else(|| panic!("no kind {name}")))
    }

    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.history.clear();
    }

    /// uid, generation, creationTimestamp, managedFields: the server's word.
    pub(super) fn own_metadata(&self, next: &mut Value, before: Option<&Value>) {
        let (kind, namespace, name) = key(next);
        let uid = format!("uid-{kind}-{namespace}-{name}-{}", self.version);
        let generation = before
            .and_then(|before| before["metadata"]["generation"].as_u64())
            .unwrap_or(0);
        let is_new_spec = before.is_none_or(|before| before.get("spec") != next.get("spec"));
        let given = next["metadata"].get("creationTimestamp").cloned();
        let meta = &mut next["metadata"];
        meta["uid"] = before.map_or_else(|| json!(uid), |before| before["metadata"]["uid"].clone());
        meta["generation"] = json!(generation + u64::from(is_new_spec));
        let created = given.or_else(|| before.map(|before| before["metadata"]["creationTimestamp"].clone()));
        meta["creationTimestamp"] = created.unwrap_or_else(|| json!("2026-01-02T00:00:00Z"));
        let managers = before.map(|before| before["metadata"]["managedFields"].clone());
        meta["managedFields"] = managers
            .unwrap_or_else(|| json!([{ "manager": "kubectl", "operation": "Apply", "fieldsV1": { "f:spec": {} } }]));
    }
}

/// The same but for the version.
pub(super) fn is_same(before: &Value, next: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        value["metadata"]
            .as_object_mut()
            .map(|meta| meta.remove("resourceVersion"));
        value
    };
    bare(before) == bare(next)
}

/// Kind, namespace and name of an object.
pub(super) fn key(object: &Value) -> Key {
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    (text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// `Kind namespace/name`.
pub(super) fn display(object: &Value) -> String {
    let (kind, namespace, name) = key(object);
    format!("{kind} {namespace}/{name}")
}
