//! A whole AuthorizationPolicy: what Istio's admission says of it, and its rules compiled.

use crate::compile::{self, Context};
use crate::policy::Action;
use crate::read::{self, Attribute, Clause, Constraint, RuleText};
use crate::rule::Rule;
use crate::spec::{Problems, kind_of};
use crate::{AuthorizationPolicySpec, Problem, TrustDomains};
use serde_json::Value;

/// What a policy's binding is written in; resolved by the caller.
const BINDING: &[&str] = &["selector", "targetRef", "targetRefs"];

/// Checks an AuthorizationPolicy's `spec` by itself, as Istio's admission does: an error there is an error here, and
/// fields that Istio does not know are errors too. Namespaces, targets and trust domains are not looked up.
pub fn validate(spec: &Value) -> Vec<Problem> {
    let mut problems = Problems::default();
    binding(spec, &mut problems);
    match serde_json::from_value::<AuthorizationPolicySpec>(spec.clone()) {
        Ok(spec) => {
            compile("", &spec, None, &mut problems);
        }
        Err(error) => problems.error("spec", format!("not an AuthorizationPolicy: {error}")),
    }
    problems.0
}

/// Checks and compiles. Each rule comes with its index; rules that match nothing are left out.
pub(crate) fn compile(
    namespace: &str,
    spec: &AuthorizationPolicySpec,
    trust: Option<&TrustDomains>,
    problems: &mut Problems,
) -> (Action, Vec<(usize, Rule)>) {
    let everything = || vec![(0, Rule::default())];
    let Some(action) = action(spec, problems) else {
        return (Action::Deny, everything());
    };
    let all_known = spec.unknown.keys().all(|key| BINDING.contains(&key.as_str()));
    for key in spec.unknown.keys().filter(|key| !BINDING.contains(&key.as_str())) {
        problems.error(
            format!("spec.{key}"),
            "unknown field; expected one of rules, action, provider, targetRefs",
        );
    }
    provider(action, spec, problems);
    let written = spec.rules.as_deref().unwrap_or_default();
    let read = |(index, value)| read::rule(value, &format!("spec.rules[{index}]"), problems);
    let texts: Vec<RuleText> = written.iter().enumerate().map(read).collect();

    let context = Context {
        action,
        namespace,
        trust,
    };
    let mut rules = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let at = format!("spec.rules[{index}]");
        both_account_forms(text, &at, problems);
        match action {
            Action::Custom => unsupported_in_custom(text, problems),
            Action::Deny if denies_all_tcp(text) => problems.warn(
                &at,
                "denies all TCP traffic in its scope, since it uses HTTP attributes only; add ports to limit it",
            ),
            _ => {}
        }
        rules.extend(compile::rule(text, context, problems).map(|rule| (index, rule)));
    }
    match (all_known, action) {
        (true, _) => {}
        (false, Action::Allow) => rules.clear(),
        (false, _) if written.is_empty() => rules = everything(),
        (false, _) => {}
    }
    (action, rules)
}

fn action(spec: &AuthorizationPolicySpec, problems: &mut Problems) -> Option<Action> {
    let action = match spec.action.as_deref() {
        None | Some("ALLOW" | "") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some("CUSTOM") => Action::Custom,
        Some(other) => {
            let message = format!("expected ALLOW, DENY, AUDIT or CUSTOM, found {other:?}: everything is denied");
            problems.error("spec.action", message);
            return None;
        }
    };
    let triggered = "is never triggered without rules; add an empty rule {} to match every request";
    // To Istio an empty list is none at all.
    let is_empty = spec.rules.as_ref().is_none_or(Vec::is_empty);
    match action {
        Action::Deny if is_empty => problems.error("spec.rules", format!("DENY {triggered}")),
        Action::Custom if is_empty => problems.error("spec.rules", format!("CUSTOM {triggered}")),
        Action::Audit if is_empty => problems.warn("spec.rules", format!("AUDIT {triggered}")),
        _ => {}
    }
    Some(action)
}

fn provider(action: Action, spec: &AuthorizationPolicySpec, problems: &mut Problems) {
    let written = spec.provider.as_ref().is_some_and(|provider| !provider.is_null());
    if action == Action::Custom && spec.provider_name().is_none() {
        problems.error(
            "spec.provider.name",
            "must name an extension provider of the mesh configuration",
        );
    } else if action != Action::Custom && written {
        problems.error("spec.provider", "is only allowed with action CUSTOM");
    }
}

