//! What policies decided: how often each rule let something pass or denied it, and the last denial.
//!
//! The policies of a config are known by address, as rules are; what is denied for other reasons (no ALLOW rule, an
//! authoriser) is counted by name, where only refusals come.

use super::unix_ms;
use arc_swap::ArcSwap;
use authz::PolicyId;
use mesh::Snapshot;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// Names told apart at most; the rest is one.
const MOST_NAMES: usize = 2_000;
/// Bound policies counted at most; those beyond judge and are not counted.
const MOST_POLICIES: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// By the address of the policy's id, which the snapshot keeps as long as this.
    bound: ArcSwap<Bound>,
    /// By name of the policy and its rule, as telemetry has it.
    denied: RwLock<BTreeMap<Box<str>, Arc<Denied>>>,
}

#[derive(Debug, Default)]
struct Bound {
    policies: HashMap<usize, Arc<Policy>>,
    /// Keeps the addresses from being given to others.
    _kept: Vec<Arc<authz::Policies>>,
}

#[derive(Debug)]
struct Policy {
    name: String,
    action: String,
    passed: AtomicU64,
}

#[derive(Debug, Default)]
struct Denied {
    count: AtomicU64,
    last_ms: AtomicU64,
    /// Client, and what it asked for.
    last: Mutex<Option<(String, String)>>,
}

impl Verdicts {
    /// An ALLOW policy has let something pass.
    pub(super) fn passed(&self, policy: &PolicyId) {
        if let Some(policy) = self.bound.load().policies.get(&address(policy)) {
            policy.passed.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn denied(&self, name: &str, client: &str, what: impl FnOnce() -> String) {
        let denied = self.of(name);
        denied.count.fetch_add(1, Relaxed);
        denied.last_ms.store(unix_ms(SystemTime::now()), Relaxed);
        // Whoever comes while another is told is not the last for long: nobody waits here.
        if let Ok(mut last) = denied.last.try_lock() {
            *last = Some((client.to_owned(), what()));
        }
    }

    /// The policies of a config; those of the same name and action go on counting.
    pub(super) fn published(&self, snapshot: &Snapshot) {
        let before = self.bound.load();
        let known: HashMap<(&str, &str), &Arc<Policy>> = before
            .policies
            .values()
            .map(|policy| ((&*policy.name, &*policy.action), policy))
            .collect();
        let mut named: BTreeMap<(String, String), Arc<Policy>> = BTreeMap::new();
        let mut next = Bound::default();
        for port in snapshot.service_ports() {
            for (id, action) in port
                .policies
                .ids()
                .take(MOST_POLICIES.saturating_sub(next.policies.len()))
            {
                let key = (format!("{}/{}", id.namespace, id.name), action.to_string());
                let old = known.get(&(&*key.0, &*key.1)).map(|policy| Arc::clone(policy));
                let policy = named.entry(key.clone()).or_insert_with(|| {
                    old.unwrap_or_else(|| {
                        let (name, action) = key;
                        Arc::new(Policy {
                            name,
                            action,
                            passed: AtomicU64::new(0),
                        })
                    })
                });
                next.policies.insert(address(id), Arc::clone(policy));
            }
            next._kept.push(Arc::clone(&port.policies));
        }
        self.bound.store(Arc::new(next));
    }

    /// The policies that are bound, and what each let pass.
    pub(super) fn bound(&self) -> Vec<Value> {
        let bound = self.bound.load();
        let mut all: BTreeMap<(&str, &str), &Arc<Policy>> = BTreeMap::new();
        for policy in bound.policies.values() {
            all.insert((&policy.name, &policy.action), policy);
        }
        let told = all.into_values().map(
            |policy| json!({ "policy": policy.name, "action": policy.action, "passed": policy.passed.load(Relaxed) }),
        );
        told.collect()
    }

    /// What was denied, by policy and rule.
    pub(super) fn denials(&self) -> Vec<Value> {
        let all = self.denied.read().unwrap_or_else(PoisonError::into_inner);
        let told = all.iter().map(|(policy, denied)| {
            let last = denied.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (client, what) = last.unwrap_or_default();
            json!({
                "policy": policy,
                "denials": denied.count.load(Relaxed),
                "last": { "atMs": denied.last_ms.load(Relaxed), "client": client, "request": what },
            })
        });
        told.collect()
    }

    fn of(&self, name: &str) -> Arc<Denied> {
        if let Some(known) = self.denied.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut all = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        let name = if all.len() < MOST_NAMES { name } else { "other" };
        Arc::clone(all.entry(name.into()).or_default())
    }
}

fn address(policy: &PolicyId) -> usize {
    std::ptr::from_ref(policy).addr()
}
