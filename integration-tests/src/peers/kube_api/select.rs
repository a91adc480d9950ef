//! Field and label selectors, as far as clients here use them: `a=b`, `a==b`, `a!=b`, joined by commas.

use serde_json::Value;

/// What a list or watch is restricted to.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) namespace: Option<String>,
    fields: Vec<Term>,
    labels: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    key: String,
    value: String,
    is_equal: bool,
}

impl Selection {
    pub(super) fn new(namespace: Option<&str>, fields: Option<&str>, labels: Option<&str>) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            fields: terms(fields.unwrap_or_default()),
            labels: terms(labels.unwrap_or_default()),
        }
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let field = |key: &str| text(object.pointer(&format!("/{}", key.replace('.', "/"))));
        let label = |key: &str| text(object["metadata"]["labels"].get(key));
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self
                .fields
                .iter()
                .all(|term| (field(&term.key) == term.value) == term.is_equal)
            && self
                .labels
                .iter()
                .all(|term| (label(&term.key) == term.value) == term.is_equal)
    }
}

fn terms(text: &str) -> Vec<Term> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    let term = |part: &str| {
        let (key, value, is_equal) = match part.split_once("!=") {
            Some((key, value)) => (key, value, false),
            None => {
                let (key, value) = part.split_once('=').unwrap_or_else(|| panic!("selector {part:?}"));
                (key, value.trim_start_matches('='), true)
            }
        };
        Term {
            key: key.into(),
            value: value.into(),
            is_equal,
        }
    };
    parts.map(term).collect()
}
