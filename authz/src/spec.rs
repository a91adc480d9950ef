//! The `spec` of Istio's security resources, as written, and what is wrong with one.

use serde::Deserialize;
use serde_json::{Map, Value};

/// `AuthorizationPolicy.spec`. What binds it (targetRefs, selector) is resolved by the caller and only kept in
/// [`unknown`](Self::unknown), where it is recognised and passed over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationPolicySpec {
    /// ALLOW (default), DENY, AUDIT, CUSTOM. Unknown text is a problem, and the policy then denies (fail closed).
    pub action: Option<String>,
    /// Rules, OR. `None`: never matches (ALLOW nothing).
    pub rules: Option<Vec<Value>>,
    /// `provider` of a CUSTOM policy.
    pub provider: Option<Value>,
    /// Annotation `istio.io/dry-run: "true"`: compiled and checked, never enforced. Not part of the spec.
    #[serde(skip)]
    pub dry_run: bool,
    /// Everything else that stands in the spec: a field here that Istio does not know makes the policy fail closed.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl AuthorizationPolicySpec {
    /// `provider.name`, when it is a text that is not empty.
    pub fn provider_name(&self) -> Option<&str> {
        let name = self.provider.as_ref()?.get("name")?.as_str();
        name.filter(|name| !name.is_empty())
    }

    /// Whether the action is CUSTOM.
    pub fn is_custom(&self) -> bool {
        self.action.as_deref() == Some("CUSTOM")
    }
}

/// `RequestAuthentication.spec`, likewise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAuthenticationSpec {
    /// jwtRules.
    pub jwt_rules: Vec<Value>,
    /// Everything else that stands in the spec.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Something wrong or doubtful in a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path inside the object, for example `spec.rules[0].to[1].operation.paths[0]`.
    pub field: String,
    /// What was expected, what was found, what to do.
    pub message: String,
    /// An error (the object is refused by Istio's admission, or cannot be enforced as written) or a warning.
    pub error: bool,
}

/// Problems as they are collected.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
            error: true,
        });
    }

    pub(crate) fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
            error: false,
        });
    }

    /// Reports every key of `object` that is not among `known`; true when there was none.
    pub(crate) fn only_known(&mut self, object: &Map<String, Value>, known: &[&str], at: &str) -> bool {
        let mut all_known = true;
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            all_known = false;
            self.error(
                format!("{at}.{key}"),
                format!("unknown field; expected one of {}", known.join(", ")),
            );
        }
        all_known
    }
}

/// What a JSON value is, in the words of an error message.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
