//! AuthorizationPolicy and RequestAuthentication: what they bind to (as Telemetry does). Their rules are `authz`'s.

use super::Body;
use crate::decode::{At, Fields, Problems, record};
use authz::{Authn, AuthorizationPolicySpec, PolicyId, RequestAuthenticationSpec};
use serde_json::Value;
use std::sync::Arc;

/// `targetRefs` or `targetRef`, or what stands in their place.
#[derive(Debug, Default)]
pub(crate) struct Binding {
    /// Targets in order.
    pub(crate) targets: Vec<TargetRef>,
    /// `selector` is given.
    pub(crate) has_selector: bool,
    /// `targetRefs` are given, understood or not.
    pub(crate) has_targets: bool,
}

/// One target.
#[derive(Debug)]
pub(crate) struct TargetRef {
    /// Its path: `spec.targetRefs[0]`.
    pub(crate) field: String,
    /// `group`.
    pub(crate) group: String,
    /// `kind`.
    pub(crate) kind: String,
    /// `name`.
    pub(crate) name: String,
    /// `namespace`: must be the policy's own.
    pub(crate) namespace: Option<String>,
}

/// An AuthorizationPolicy.
#[derive(Debug)]
pub(crate) struct Authorization {
    /// What it binds to.
    pub(crate) binding: Binding,
    /// What it says.
    pub(crate) spec: AuthorizationPolicySpec,
    /// The same as text: equal texts compile to equal policies.
    pub(crate) text: Arc<str>,
}

/// A RequestAuthentication.
#[derive(Debug)]
pub(crate) struct Authentication {
    /// What it binds to.
    pub(crate) binding: Binding,
    /// What it says.
    pub(crate) spec: RequestAuthenticationSpec,
    /// The same as text.
    pub(crate) text: Arc<str>,
}

/// Parses an AuthorizationPolicy.
pub(crate) fn authorization(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    problems.extend(authz::validate(spec));
    // Those checks include what binds it.
    let binding = binding(spec, at, &Problems::default());
    let parsed = serde_json::from_value(spec.clone()).unwrap_or_else(|_| AuthorizationPolicySpec {
        // An action that does not exist: such a policy denies.
        action: Some("MALFORMED".to_owned()),
        ..AuthorizationPolicySpec::default()
    });
    Body::Authorization(Box::new(Authorization {
        binding,
        spec: parsed,
        text: Arc::from(spec.to_string()),
    }))
}

/// Parses a RequestAuthentication.
pub(crate) fn authentication(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let binding = binding(spec, at, problems);
    let parsed = serde_json::from_value::<RequestAuthenticationSpec>(spec.clone()).unwrap_or_else(|error| {
        problems.error(at, format!("{error}: every token is refused"));
        // A rule that cannot be: it is refused where it is compiled, and no token is valid by it.
        RequestAuthenticationSpec {
            jwt_rules: vec![Value::Null],
            ..RequestAuthenticationSpec::default()
        }
    });
    let alone = PolicyId {
        namespace: Arc::from(""),
        name: Arc::from(""),
    };
    let (_, found) = Authn::build(&[(alone, parsed.clone())]);
    problems.extend(found.into_iter().map(|(_, problem)| problem));
    Body::Authentication(Box::new(Authentication {
        binding,
        spec: parsed,
        text: Arc::from(spec.to_string()),
    }))
}

/// `targetRefs`, `targetRef` and `selector` of a spec.
pub(crate) fn binding(spec: &Value, at: &At<'_>, problems: &Problems) -> Binding {
    let binding = record(spec, at, problems, |fields| {
        // The rest of the spec is checked where it is compiled.
        fields.leave_open();
        let read = |value: &Value, at: &At<'_>| record(value, at, problems, |fields| target(fields, at)).flatten();
        let mut targets = fields.list("targetRefs", 16, |value, at| read(value, at));
        if let Some(value) = fields.get("targetRef") {
            if targets.is_empty() {
                targets.extend(read(value, &at.field("targetRef")));
            } else {
                fields.error(
                    "targetRef",
                    "expected `targetRef` or `targetRefs`, found both: `targetRefs` count",
                );
            }
        }
        let has_list = fields
            .get("targetRefs")
            .is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()));
        let has_targets = has_list || fields.get("targetRef").is_some();
        let has_selector = fields.get("selector").is_some();
        if has_targets && has_selector {
            fields.error(
                "selector",
                "expected `selector` or `targetRefs`, found both: `targetRefs` count",
            );
        }
        Binding {
            targets,
            has_selector,
            has_targets,
        }
    });
    binding.unwrap_or_default()
}

fn target(fields: &Fields<'_>, at: &At<'_>) -> Option<TargetRef> {
    let _ = fields.get("sectionName");
    Some(TargetRef {
        field: at.to_string(),
        group: match fields.text("group").unwrap_or_default() {
            "core" => String::new(),
            group => group.to_owned(),
        },
        kind: fields.required("kind")?.to_owned(),
        name: fields.required("name")?.to_owned(),
        namespace: fields
            .text("namespace")
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    })
}
