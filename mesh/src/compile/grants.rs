//! ReferenceGrants: what a route on a Gateway may refer to in other namespaces.
//!
//! A route on a Service needs none (GEP-1294): whoever may shape the Service may as well call the backend directly.

use crate::kinds::Body;
use crate::kinds::backend_ref::BackendRef;
use crate::kinds::filter::FilterSet;
use crate::kinds::grant::Grant;
use crate::kinds::route::Route;
use crate::object::Object;
use crate::resources::Index;
use authz::Problem;
use routing::{Filters, RouteSpec, Rule, RuleSpec, Seldom, Target};
use std::collections::HashMap;
use std::sync::Arc;

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// All grants, by the namespace that gives them.
#[derive(Debug, Default)]
pub(super) struct Grants<'r> {
    by_namespace: HashMap<&'r str, Vec<&'r Grant>>,
}

impl<'r> Grants<'r> {
    pub(super) fn of(index: &Index<'r>) -> Self {
        let mut grants = Self::default();
        for &object in index.all("ReferenceGrant") {
            if let Body::Grant(grant) = &object.body {
                grants
                    .by_namespace
                    .entry(&object.meta.namespace)
                    .or_default()
                    .push(grant);
            }
        }
        grants
    }

    /// The route without the backends that nobody granted it; `None`: it is as it was.
    pub(super) fn restrict(
        &self,
        object: &Object,
        route: &Route,
        spec: &RouteSpec,
        problems: &mut Vec<Problem>,
    ) -> Option<RouteSpec> {
        let mut is_changed = false;
        let mut refuses = |reference: Option<&BackendRef>, path: String| {
            let Some(reference) = reference.filter(|reference| !self.allows(object, reference)) else {
                return false;
            };
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            let message = format!(
                "no ReferenceGrant of namespace {namespace} lets a {} of {} refer to {} {}: it gets nothing from the \
                 Gateway's Services",
                object.kind,
                object.meta.namespace,
                reference.kind(),
                reference.name
            );
            problems.push(Problem {
                field: path,
                message,
                error: true,
            });
            is_changed = true;
            true
        };
        let rules = spec.rules.iter().map(|one| {
            let mut rule = Rule::clone(&one.rule);
            let path = format!("spec.rules[{}]", rule.index);
            if let Some(written) = route.rules.iter().find(|written| written.index == rule.index) {
                for (backend, written) in rule.backends.iter_mut().zip(&written.backends) {
                    let path = format!("{path}.backendRefs[{}]", written.index);
                    if refuses(written.reference.as_ref(), format!("{path}.namespace")) {
                        backend.target = Target::Invalid;
                    }
                    mirrors(&mut backend.filters, &written.filters, &path, &mut refuses);
                }
                mirrors(&mut rule.filters, &written.filters, &path, &mut refuses);
            }
            RuleSpec {
                matches: one.matches.clone(),
                rule: Arc::new(rule),
            }
        });
        let rules = rules.collect();
        let spec = RouteSpec { rules, ..spec.clone() };
        is_changed.then_some(spec)
    }

    fn allows(&self, route: &Object, to: &BackendRef) -> bool {
        let own = &*route.meta.namespace;
        let Some(namespace) = to.namespace.as_deref().filter(|namespace| *namespace != own) else {
            return true;
        };
        let group = if to.group() == "core" { "" } else { to.group() };
        let mut grants = self.by_namespace.get(namespace).into_iter().flatten();
        grants.any(|grant| {
            let from = |(from_group, kind, namespace): &(String, String, String)| {
                from_group == GATEWAY_API && **kind == *route.kind && namespace == own
            };
            let to = |(to_group, kind, name): &(String, String, Option<String>)| {
                to_group == group && kind == to.kind() && name.as_ref().is_none_or(|name| **name == *to.name)
            };
            grant.from.iter().any(from) && grant.to.iter().any(to)
        })
    }
}

fn mirrors(
    filters: &mut Seldom<Filters>,
    written: &FilterSet,
    path: &str,
    refuses: &mut impl FnMut(Option<&BackendRef>, String) -> bool,
) {
    if written.mirrors.is_empty() {
        return;
    }
    filters.edit(|filters| {
        for (mirror, written) in filters.mirrors.iter_mut().zip(&written.mirrors) {
            let path = format!("{path}.filters[{}].requestMirror.backendRef.namespace", written.index);
            if refuses(written.backend.as_ref(), path) {
                mirror.cluster = None;
            }
        }
    });
}
