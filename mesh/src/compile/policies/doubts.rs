//! Policies that bind and can never match, given what they bind to: warnings.

use super::Policies;
use crate::compile::Report;
use crate::compile::services::Services;
use crate::kinds::policy::Authorization;
use crate::object::Object;
use crate::snapshot::Settings;
use authz::{Problem, Traffic};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What was found the last time, by the text of a policy and what it binds to.
pub(super) type Kept = HashMap<(Arc<str>, Traffic), Arc<[Problem]>>;

/// A policy, and the numbers of what it binds to.
pub(super) type Bound<'r> = (&'r Arc<Object>, &'r Authorization, Vec<usize>);

/// Tells of each policy once, whatever it binds to. One that binds to nothing is told of elsewhere.
pub(super) fn tell(
    policies: &[Bound<'_>],
    all: &Policies<'_>,
    services: &Services<'_>,
    settings: &Settings,
    kept: &mut Kept,
    report: &mut Report,
) {
    let mut now = Kept::new();
    for (object, policy, bound) in policies.iter().filter(|(_, _, bound)| !bound.is_empty()) {
        let traffic = Traffic {
            mode: settings.path_mode,
            ports: ports(bound, services),
            tokens: bound.iter().any(|service| all.authentications.contains_key(service)),
        };
        let key = (Arc::clone(&policy.text), traffic);
        let problems = match kept.remove(&key) {
            Some(problems) => problems,
            None => authz::doubts(&policy.spec, &key.1).into(),
        };
        report.problems(object, &problems);
        now.insert(key, problems);
    }
    *kept = now;
}

/// The ports of all these Services; `None` where there is a pod among them, of which any port may be asked for.
fn ports(bound: &[usize], services: &Services<'_>) -> Option<Vec<u16>> {
    let mut ports = BTreeSet::new();
    for &number in bound {
        ports.extend(services.at(number)?.service.ports.iter().map(|port| port.port));
    }
    Some(ports.into_iter().collect())
}
