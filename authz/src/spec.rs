//! The `spec` of Istio's security resources, as written, and what is wrong with one.

use serde::Deserialize;

/// `AuthorizationPolicy.spec`, less what binds it (targetRefs, selector), which `mesh` resolves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationPolicySpec {
    /// ALLOW (default), DENY, AUDIT, CUSTOM. Unknown text is a problem, and the policy then denies (fail closed).
    pub action: Option<String>,
    /// Rules, OR. `None`: never matches (ALLOW nothing).
    pub rules: Option<Vec<serde_json::Value>>,
}

/// `RequestAuthentication.spec`, likewise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAuthenticationSpec {
    /// jwtRules.
    pub jwt_rules: Vec<serde_json::Value>,
}

/// The mesh's trust domain and its aliases; `cluster.local` in a principal stands for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustDomains {
    /// MeshConfig `trustDomain`.
    pub own: String,
    /// MeshConfig `trustDomainAliases`.
    pub aliases: Vec<String>,
}

/// Something wrong or doubtful in a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path inside the object, for example `spec.rules[0].to[1].operation.paths[0]`.
    pub field: String,
    /// What was expected, what was found, what to do.
    pub message: String,
    /// An error (the object is refused by Istio's admission) or a warning.
    pub error: bool,
}
