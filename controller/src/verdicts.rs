//! What is written into the status of routes and policies: our word beside those of others, which stay as they are.
//!
//! Of a route it is our entries of `status.parents`, of a policy of the Gateway API those of `status.ancestors`
//! (`controllerName` says whose they are). In Istio's policies istiod writes conditions of its own; ours has a type of our own.

use crate::CONTROLLER_NAME;
use crate::conditions::{Condition, Written, is_of};
use serde_json::{Value, json};

/// `type` of our condition of policies.
pub const POLICY_ACCEPTED: &str = "waypoint-proxy.io/Accepted";

/// What is to be said of one parent of a route, or of one target of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The reference, as in the spec.
    pub reference: Value,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// The status of a route, or `None` when it says so already. Without verdicts, our entries go. `now` is RFC 3339.
pub fn route(current: Option<&Value>, verdicts: &[Verdict], generation: i64, now: &str) -> Option<Value> {
    let of_routes = Entries {
        list: "parents",
        reference: "parentRef",
        most: 32,
    };
    of_routes.status(current, verdicts, &Written { generation, now })
}

/// The status of a policy of the Gateway API, likewise.
pub fn ancestors(current: Option<&Value>, verdicts: &[Verdict], generation: i64, now: &str) -> Option<Value> {
    let of_policies = Entries {
        list: "ancestors",
        reference: "ancestorRef",
        most: 16,
    };
    of_policies.status(current, verdicts, &Written { generation, now })
}

/// A list in a status with entries of several controllers.
struct Entries {
    list: &'static str,
    reference: &'static str,
    /// The API's limit.
    most: usize,
}

impl Entries {
    fn status(&self, current: Option<&Value>, verdicts: &[Verdict], written: &Written<'_>) -> Option<Value> {
        let entries = current.and_then(|status| status.get(self.list)?.as_array());
        let (ours, mut all): (Vec<&Value>, Vec<&Value>) =
            entries.into_iter().flatten().partition(|entry| is_ours(entry));
        let wanted: Vec<Value> = verdicts
            .iter()
            .map(|verdict| self.entry(verdict, &ours, written))
            .collect();
        // Their order is nobody's business: others write the list too.
        let room = self.most.saturating_sub(all.len());
        let is_said = ours.len() == wanted.len().min(room) && ours.iter().all(|entry| wanted.contains(entry));
        if is_said {
            return None;
        }
        all.extend(wanted.iter().take(room));
        Some(json!({ self.list: all }))
    }

    fn entry(&self, verdict: &Verdict, ours: &[&Value], written: &Written<'_>) -> Value {
        let before = ours
            .iter()
            .find(|entry| entry.get(self.reference) == Some(&verdict.reference));
        let before = before.and_then(|entry| entry.get("conditions")?.as_array());
        // What we said and do not say any more goes: the entry is ours alone.
        let is_told = |one: &&Value| verdict.conditions.iter().any(|wanted| is_of(one, wanted.kind));
        let before: Vec<Value> = before.into_iter().flatten().filter(is_told).cloned().collect();
        json!({ "controllerName": CONTROLLER_NAME, self.reference: verdict.reference,
            "conditions": written.conditions(&verdict.conditions, Some(&json!(before))) })
    }
}

/// The status of a policy of Istio, or `None` when it says so already. Without verdicts, our condition goes.
pub fn policy(current: Option<&Value>, verdicts: &[Verdict], generation: i64, now: &str) -> Option<Value> {
    let before = current.and_then(|status| status.get("conditions"));
    let all = before.and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted = match combined(verdicts) {
        Some(condition) => Written { generation, now }.conditions(&[condition], before),
        None => all.iter().filter(|one| !is_of(one, POLICY_ACCEPTED)).cloned().collect(),
    };
    (all != wanted).then(|| json!({ "conditions": wanted }))
}

/// One word of all targets: the first that is not accepted, and how many there are.
fn combined(verdicts: &[Verdict]) -> Option<Condition> {
    let accepted = |verdict: &Verdict| verdict.conditions.iter().find(|one| one.kind == "Accepted").cloned();
    let all: Vec<Condition> = verdicts.iter().filter_map(accepted).collect();
    let first = all.iter().find(|one| !one.holds).or(all.first())?.clone();
    let in_force = all.iter().filter(|one| one.holds).count();
    let message = match all.len() {
        1 => first.message,
        n => format!("{in_force} of {n} targets: {}", first.message),
    };
    Some(Condition {
        kind: POLICY_ACCEPTED,
        message,
        ..first
    })
}

fn is_ours(entry: &Value) -> bool {
    entry.get("controllerName").and_then(Value::as_str) == Some(CONTROLLER_NAME)
}

#[cfg(test)]
mod tests;
