//! What the status of routes and policies is, by what a compile found: which parents took a route, whether its references
//! were resolved, which policies are in force. Pure: who may write it (the controller) does, a waypoint never.
//!
//! Conditions and reasons are those of the Gateway API (`Accepted`, `ResolvedRefs`, `PartiallyInvalid`). What is told follows from
//! findings by their field: `spec.parentRefs[0]` is about that parent, `spec.rules[0].backendRefs[0].name` about a reference.

use crate::compile::{Addressed, Gateways, Report};
use crate::finding::{Finding, Severity};
use crate::kinds::Body;
use crate::kinds::backend_ref::ParentRef;
use crate::kinds::backend_tls::{Authorities, BackendTls};
use crate::kinds::policy::TargetRef;
use crate::kinds::route::Route;
use crate::object::Object;
use crate::resources::Index;
use crate::{Resources, Scope};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// A condition's message is cut there (the API's limit is 32,768 bytes).
const MAX_MESSAGE_BYTES: usize = 2_048;

/// The status of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStatus {
    /// `HTTPRoute`.
    pub kind: String,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// `metadata.generation` of what was judged: `observedGeneration` of every condition.
    pub generation: Option<i64>,
    /// By each parent (of a route), target (of a policy) or Gateway (of a BackendTLSPolicy: its ancestor) that is ours to
    /// judge.
    pub parents: Vec<ParentStatus>,
}

