//! AuthorizationPolicies bound to one Service port, compiled, and the decision.

use crate::custom::{Ask, Consultations};
use crate::explain::{self, ConsideredRule, PolicyExplanation};
use crate::index::Index;
use crate::rule::{Rule, View};
use crate::spec::Problems;
use crate::{AuthorizationPolicySpec, Claims, Problem, TrustDomains, check};
use request::{Connection, Request};
use std::sync::Arc;

/// Names a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// ALLOW.
    Allow,
    /// DENY.
    Deny,
    /// AUDIT.
    Audit,
    /// CUSTOM.
    Custom,
}

/// All policies of one target, by action.
#[derive(Debug, Default)]
pub struct Policies {
    ids: Vec<PolicyId>,
    /// Of each policy in `ids`.
    actions: Vec<Action>,
    http: Rules,
    tcp: Rules,
    /// An ALLOW policy exists: what none of them matches is denied.
    closed: bool,
    needs_sni: bool,
    /// The policies that are only rehearsed.
    dry_run: Option<Box<Policies>>,
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on.
    Allow,
    /// 403 `RBAC: access denied`; a closed connection on TCP.
    Deny,
}

/// A verdict and who gave it.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The policy and rule that decided. `None` with Deny: ALLOW policies exist and none matched. `None` with
    /// Allow: no policy applies.
    pub by: Option<(&'a PolicyId, usize)>,
}

impl Policies {
    /// Compiles the policies of one target. Problems name a field path inside the object; they include those of
    /// [`validate`](crate::validate) that concern rules.
    pub fn build(
        specs: &[(PolicyId, AuthorizationPolicySpec)],
        trust: &TrustDomains,
    ) -> (Self, Vec<(PolicyId, Problem)>) {
        let mut policies = Self::default();
        let mut found = Vec::new();
        for (id, spec) in specs {
            let mut problems = Problems::default();
            policies.add(id, spec, trust, &mut problems);
            found.extend(problems.0.into_iter().map(|problem| (id.clone(), problem)));
        }
        policies.index();
        (policies, found)
    }

    /// No policy applies, be it in dry run: every request is allowed, and there is nothing to say of it.
    pub fn is_empty(&self) -> bool {
        !self.closed && self.http.is_empty() && self.dry_run.is_none()
    }

    /// Every policy that is bound and what it does. An id stays where it is as long as these policies.
    pub fn ids(&self) -> impl Iterator<Item = (&PolicyId, Action)> {
        self.ids.iter().zip(self.actions.iter().copied())
    }

    /// Some rule asks for `connection.sni`: a TCP connection cannot be judged before its ClientHello was read.
    pub fn needs_sni(&self) -> bool {
        self.needs_sni
    }

