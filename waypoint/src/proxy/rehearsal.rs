//! What AUDIT policies and those in dry run say of what passes: counted and logged, never enforced.

use super::reason::policy_name;
use super::record::Record;
use super::tunnel::Tunnel;
use authz::{Action, Claims, Decision, Policies, PolicyId, Verdict};
use request::{Connection, Request};
use telemetry::Rehearsal;

/// Of a request. What is in dry run is told by `record`, too.
pub(crate) fn of_request(
    tunnel: &Tunnel,
    policies: &Policies,
    request: &Request<'_>,
    claims: Option<&Claims>,
    record: &mut Record,
) {
    let path = request.head.path.as_str();
    if let Some(by) = policies.audited_by(request, claims) {
        audited(tunnel, by, path);
    }
    for (action, decision) in policies.rehearse(request, claims) {
        record.rehearsed(|| Rehearsal {
            is_deny: action == Action::Deny,
            result: result(&decision),
            policy: decision.by.map(policy_name),
        });
        rehearsed(tunnel, action, &decision, path);
    }
}

/// Of a TCP connection.
pub(crate) fn of_connection(tunnel: &Tunnel, policies: &Policies, connection: &Connection) {
    if let Some(by) = policies.audited_by_tcp(connection) {
        audited(tunnel, by, "");
    }
    for (action, decision) in policies.rehearse_tcp(connection) {
        rehearsed(tunnel, action, &decision, "");
    }
}

fn audited(tunnel: &Tunnel, by: (&PolicyId, usize), path: &str) {
    let policy = policy_name(by);
    tunnel.node.metrics.own.audit(&policy);
    tracing::debug!(policy, path, "audited");
}

fn rehearsed(tunnel: &Tunnel, action: Action, decision: &Decision<'_>, path: &str) {
    let action = if action == Action::Deny { "DENY" } else { "ALLOW" };
    let result = result(decision);
    let policy = decision.by.map_or_else(|| "none".to_owned(), policy_name);
    tunnel.node.metrics.own.dry_run(&policy, action, result);
    tracing::debug!(policy, action, result, path, "dry run");
}

fn result(decision: &Decision<'_>) -> &'static str {
    match decision.verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
    }
}