/// By one parent or target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// The reference, as in the spec.
    pub reference: Value,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`: `Accepted`, `ResolvedRefs`, `PartiallyInvalid`.
    pub kind: &'static str,
    /// `status`.
    pub is_true: bool,
    /// `reason`.
    pub reason: &'static str,
    /// `message`.
    pub message: String,
}

/// The status of every route and policy that some waypoint of this scope has to do with, given the findings of its compile.
/// Objects that are none of ours are left out, so that other controllers' words are not touched.
pub fn statuses(scope: &Scope, resources: &Resources, findings: &[Finding]) -> Vec<ObjectStatus> {
    let index = Index::new(resources, |_, _| {});
    let gateways = Gateways::find(scope, &index, &mut Report::default());
    let mut told: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in findings {
        if let Some(object) = &finding.object {
            told.entry(object).or_default().push(finding);
        }
    }
    let judge = Judge {
        index: &index,
        gateways: &gateways,
    };
    let judged = index.objects().filter_map(|object| {
        let found = Found(told.get(object.to_string().as_str()).map_or(&[][..], Vec::as_slice));
        let parents = match &object.body {
            Body::Route(route) => judge.route(object, route, found),
            Body::Authorization(policy) => judge.policy(object, &policy.binding.targets, found),
            Body::Authentication(policy) => judge.policy(object, &policy.binding.targets, found),
            Body::BackendTls(policy) => judge.backend_tls(object, policy, found),
            _ => return None,
        };
        (!parents.is_empty()).then(|| ObjectStatus {
            kind: object.kind.to_string(),
            namespace: Arc::clone(&object.meta.namespace),
            name: Arc::clone(&object.meta.name),
            generation: object.meta.generation,
            parents,
        })
    });
    judged.collect()
}

struct Judge<'a, 'r> {
    index: &'a Index<'r>,
    gateways: &'a Gateways<'r>,
}

impl Judge<'_, '_> {
    fn route(&self, object: &Object, route: &Route, found: Found<'_>) -> Vec<ParentStatus> {
        let ours = route.parents.iter().filter(|parent| self.is_ours(object, parent));
        let judged = ours.map(|parent| {
            let is_gateway = parent.kind() == "Gateway";
            let mut conditions = vec![self.accepted(object, route, parent, found), resolved(found, is_gateway)];
            conditions.extend(partially_invalid(found, &conditions));
            ParentStatus {
                reference: parent_json(parent),
                conditions,
            }
        });
        judged.collect()
    }

    /// A Gateway of ours, or something that uses one.
    fn is_ours(&self, object: &Object, parent: &ParentRef) -> bool {
        let namespace = parent.namespace.as_deref().unwrap_or(&object.meta.namespace);
        match (parent.group(), parent.kind()) {
            ("gateway.networking.k8s.io", "Gateway") => self.gateways.is_ours(namespace, &parent.name),
            ("" | "core", "Service") | ("networking.istio.io", "ServiceEntry") => {
                self.uses_ours(parent.kind(), namespace, &parent.name)
            }
            _ => false,
        }
    }

    fn uses_ours(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let user = self.index.get(kind, namespace, name);
        user.is_some_and(|user| !self.gateways.used_by(Addressed::Service, &user.meta, |_| {}).is_empty())
    }

    fn accepted(&self, object: &Object, route: &Route, parent: &ParentRef, found: Found<'_>) -> Condition {
        let field = format!("spec.parentRefs[{}]", parent.index);
        if let Some(why) = found.at(&field) {
            let namespace = parent.namespace.as_deref().unwrap_or(&object.meta.namespace);
            let reason = match parent.kind() {
                "Gateway" if self.gateways.has_listener(parent, namespace) => {
                    if route.has_hostnames && self.gateways.refuses_route(parent, namespace, object).is_none() {
                        "UnsupportedValue"
                    } else {
                        "NotAllowedByListeners"
                    }
                }
                _ => "NoMatchingParent",
            };
            return condition("Accepted", false, reason, why);
        }
        // Another kind of route shapes the same port (GEP-1426).
        if let Some(why) = found.exactly("spec.parentRefs") {
            return condition("Accepted", false, "Conflicted", why);
        }
        let broken = found.broken_rules();
        if !route.rules.is_empty() && route.rules.iter().all(|rule| broken.contains(&rule.index)) {
            let why = found.values().next().map_or_else(String::new, Finding::told);
            return condition("Accepted", false, "UnsupportedValue", why);
        }
        condition("Accepted", true, "Accepted", "the route is in force".to_owned())
    }

    fn policy(&self, object: &Object, targets: &[TargetRef], found: Found<'_>) -> Vec<ParentStatus> {
        let own = &*object.meta.namespace;
        let ours = targets
            .iter()
            .filter(|target| match (target.group.as_str(), target.kind.as_str()) {
                ("", kind @ "Service") | ("networking.istio.io", kind @ "ServiceEntry") => {
                    self.uses_ours(kind, own, &target.name)
                }
                ("gateway.networking.k8s.io", "Gateway") => self.gateways.is_ours(own, &target.name),
                ("gateway.networking.k8s.io", "GatewayClass") => self.gateways.is_our_class(&target.name),
                _ => false,
            });
        let judged = ours.map(|target| {
            let reference = json!({ "group": target.group, "kind": target.kind, "name": target.name });
            let accepted = match (found.at(&target.field), found.first_error()) {
                (Some(why), _) => condition("Accepted", false, "TargetNotFound", why),
                // What is not understood denies: the policy is in force, but not as it was meant.
                (None, Some(why)) => condition("Accepted", false, "Invalid", why),
                (None, None) => condition("Accepted", true, "Accepted", "the policy is in force".to_owned()),
            };
            ParentStatus {
                reference,
                conditions: vec![accepted],
            }
        });
        judged.collect()
    }
}

impl Judge<'_, '_> {
    /// By each Gateway of ours through which its targets are reached. One whose authorities are in Secrets is left out:
    /// whoever asks here may not read those.
    fn backend_tls(&self, object: &Object, policy: &BackendTls, found: Found<'_>) -> Vec<ParentStatus> {
        let authorities = policy.validation.as_ref().map(|validation| &validation.authorities);
        if let Some(Authorities::Refs(refs)) = authorities
            && refs.iter().any(|(kind, _)| kind == "Secret")
        {
            return Vec::new();
        }
        let namespace = &*object.meta.namespace;
        let mut ancestors: Vec<ParentStatus> = Vec::new();
        for target in &policy.targets {
            let Some(user) = self.index.get(&target.kind, namespace, &target.name) else {
                continue;
            };
            for gateway in self.gateways.used_by(Addressed::Service, &user.meta, |_| {}) {
                let reference = json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway",
                    "namespace": *gateway.meta.namespace, "name": *gateway.meta.name });
                if ancestors.iter().all(|ancestor| ancestor.reference != reference) {
                    ancestors.push(ParentStatus {
                        reference,
                        conditions: tls_conditions(policy, found),
                    });
                }
            }
        }
        ancestors
    }
}

/// Reasons are those of `BackendTLSPolicy` (GEP-1897).
fn tls_conditions(policy: &BackendTls, found: Found<'_>) -> Vec<Condition> {
    let field = "spec.validation.caCertificateRefs";
    let authorities = found.exactly(field);
    // Each reference that leads nowhere is told, and once more that none is left.
    let refs = match policy.validation.as_ref().map(|validation| &validation.authorities) {
        Some(Authorities::Refs(refs)) => refs.len(),
        _ => 0,
    };
    let is_without = found.count(field) > refs;
    let resolved = match &authorities {
        Some(why) => condition("ResolvedRefs", false, "InvalidCACertificateRef", why.clone()),
        None => condition(
            "ResolvedRefs",
            true,
            "ResolvedRefs",
            "all references are resolved".to_owned(),
        ),
    };
    let wrong = |target: &crate::kinds::backend_tls::Target| found.at(&format!("spec.targetRefs[{}]", target.index));
    let all_wrong = policy.targets.iter().map(wrong).collect::<Option<Vec<String>>>();
    let accepted = match (
        authorities.filter(|_| is_without),
        all_wrong.and_then(|all| all.into_iter().next()),
    ) {
        (Some(why), _) => condition("Accepted", false, "NoValidCACertificate", why),
        (None, Some(why)) => condition("Accepted", false, "Conflicted", why),
        (None, None) => match found.first_error().filter(|_| policy.validation.is_none()) {
            Some(why) => condition("Accepted", false, "Invalid", why),
            None => condition("Accepted", true, "Accepted", "the policy is in force".to_owned()),
        },
    };
    vec![accepted, resolved]
}

/// What is wrong with one object.
#[derive(Clone, Copy)]
struct Found<'f>(&'f [&'f Finding]);

impl<'f> Found<'f> {
    /// About this field or something below it, whether it is an error or a warning.
    fn at(self, field: &str) -> Option<String> {
        let below = |finding: &&&Finding| {
            let rest = finding.field.as_deref().and_then(|found| found.strip_prefix(field));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.iter().find(below).map(|finding| finding.told())
    }

    fn count(self, field: &str) -> usize {
        let of_field = self.0.iter().filter(|finding| finding.field.as_deref() == Some(field));
        of_field.count()
    }

    fn exactly(self, field: &str) -> Option<String> {
        let found = self.0.iter().find(|finding| finding.field.as_deref() == Some(field));
        found.map(|finding| finding.told())
    }

    fn errors(self) -> impl Iterator<Item = &'f Finding> {
        self.0
            .iter()
            .copied()
            .filter(|finding| finding.severity == Severity::Error)
    }

    fn first_error(self) -> Option<String> {
        self.errors().next().map(Finding::told)
    }

    /// Errors of references to back ends.
    fn references(self) -> impl Iterator<Item = (&'f Finding, &'static str)> {
        self.errors()
            .filter_map(|finding| Some((finding, reference_reason(finding.field.as_deref()?)?)))
    }

    /// Errors of everything else in the rules.
    fn values(self) -> impl Iterator<Item = &'f Finding> {
        self.errors().filter(|finding| {
            let field = finding.field.as_deref().unwrap_or_default();
            field.starts_with("spec.rules") && reference_reason(field).is_none()
        })
    }

    /// Rules with a value that cannot be.
    fn broken_rules(self) -> Vec<usize> {
        let rule = |finding: &Finding| {
            let rest = finding.field.as_deref()?.strip_prefix("spec.rules[")?;
            rest.split_once(']')?.0.parse().ok()
        };
        self.values().filter_map(rule).collect()
    }
}

impl Finding {
    /// `spec.rules[0].matches[0]: message`.
    fn told(&self) -> String {
        match &self.field {
            Some(field) => format!("{field}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The reason of `ResolvedRefs` when this field of a reference is wrong; `None`: it is none of a reference.
fn reference_reason(field: &str) -> Option<&'static str> {
    let (_, rest) = field
        .rsplit_once("backendRef")
        .or_else(|| field.rsplit_once("extensionRef"))?;
    // Filters of a backendRef are no references.
    if rest.contains(".filters[") {
        return None;
    }
    match rest.rsplit_once('.') {
        Some((_, "kind" | "group")) => Some("InvalidKind"),
        Some((_, "namespace")) => Some("RefNotPermitted"),
        Some((_, "name" | "port")) => Some("BackendNotFound"),
        _ => None,
    }
}

/// A missing ReferenceGrant matters to Gateways only (GEP-1294).
fn resolved(found: Found<'_>, is_gateway: bool) -> Condition {
    let mut wrong = found
        .references()
        .filter(|(_, reason)| is_gateway || *reason != "RefNotPermitted");
    match wrong.next() {
        Some((finding, reason)) => condition("ResolvedRefs", false, reason, finding.told()),
        None => condition(
            "ResolvedRefs",
            true,
            "ResolvedRefs",
            "all references are resolved".to_owned(),
        ),
    }
}

/// Some rules are in force and others are not.
fn partially_invalid(found: Found<'_>, conditions: &[Condition]) -> Option<Condition> {
    let is_accepted = conditions
        .iter()
        .any(|condition| condition.kind == "Accepted" && condition.is_true);
    let wrong = found.values().next().filter(|_| is_accepted)?;
    Some(condition("PartiallyInvalid", true, "UnsupportedValue", wrong.told()))
}

fn condition(kind: &'static str, is_true: bool, reason: &'static str, mut message: String) -> Condition {
    if message.len() > MAX_MESSAGE_BYTES {
        let end = (0..=MAX_MESSAGE_BYTES).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
    }
    Condition {
        kind,
        is_true,
        reason,
        message,
    }
}

fn parent_json(parent: &ParentRef) -> Value {
    let mut reference = json!({ "group": parent.group(), "kind": parent.kind(), "name": &*parent.name });
    let more = [
        (
            "namespace",
            parent.namespace.as_deref().map(|namespace| json!(namespace)),
        ),
        ("sectionName", parent.section.as_deref().map(|section| json!(section))),
        ("port", parent.port.map(|port| json!(port))),
    ];
    if let Some(fields) = reference.as_object_mut() {
        fields.extend(
            more.into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
    }
    reference
}

#[cfg(test)]
mod tests;