    /// The names of the providers that CUSTOM policies ask, in the order in which they are asked, each once.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.http.custom.providers()
    }

    /// For a target whose CUSTOM policies name more than the one provider that may be: nobody is asked, and what these
    /// policies match is denied (Istio without `PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS`).
    pub fn ask_nobody(&mut self) {
        self.http.custom.silence();
        self.tcp.custom.silence();
    }

    /// Whom CUSTOM policies want asked about a request, before its token is looked at. All of them must allow it.
    pub fn asks<'a>(&'a self, request: &'a Request<'a>) -> impl Iterator<Item = Ask<'a>> {
        let view = View {
            connection: request.connection,
            request: Some(request),
            claims: None,
        };
        self.http.custom.about(&self.ids, view)
    }

    /// The same about a TCP connection: HTTP attributes are ignored.
    pub fn asks_tcp<'a>(&'a self, connection: &'a Connection) -> impl Iterator<Item = Ask<'a>> {
        let view = View {
            connection,
            request: None,
            claims: None,
        };
        self.tcp.custom.about(&self.ids, view)
    }

    /// Whether [`asks`](Self::asks) can name anybody at all.
    pub fn has_custom(&self) -> bool {
        !self.http.custom.is_empty()
    }

    /// Decides an HTTP request by DENY and ALLOW. Allocates nothing.
    pub fn decide(&self, request: &Request<'_>, claims: Option<&Claims>) -> Decision<'_> {
        self.decide_by(
            &self.http,
            View {
                connection: request.connection,
                request: Some(request),
                claims,
            },
        )
    }

    /// Decides a TCP connection: HTTP attributes drop an ALLOW rule whole and are ignored in the other actions.
    pub fn decide_tcp(&self, connection: &Connection) -> Decision<'_> {
        self.decide_by(
            &self.tcp,
            View {
                connection,
                request: None,
                claims: None,
            },
        )
    }

    /// The first AUDIT rule that matches a request, whatever the verdict on it.
    pub fn audited_by(&self, request: &Request<'_>, claims: Option<&Claims>) -> Option<(&PolicyId, usize)> {
        let view = View {
            connection: request.connection,
            request: Some(request),
            claims,
        };
        self.first(&self.http.audit, &self.http.audit_index, view)
    }

    /// What the policies in dry run (`istio.io/dry-run`) would say of a request: those of DENY, and those of ALLOW, each
    /// kind as if it were alone.
    pub fn rehearse<'a>(
        &'a self,
        request: &'a Request<'a>,
        claims: Option<&'a Claims>,
    ) -> impl Iterator<Item = (Action, Decision<'a>)> {
        let view = View {
            connection: request.connection,
            request: Some(request),
            claims,
        };
        self.dry_run
            .iter()
            .flat_map(move |dry| dry.each_action(&dry.http, view))
    }

    /// The same of a TCP connection.
    pub fn rehearse_tcp<'a>(&'a self, connection: &'a Connection) -> impl Iterator<Item = (Action, Decision<'a>)> {
        let view = View {
            connection,
            request: None,
            claims: None,
        };
        self.dry_run.iter().flat_map(move |dry| dry.each_action(&dry.tcp, view))
    }

    /// The first AUDIT rule that matches a TCP connection.
    pub fn audited_by_tcp(&self, connection: &Connection) -> Option<(&PolicyId, usize)> {
        let view = View {
            connection,
            request: None,
            claims: None,
        };
        self.first(&self.tcp.audit, &self.tcp.audit_index, view)
    }

    fn each_action<'p>(
        &'p self,
        rules: &'p Rules,
        view: View<'_>,
    ) -> impl Iterator<Item = (Action, Decision<'p>)> + use<'p> {
        let deny = (!rules.deny.is_empty()).then(|| {
            let by = self.first(&rules.deny, &rules.deny_index, view);
            let verdict = if by.is_some() { Verdict::Deny } else { Verdict::Allow };
            (Action::Deny, Decision { verdict, by })
        });
        let allow = self.closed.then(|| (Action::Allow, self.decide_allow(rules, view)));
        deny.into_iter().chain(allow)
    }

    /// Sorts the rules for a quick look-up.
    fn index(&mut self) {
        for rules in [&mut self.http, &mut self.tcp] {
            rules.audit_index = Index::of(&rules.audit);
            rules.deny_index = Index::of(&rules.deny);
            rules.allow_index = Index::of(&rules.allow);
        }
        if let Some(dry) = &mut self.dry_run {
            dry.index();
        }
    }

    /// [`decide`](Self::decide), with every rule and why it does not match.
    pub fn explain(&self, request: &Request<'_>, claims: Option<&Claims>) -> PolicyExplanation {
        let view = View {
            connection: request.connection,
            request: Some(request),
            claims,
        };
        let mut explained = self.explain_by(&self.http, view);
        if let Some(dry) = &self.dry_run {
            explained.rehearsed = dry.explain_by(&dry.http, view).considered;
        }
        explained
    }

    /// [`decide_tcp`](Self::decide_tcp), likewise.
    pub fn explain_tcp(&self, connection: &Connection) -> PolicyExplanation {
        let view = View {
            connection,
            request: None,
            claims: None,
        };
        let mut explained = self.explain_by(&self.tcp, view);
        if let Some(dry) = &self.dry_run {
            explained.rehearsed = dry.explain_by(&dry.tcp, view).considered;
        }
        explained
    }

    fn explain_by(&self, rules: &Rules, view: View<'_>) -> PolicyExplanation {
        let without_token = View { claims: None, ..view };
        let mut considered: Vec<ConsideredRule> = rules
            .in_order()
            .filter_map(|(action, provider, bound)| {
                // Providers are asked before a token is looked at.
                let view = if action == Action::Custom { without_token } else { view };
                explain::considered(&self.ids, action, provider, bound, view)
            })
            .collect();
        for (policy, action) in self.ids.iter().zip(&self.actions) {
            if !considered.iter().any(|rule| rule.policy == *policy) {
                considered.push(ConsideredRule::of_nothing(policy, *action));
            }
        }
        PolicyExplanation::of(considered, self.closed)
    }

    fn add(&mut self, id: &PolicyId, spec: &AuthorizationPolicySpec, trust: &TrustDomains, problems: &mut Problems) {
        if spec.dry_run {
            let enforced = AuthorizationPolicySpec {
                dry_run: false,
                ..spec.clone()
            };
            // Who must be asked cannot be told without asking.
            if !spec.is_custom() {
                return self.dry_run.get_or_insert_default().add(id, &enforced, trust, problems);
            }
        }
        let (action, rules) = check::compile(&id.namespace, spec, Some(trust), problems);
        if spec.dry_run {
            return;
        }
        self.closed |= action == Action::Allow;
        let policy = self.ids.len();
        self.ids.push(id.clone());
        self.actions.push(action);
        if action == Action::Custom {
            let provider = spec.provider_name();
            for (index, rule) in rules {
                self.needs_sni |= rule.needs_sni();
                let without_http = rule.without_http();
                let bound = |rule| Bound { policy, index, rule };
                self.tcp.custom.push(provider, bound(without_http));
                self.http.custom.push(provider, bound(rule));
            }
            return;
        }
        for (index, rule) in rules {
            self.needs_sni |= rule.needs_sni();
            if action != Action::Allow {
                self.tcp.of(action).push(Bound {
                    policy,
                    index,
                    rule: rule.without_http(),
                });
            } else if !rule.needs_http() {
                self.tcp.of(action).push(Bound {
                    policy,
                    index,
                    rule: rule.clone(),
                });
            }
            self.http.of(action).push(Bound { policy, index, rule });
        }
    }

    fn decide_by(&self, rules: &Rules, view: View<'_>) -> Decision<'_> {
        let denied = self.first(&rules.deny, &rules.deny_index, view);
        if denied.is_some() {
            return Decision {
                verdict: Verdict::Deny,
                by: denied,
            };
        }
        if !self.closed {
            return Decision {
                verdict: Verdict::Allow,
                by: None,
            };
        }
        self.decide_allow(rules, view)
    }

    fn decide_allow(&self, rules: &Rules, view: View<'_>) -> Decision<'_> {
        let by = self.first(&rules.allow, &rules.allow_index, view);
        Decision {
            verdict: if by.is_some() { Verdict::Allow } else { Verdict::Deny },
            by,
        }
    }

    fn first(&self, rules: &[Bound], index: &Index, view: View<'_>) -> Option<(&PolicyId, usize)> {
        let bound = index.first(rules, view)?;
        Some((self.ids.get(bound.policy)?, bound.index))
    }
}

/// Rules by the action of their policy.
#[derive(Debug, Default)]
struct Rules {
    custom: Consultations,
    audit: Vec<Bound>,
    deny: Vec<Bound>,
    allow: Vec<Bound>,
    audit_index: Index,
    deny_index: Index,
    allow_index: Index,
}

/// A rule and where it stands: policy in [`Policies::ids`], index in the policy.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) policy: usize,
    pub(crate) index: usize,
    pub(crate) rule: Rule,
}

impl Rules {
    fn is_empty(&self) -> bool {
        self.custom.is_empty() && self.audit.is_empty() && self.deny.is_empty() && self.allow.is_empty()
    }

    /// Every rule with what its policy does, and whom it wants asked, in the order in which they are looked at.
    fn in_order(&self) -> impl Iterator<Item = (Action, Option<&Arc<str>>, &Bound)> {
        let others = [
            (Action::Audit, &self.audit),
            (Action::Deny, &self.deny),
            (Action::Allow, &self.allow),
        ];
        let others = others
            .into_iter()
            .flat_map(|(action, list)| list.iter().map(move |bound| (action, None, bound)));
        let custom = self.custom.rules();
        custom
            .map(|(provider, bound)| (Action::Custom, provider, bound))
            .chain(others)
    }

    fn of(&mut self, action: Action) -> &mut Vec<Bound> {
        match action {
            Action::Allow => &mut self.allow,
            Action::Audit => &mut self.audit,
            // CUSTOM goes by provider: it never comes here, and would deny.
            Action::Deny | Action::Custom => &mut self.deny,
        }
    }
}

#[cfg(test)]
mod tests;
