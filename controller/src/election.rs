//! Who of several controllers acts: the holder of a Lease (`coordination.k8s.io/v1`), as Kubernetes' own controllers do it.
//!
//! Clocks of machines differ: another's Lease has expired when it was not renewed for its time by *our* clock.

use serde_json::{Value, json};
use std::time::Duration;

/// One candidate.
#[derive(Debug)]
pub struct Election {
    /// Where the Lease is.
    namespace: String,
    name: String,
    /// Ours, in `spec.holderIdentity`.
    identity: String,
    /// How long a Lease of ours lasts, in seconds.
    lasts: u64,
    /// Another's Lease as it was last seen to change, and when.
    seen: Option<(Value, Duration)>,
}

impl Election {
    /// A candidate for the Lease `namespace/name` that lasts `lasts` seconds.
    pub fn new(namespace: &str, name: &str, identity: &str, lasts: u64) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            lasts: lasts.max(1),
            seen: None,
        }
    }

    /// What names the Lease, to ask for it.
    pub fn lease(&self) -> Value {
        let meta = json!({ "namespace": self.namespace, "name": self.name });
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta })
    }

    /// The Lease to write: to create where `lease` is none, else to put in its place; whoever succeeds holds it for the
    /// time from before the attempt. `None`: another holds it. `at` is the time since any start, `now` RFC 3339 with
    /// microseconds.
    pub fn wish(&mut self, lease: Option<&Value>, at: Duration, now: &str) -> Option<Value> {
        let Some(lease) = lease else {
            let mut new = self.lease();
            self.fill(&mut new, now, 0);
            return Some(new);
        };
        let spec = lease.get("spec").cloned().unwrap_or_default();
        let holder = spec.get("holderIdentity").and_then(Value::as_str).unwrap_or_default();
        let transitions = spec.get("leaseTransitions").and_then(Value::as_u64).unwrap_or(0);
        let mut ours = lease.clone();
        if holder == self.identity {
            set(&mut ours, "renewTime", json!(now));
            set(&mut ours, "leaseDurationSeconds", json!(self.lasts));
            return Some(ours);
        }
        if !holder.is_empty() && !self.has_expired(&spec, at) {
            return None;
        }
        self.fill(&mut ours, now, transitions.saturating_add(1));
        Some(ours)
    }

    /// The Lease to write when we leave: nobody's. `None`: it is not ours.
    pub fn released(&self, lease: &Value, now: &str) -> Option<Value> {
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
        (holder == Some(&self.identity)).then(|| {
            let mut lease = lease.clone();
            set(&mut lease, "holderIdentity", json!(""));
            set(&mut lease, "leaseDurationSeconds", json!(1));
            set(&mut lease, "renewTime", json!(now));
            lease
        })
    }

    fn has_expired(&mut self, spec: &Value, at: Duration) -> bool {
        match &self.seen {
            Some((seen, since)) if seen == spec => {
                let lasts = spec
                    .get("leaseDurationSeconds")
                    .and_then(Value::as_u64)
                    .unwrap_or(self.lasts);
                at.saturating_sub(*since) > Duration::from_secs(lasts)
            }
            _ => {
                self.seen = Some((spec.clone(), at));
                false
            }
        }
    }

    fn fill(&self, lease: &mut Value, now: &str, transitions: u64) {
        for (field, value) in [
            ("holderIdentity", json!(self.identity)),
            ("leaseDurationSeconds", json!(self.lasts)),
            ("acquireTime", json!(now)),
            ("renewTime", json!(now)),
            ("leaseTransitions", json!(transitions)),
        ] {
            set(lease, field, value);
        }
    }
}

fn set(lease: &mut Value, field: &str, value: Value) {
    if let Some(lease) = lease.as_object_mut() {
        let spec = lease.entry("spec").or_insert_with(|| json!({}));
        if let Some(spec) = spec.as_object_mut() {
            spec.insert(field.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests;
