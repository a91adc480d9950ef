//! Secret: certificates and keys that other objects name. Nothing of it is ever printed.

use super::Body;
use crate::decode::{At, Problems, describe, record};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// `data` and `stringData`.
#[derive(Default)]
pub(crate) struct Secret(BTreeMap<String, Arc<[u8]>>);

impl Secret {
    /// The first of these keys that is there.
    pub(crate) fn first(&self, keys: &[&str]) -> Option<Arc<[u8]>> {
        keys.iter().find_map(|key| self.0.get(*key)).map(Arc::clone)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Parses a Secret.
pub(crate) fn parse(value: &Value, problems: &Problems) -> Body {
    let root = At::Root;
    let secret = record(value, &root, problems, |fields| {
        fields.leave_open();
        let mut all = BTreeMap::new();
        for (field, is_encoded) in [("data", true), ("stringData", false)] {
            let at = root.field(field);
            for (key, value) in fields.get(field).and_then(Value::as_object).into_iter().flatten() {
                let bytes = match value {
                    Value::String(text) if is_encoded => BASE64_STANDARD.decode(text.trim()).ok(),
                    Value::String(text) => Some(text.clone().into_bytes()),
                    // What it is instead may be told; what it says may not.
                    other if !other.is_string() => {
                        problems.error(&at.field(key), format!("expected text, found {}", kind(other)));
                        continue;
                    }
                    _ => None,
                };
                match bytes {
                    Some(bytes) => {
                        all.insert(key.clone(), Arc::from(bytes));
                    }
                    None => problems.error(&at.field(key), "expected base64"),
                }
            }
        }
        Secret(all)
    });
    Body::Secret(secret.unwrap_or_default())
}

fn kind(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Null => describe(value),
        _ => "something else".to_owned(),
    }
}
