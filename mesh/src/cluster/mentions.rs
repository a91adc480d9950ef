//! What an object names outside its own namespace, read from its text: which namespaces count and which Secrets are read
//! follows from it. A name too many costs a watch; one too few costs endpoints.

use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names that one object may mention; the rest is not followed.
const MOST: usize = 1024;

/// What an object mentions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Namespaces: `namespace` of references, and hosts of Services.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    /// ConfigMaps and Secrets, by kind, namespace and name.
    pub(super) objects: BTreeSet<Named>,
}

/// A ConfigMap or Secret: kind, namespace, name.
pub(super) type Named = (&'static str, Arc<str>, Arc<str>);

impl Mentions {
    /// Of an object of this kind and namespace. `own` is the waypoint's: credentials of a DestinationRule are there.
    pub(super) fn of(kind: &str, namespace: &Arc<str>, own: &Arc<str>, value: &Value) -> Self {
        let mut mentions = Self::default();
        match kind {
            "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute" => mentions.references(value.get("spec")),
            "VirtualService" => mentions.hosts(value.get("spec")),
            "DestinationRule" => {
                mentions.hosts(value.get("spec"));
                mentions.credentials(own, value.get("spec"));
            }
            "BackendTLSPolicy" => mentions.authorities(namespace, value),
            "ConfigMap" => mentions.hosts(value.get("data").and_then(|data| data.get("mesh"))),
            _ => {}
        }
        mentions
    }

    fn namespace(&mut self, namespace: &str) {
        if self.namespaces.len() < MOST && is_name(namespace, 63) {
            self.namespaces.insert(Arc::from(namespace));
        }
    }

    fn object(&mut self, kind: &'static str, namespace: &Arc<str>, name: &str) {
        if self.objects.len() < MOST && is_name(name, 253) {
            self.objects.insert((kind, Arc::clone(namespace), Arc::from(name)));
        }
    }

    /// Every `namespace: x`.
    fn references(&mut self, value: Option<&Value>) {
        visit(value, &mut |field, value| {
            if let (Some("namespace"), Value::String(namespace)) = (field, value) {
                self.namespace(namespace);
            }
        });
    }

    /// Every `name.namespace.svc...` and `namespace/host` in any text.
    fn hosts(&mut self, value: Option<&Value>) {
        visit(value, &mut |_, value| {
            let Value::String(text) = value else { return };
            let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            for word in text.split(|c: char| !in_host(c) && c != '/') {
                let (before, host) = word.rsplit_once('/').unwrap_or(("", word));
                if let (false, true) = (before.is_empty(), before.chars().all(in_host)) {
                    self.namespace(before);
                }
                let mut labels = host.split('.');
                if let (Some(_), Some(namespace), Some("svc")) = (labels.next(), labels.next(), labels.next()) {
                    self.namespace(namespace);
                }
            }
        });
    }

    /// Every `credentialName: x`, and the Secret with its authorities beside it.
    fn credentials(&mut self, own: &Arc<str>, value: Option<&Value>) {
        visit(value, &mut |field, value| {
            if let (Some("credentialName"), Value::String(name)) = (field, value) {
                self.object("Secret", own, name);
                self.object("Secret", own, &format!("{name}-cacert"));
            }
        });
    }

    /// `spec.validation.caCertificateRefs`.
    fn authorities(&mut self, namespace: &Arc<str>, value: &Value) {
        let refs = value
            .pointer("/spec/validation/caCertificateRefs")
            .and_then(Value::as_array);
        for reference in refs.into_iter().flatten() {
            let text = |field: &str| reference.get(field).and_then(Value::as_str);
            let kind = match text("kind") {
                Some("Secret") => "Secret",
                _ => "ConfigMap",
            };
            if let Some(name) = text("name") {
                self.object(kind, namespace, name);
            }
        }
    }
}

/// What Kubernetes admits as a name: it becomes part of a path and of a selector.
fn is_name(text: &str, most: usize) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !text.is_empty() && text.len() <= most && text.bytes().all(plain) && !text.starts_with('.')
}

/// Tells every scalar below a value, with the name of its field. Values come from serde_json, which bounds their depth.
fn visit(value: Option<&Value>, told: &mut impl FnMut(Option<&str>, &Value)) {
    fn walk(field: Option<&str>, value: &Value, told: &mut dyn FnMut(Option<&str>, &Value)) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(Some(name), value, told)),
            Value::Array(items) => items.iter().for_each(|item| walk(field, item, told)),
            scalar => told(field, scalar),
        }
    }
    if let Some(value) = value {
        walk(None, value, told);
    }
}

#[cfg(test)]
mod tests;
