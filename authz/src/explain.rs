//! Why a request passes or does not: each rule that was looked at, the first thing that it asks for and does not get, and
//! who decided. For people; nothing on the path of a request calls this.

mod wanted;

use crate::policy::{Action, Bound, PolicyId, Verdict};
use crate::rule::{Conditions, Rule, View};
use std::fmt;
use std::sync::Arc;

/// How policies judge one request or connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyExplanation {
    /// Every rule of every policy that is bound, in the order in which they are asked: CUSTOM, AUDIT, DENY, ALLOW.
    pub considered: Vec<ConsideredRule>,
    /// The rules of policies in dry run (`istio.io/dry-run`), which decide nothing.
    pub rehearsed: Vec<ConsideredRule>,
    /// The verdict of DENY and ALLOW, as [`crate::Policies::decide`] gives it. Nobody is asked for CUSTOM.
    pub verdict: Verdict,
    /// The policy and rule that decided, as [`crate::Decision::by`].
    pub by: Option<(PolicyId, usize)>,
    /// The verdict in words.
    pub why: &'static str,
}

/// One rule, and why it does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsideredRule {
    /// Its policy.
    pub policy: PolicyId,
    /// What the policy does with what matches.
    pub action: Action,
    /// Index in the policy; `None`: the policy has no rule that could match.
    pub rule: Option<usize>,
    /// Whom a CUSTOM policy wants asked; `None` in one: nobody can be asked, and what matches is denied.
    pub provider: Option<Arc<str>>,
    /// For example `from[0]: namespaces: wanted "shop", found "other"`; `None`: it matches.
    pub lost_because: Option<String>,
}

impl ConsideredRule {
    /// A policy without any rule that could match.
    pub(crate) fn of_nothing(policy: &PolicyId, action: Action) -> Self {
        Self {
            policy: policy.clone(),
            action,
            rule: None,
            provider: None,
            lost_because: Some("it has no rule that could match".to_owned()),
        }
    }

    /// Whether the rule matches.
    pub fn matches(&self) -> bool {
        self.lost_because.is_none()
    }
}

impl PolicyExplanation {
    /// Puts rules, in the order in which they are asked, and what they come to together.
    pub(crate) fn of(considered: Vec<ConsideredRule>, closed: bool) -> Self {
        let first = |action: Action| {
            let mut matching = considered.iter().filter(|rule| rule.action == action && rule.matches());
            matching.find_map(|rule| Some((rule.policy.clone(), rule.rule?)))
        };
        let (denied, allowed) = (first(Action::Deny), first(Action::Allow));
        let (verdict, by, why) = match (denied, closed, allowed) {
            (Some(by), _, _) => (Verdict::Deny, Some(by), "a DENY rule matches"),
            (None, true, Some(by)) => (Verdict::Allow, Some(by), "an ALLOW rule matches"),
            (None, true, None) => (
                Verdict::Deny,
                None,
                "there are ALLOW policies, and no rule of them matches",
            ),
            (None, false, _) if considered.is_empty() => (Verdict::Allow, None, "no policy is bound"),
            (None, false, _) => (
                Verdict::Allow,
                None,
                "no DENY rule matches, and there is no ALLOW policy to ask for more",
            ),
        };
        Self {
            considered,
            rehearsed: Vec::new(),
            verdict,
            by,
            why,
        }
    }
}

/// One rule as it is explained.
pub(crate) fn considered(
    ids: &[PolicyId],
    action: Action,
    provider: Option<&Arc<str>>,
    bound: &Bound,
    view: View<'_>,
) -> Option<ConsideredRule> {
    Some(ConsideredRule {
        policy: ids.get(bound.policy)?.clone(),
        action,
        rule: Some(bound.index),
        provider: provider.cloned(),
        lost_because: mismatch(&bound.rule, view),
    })
}

/// The first part of a rule that does not hold; `None`: the rule matches.
fn mismatch(rule: &Rule, view: View<'_>) -> Option<String> {
    clauses("from", &rule.from, view)
        .or_else(|| clauses("to", &rule.to, view))
        .or_else(|| first_failed(&rule.when, view).map(|why| format!("when: {why}")))
}

/// One of them must hold; with several, each has its reason.
fn clauses(name: &str, clauses: &[Conditions], view: View<'_>) -> Option<String> {
    let mut failed = Vec::with_capacity(clauses.len());
    for (index, conditions) in clauses.iter().enumerate() {
        failed.push(format!("{name}[{index}]: {}", first_failed(conditions, view)?));
    }
    (!failed.is_empty()).then(|| failed.join("; "))
}

fn first_failed(conditions: &Conditions, view: View<'_>) -> Option<String> {
    let failed = conditions
        .iter()
        .find(|condition| condition.test.holds(view) == condition.negated)?;
    Some(wanted::describe(failed, view))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom => "CUSTOM",
        })
    }
}

#[cfg(test)]
mod tests;
