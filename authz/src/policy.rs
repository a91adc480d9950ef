//! AuthorizationPolicies bound to one Service port, compiled, and the decision.

use crate::{AuthorizationPolicySpec, Claims, Problem, TrustDomains};
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
    _private: (),
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
    /// Compiles the policies of one target. Problems name a field path inside the object.
    pub fn build(
        _specs: &[(PolicyId, AuthorizationPolicySpec)],
        _trust: &TrustDomains,
    ) -> (Self, Vec<(PolicyId, Problem)>) {
        todo!()
    }
    /// No policy applies.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Decides an HTTP request: AUDIT, DENY, ALLOW. Allocates nothing.
    pub fn decide(&self, _request: &Request<'_>, _claims: Option<&Claims>) -> Decision<'_> {
        todo!()
    }
    /// Decides a TCP connection: HTTP attributes drop an ALLOW rule whole and are ignored in DENY.
    pub fn decide_tcp(&self, _connection: &Connection) -> Decision<'_> {
        todo!()
    }
}