fn both_account_forms(text: &RuleText, at: &str, problems: &mut Problems) {
    for (index, clause) in text.from.iter().flatten().enumerate() {
        let has = |attribute: &Attribute| {
            let mut constraints = clause.constraints.iter();
            constraints.any(|constraint| constraint.attribute == *attribute && !is_empty(constraint))
        };
        if has(&Attribute::ServiceAccount) && (has(&Attribute::Principal) || has(&Attribute::Namespace)) {
            problems.error(
                format!("{at}.from[{index}].source"),
                "serviceAccounts cannot be combined with namespaces or principals",
            );
        }
    }
}

fn is_empty(constraint: &Constraint) -> bool {
    constraint.values.items.is_empty() && constraint.not_values.items.is_empty()
}

/// CUSTOM runs before tokens are validated, and Istio supports no attribute of the caller in it.
fn unsupported_in_custom(text: &RuleText, problems: &mut Problems) {
    let mut check = |clause: &Clause| {
        for constraint in &clause.constraints {
            let unsupported = matches!(
                constraint.attribute,
                Attribute::Principal
                    | Attribute::Namespace
                    | Attribute::ServiceAccount
                    | Attribute::TrustDomain
                    | Attribute::RequestPrincipal
                    | Attribute::Audience
                    | Attribute::Presenter
                    | Attribute::Claim(_)
            );
            for list in [&constraint.values, &constraint.not_values] {
                if unsupported && !list.items.is_empty() {
                    problems.error(&list.field, "is not supported with action CUSTOM");
                }
            }
        }
    };
    text.from.iter().flatten().for_each(&mut check);
    check(&text.when);
}

/// Istio's own warning: a DENY rule loses its HTTP attributes on TCP and then matches more than it says.
fn denies_all_tcp(text: &RuleText) -> bool {
    let uses = |clauses: &Option<Vec<Clause>>, tcp: &[Attribute]| {
        let mut constraints = clauses.iter().flatten().flat_map(|clause| &clause.constraints);
        constraints.any(|constraint| tcp.contains(&constraint.attribute))
    };
    let from_tcp = uses(
        &text.from,
        &[
            Attribute::Principal,
            Attribute::Namespace,
            Attribute::ServiceAccount,
            Attribute::SourceIp,
            Attribute::RemoteIp,
        ],
    );
    let to_tcp = uses(&text.to, &[Attribute::Port]);
    (text.from.is_some() && text.to.is_none() && !from_tcp) || (text.to.is_some() && !to_tcp)
}

/// Selector or targets, not both; a target is named, of a kind that policies may target, and in the policy's namespace.
fn binding(spec: &Value, problems: &mut Problems) {
    let written = |name: &str| spec.get(name).filter(|value| !value.is_null());
    let single = written("targetRef");
    let list = match written("targetRefs") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(other) => {
            problems.error("spec.targetRefs", format!("expected a list, found {}", kind_of(other)));
            &[]
        }
        None => &[],
    };
    let forms = [written("selector").is_some(), single.is_some(), !list.is_empty()];
    if forms.iter().filter(|form| **form).count() > 1 {
        problems.error("spec", "only one of selector and targetRefs can be set");
    }
    for (index, target) in list.iter().enumerate() {
        target_ref(target, &format!("spec.targetRefs[{index}]"), problems);
    }
    if let Some(target) = single {
        target_ref(target, "spec.targetRef", problems);
    }
    if let Some(selector) = written("selector") {
        selector_labels(selector, problems);
    }
}

fn target_ref(target: &Value, at: &str, problems: &mut Problems) {
    const ALLOWED: &[(&str, &str)] = &[
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
    ];
    let text = |name: &str| target.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() {
        problems.error(format!("{at}.name"), "must be set");
    }
    if !text("namespace").is_empty() {
        problems.error(
            format!("{at}.namespace"),
            "must not be set: a policy targets its own namespace only",
        );
    }
    if !ALLOWED.contains(&(text("group"), text("kind"))) {
        let found = format!("{}/{}", text("group"), text("kind"));
        problems.error(
            at,
            format!("expected a Service, ServiceEntry, Gateway or GatewayClass, found {found}"),
        );
    }
}

fn selector_labels(selector: &Value, problems: &mut Problems) {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    if labels.is_none_or(serde_json::Map::is_empty) {
        problems.warn("spec.selector", "workload selector without labels");
    }
    for (key, value) in labels.into_iter().flatten() {
        if key.is_empty() || key.contains('*') || value.as_str().is_some_and(|value| value.contains('*')) {
            let message = format!("an empty key or a wildcard is not supported: {key}={value}");
            problems.error("spec.selector.matchLabels", message);
        }
    }
}

#[cfg(test)]
mod tests;
