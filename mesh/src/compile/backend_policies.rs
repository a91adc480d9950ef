//! Which traffic policy is in force for which Service: of several the oldest, as the Gateway API settles conflicts. And
//! what they make of rules (sessions) and of clusters (retry budgets).

use super::Report;
use super::services::Services;
use crate::kinds::Body;
use crate::kinds::backend_policy::BackendPolicy;
use crate::kinds::session::SessionSpec;
use crate::object::Object;
use crate::resources::{Index, content_hash};
use http::HeaderName;
use routing::{Backend, ClusterId, RetryBudget, RouteId, Session, SessionCarrier, Sessions, Target};
use std::collections::HashMap;
use std::sync::Arc;

/// Kinds of such policies.
const KINDS: [&str; 2] = ["XBackendTrafficPolicy", "BackendLBPolicy"];

/// Retry budgets by cluster. They outlive a compile, so that what they have counted still counts.
pub(crate) type Budgets = HashMap<ClusterId, Arc<RetryBudget>>;

/// Policies by the clusters of the Services that they bind to.
#[derive(Debug, Default)]
pub(crate) struct BackendPolicies<'r>(HashMap<ClusterId, Bound<'r>>);

/// A policy, and the Service port that it holds for.
#[derive(Debug)]
struct Bound<'r> {
    policy: &'r BackendPolicy,
    /// Host, port, subset: numbers of clusters are not the same in every replica.
    service: String,
}

impl<'r> BackendPolicies<'r> {
    /// Binds them.
    pub(crate) fn bind(index: &Index<'r>, services: &Services<'r>, report: &mut Report) -> Self {
        let mut all: Vec<(&'r Object, &'r BackendPolicy)> = Vec::new();
        for &object in KINDS.iter().flat_map(|kind| index.all(kind)) {
            if let Body::BackendPolicy(policy) = &object.body {
                all.push((object, policy));
            }
        }
        all.sort_by_key(|(object, _)| (object.meta.created.unwrap_or(i64::MAX), &object.meta.name));
        let mut bound = Self::default();
        let mut holders: HashMap<usize, &Object> = HashMap::new();
        for (object, policy) in all {
            let namespace = &*object.meta.namespace;
            for (place, name) in &policy.services {
                let field = format!("spec.targetRefs[{place}].name");
                let Some((number, entry)) = services.get(namespace, name) else {
                    let message = format!("no Service {namespace}/{name} is in the config: it does not bind there");
                    report.warning(object, field, message);
                    continue;
                };
                if let Some(first) = holders.get(&number) {
                    let message =
                        format!("{first} is older and holds for Service {name}: this one does not bind there");
                    report.error(object, field, message);
                    continue;
                }
                holders.insert(number, object);
                for (id, cluster) in entry.clusters.iter().chain(&entry.subsets) {
                    let subset = cluster.subset.as_deref().unwrap_or_default();
                    let service = format!("{}:{} {subset}", cluster.service.host, cluster.port);
                    bound.0.insert(*id, Bound { policy, service });
                }
            }
        }
        bound
    }

    /// The sessions of a rule: its own, else those that its backends' Services ask for.
    pub(crate) fn sessions(
        &self,
        route: &RouteId,
        index: usize,
        own: Option<&SessionSpec>,
        backends: &[Backend],
    ) -> Option<Box<Sessions>> {
        let scope = format!("{route} rule {index}");
        if let Some(spec) = own {
            return Some(Box::new(Sessions {
                rule: Some(session(spec, &scope, None, true)),
                backends: Vec::new(),
            }));
        }
        if self.0.is_empty() {
            return None;
        }
        // Rules do not share sessions (GEP-1619), and one cookie cannot hold two: its name tells the rule.
        let of_backend = |backend: &Backend| self.of_service(&backend.target, &scope, Some(&tag(&scope)));
        let backends: Vec<Option<Session>> = backends.iter().map(of_backend).collect();
        backends
            .iter()
            .any(Option::is_some)
            .then(|| Box::new(Sessions { rule: None, backends }))
    }

    /// The same for a Service port without routes.
    pub(crate) fn implicit_sessions(&self, route: &RouteId, cluster: ClusterId) -> Option<Box<Sessions>> {
        let session = self.of_service(&Target::Cluster(cluster), &route.to_string(), None)?;
        Some(Box::new(Sessions {
            rule: None,
            backends: vec![Some(session)],
        }))
    }

    /// The budgets of all clusters that have one; those whose limits did not change are the same as before.
    pub(crate) fn budgets(&self, kept: &mut Budgets) -> Budgets {
        let limited = self
            .0
            .iter()
            .filter_map(|(id, bound)| Some((*id, bound.policy.retries?)));
        let budgets: Budgets = limited
            .map(|(id, limits)| {
                let before = kept.get(&id).filter(|before| before.limits() == limits);
                let budget = before.cloned().unwrap_or_else(|| Arc::new(RetryBudget::new(limits)));
                (id, budget)
            })
            .collect();
        kept.clone_from(&budgets);
        budgets
    }

    fn of_service(&self, target: &Target, scope: &str, suffix: Option<&str>) -> Option<Session> {
        let Target::Cluster(id) = target else { return None };
        let Bound { policy, service } = self.0.get(id)?;
        let spec = policy.session.as_ref()?;
        // A policy's cookie has no Path: many routes may lead to its Service.
        Some(session(spec, &format!("{scope} to {service}"), suffix, false))
    }
}

fn session(spec: &SessionSpec, scope: &str, suffix: Option<&str>, has_path: bool) -> Session {
    let name = match (&spec.name, suffix.filter(|_| !spec.in_header)) {
        (Some(name), None) => name.clone(),
        (Some(name), Some(suffix)) => format!("{name}-{suffix}"),
        (None, _) => format!("waypoint-session-{}", tag(scope)),
    };
    let header = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| spec.in_header);
    let carrier = match header {
        Some(header) => SessionCarrier::Header(header),
        None => SessionCarrier::Cookie {
            name: name.into(),
            permanent: spec.permanent,
            has_path,
        },
    };
    Session {
        scope: scope.into(),
        carrier,
        absolute_timeout: spec.absolute,
        idle_timeout: spec.idle,
    }
}

/// Tells generated names apart: 32 bits in hex.
fn tag(scope: &str) -> String {
    format!("{:08x}", content_hash(scope.as_bytes()) & 0xffff_ffff)
}
