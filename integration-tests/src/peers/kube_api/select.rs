//! Field and label selectors, as far as clients here use them: `a=b`, `a==b`, `a!=b`, and `a` alone (there is such a label),
//! joined by commas.

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
    /// `None`: any.
    value: Option<String>,
    is_equal: bool,
}

impl Term {
    fn holds(&self, found: Option<&str>) -> bool {
        match &self.value {
            None => found.is_some(),
            Some(value) => (found.unwrap_or_default() == value) == self.is_equal,
        }
    }
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
        let field = |key: &str| {
            object
                .pointer(&format!("/{}", key.replace('.', "/")))
                .and_then(Value::as_str)
        };
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self.fields.iter().all(|term| term.holds(field(&term.key)))
            && self.labels.iter().all(|term| term.holds(label(&term.key)))
    }
}

fn terms(text: &str) -> Vec<Term> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    let term = |part: &str| {
        let (key, value, is_equal) = match part.split_once("!=") {
            Some((key, value)) => (key, Some(value), false),
            None => match part.split_once('=') {
                Some((key, value)) => (key, Some(value.trim_start_matches('=')), true),
                None => (part, None, true),
            },
        };
        Term {
            key: key.into(),
            value: value.map(str::to_owned),
            is_equal,
        }
    };
    parts.map(term).collect()
}
