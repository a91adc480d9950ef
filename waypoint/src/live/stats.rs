//! Counters of rules and their backends. A rule's are found by its address, which the snapshot keeps, in a map that is made
//! anew with each config; names outlive configs, and so do counts.

use super::counts::{Counts, Seen};
use crate::proxy::route_name;
use arc_swap::ArcSwap;
use mesh::{ServicePort, Snapshot};
use routing::{Cluster, RouteKind, Rule, Target};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Rules counted at most; those beyond are served and not counted.
const MOST_RULES: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rules {
    by_rule: ArcSwap<HashMap<usize, Arc<RuleCounts>>>,
    /// Of the config before, by name.
    known: Mutex<HashMap<String, Arc<RuleCounts>>>,
}

/// Of one rule, as one config has it.
#[derive(Debug)]
struct RuleCounts {
    /// Keeps the address, which is the key, from being given to another.
    _rule: Arc<Rule>,
    /// `demo/reviews/rule-0`; of a Service without routes its host and port.
    name: String,
    kind: RouteKind,
    /// The first Service port that it applies to.
    service: String,
    counts: Arc<Counts>,
    backends: Vec<BackendCounts>,
}

#[derive(Debug)]
struct BackendCounts {
    name: String,
    weight: u32,
    /// What a name that stands in a rule twice counts is one.
    counts: Arc<Counts>,
}

impl Rules {
    pub(super) fn add(&self, rule: &Arc<Rule>, backend: Option<usize>, seen: &Seen) {
        let rules = self.by_rule.load();
        // A config that has come into force a moment ago is not here yet.
        let Some(known) = rules.get(&key(rule)) else { return };
        known.counts.add(seen);
        if let Some(backend) = backend.and_then(|backend| known.backends.get(backend)) {
            backend.counts.add(seen);
        }
    }

    /// The names of a rule and of one of its backends.
    pub(super) fn names(&self, rule: &Arc<Rule>, backend: Option<usize>) -> (Option<String>, Option<String>) {
        let rules = self.by_rule.load();
        let Some(known) = rules.get(&key(rule)) else {
            return (None, None);
        };
        let backend = backend.and_then(|backend| known.backends.get(backend));
        (Some(known.name.clone()), backend.map(|backend| backend.name.clone()))
    }

    pub(super) fn published(&self, snapshot: &Snapshot) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut by_rule, mut by_name) = (HashMap::new(), HashMap::new());
        for port in snapshot.service_ports() {
            for rule in port.all_rules() {
                if by_rule.len() >= MOST_RULES {
                    break;
                }
                by_rule.entry(key(rule)).or_insert_with(|| {
                    let name = name(rule, port);
                    let counts = Arc::new(RuleCounts::new(snapshot, port, rule, &name, known.get(&name)));
                    by_name.insert(name, Arc::clone(&counts));
                    counts
                });
            }
        }
        self.by_rule.store(Arc::new(by_rule));
        *known = by_name;
    }

    /// Every rule there is, by name.
    pub(super) fn told(&self) -> Vec<Value> {
        let rules = self.by_rule.load();
        let mut rules: Vec<&Arc<RuleCounts>> = rules.values().collect();
        rules.sort_by(|one, other| (&one.service, &one.name).cmp(&(&other.service, &other.name)));
        rules.into_iter().map(|rule| rule.told()).collect()
    }
}

impl RuleCounts {
    fn new(snapshot: &Snapshot, port: &ServicePort, rule: &Arc<Rule>, name: &str, before: Option<&Arc<Self>>) -> Self {
        let mut backends: Vec<BackendCounts> = Vec::with_capacity(rule.backends.len());
        for backend in &rule.backends {
            let name = backend_name(snapshot, &backend.target);
            let old = before.into_iter().flat_map(|before| &before.backends);
            let old = backends.iter().chain(old).find(|known| known.name == name);
            let counts = old.map_or_else(Arc::default, |known| Arc::clone(&known.counts));
            backends.push(BackendCounts {
                name,
                weight: backend.weight,
                counts,
            });
        }
        Self {
            _rule: Arc::clone(rule),
            name: name.to_owned(),
            kind: rule.route.kind,
            service: service(port),
            counts: before.map_or_else(Arc::default, |before| Arc::clone(&before.counts)),
            backends,
        }
    }

    fn told(&self) -> Value {
        let total: u64 = self.backends.iter().map(|backend| u64::from(backend.weight)).sum();
        let picked: u64 = self.backends.iter().map(|backend| backend.counts.requests()).sum();
        let share =
            |part: u64, whole: u64| (whole > 0).then(|| (part as f64 * 10_000.0 / whole as f64).round() / 100.0);
        let backends = self.backends.iter().map(|backend| {
            let mut told = Map::new();
            told.insert("name".to_owned(), json!(backend.name));
            told.insert("weight".to_owned(), json!(backend.weight));
            told.insert(
                "wantedPercent".to_owned(),
                json!(share(u64::from(backend.weight), total)),
            );
            told.insert(
                "measuredPercent".to_owned(),
                json!(share(backend.counts.requests(), picked)),
            );
            backend.counts.tell(&mut told);
            Value::Object(told)
        });
        let mut told = Map::new();
        told.insert("rule".to_owned(), json!(self.name));
        told.insert("kind".to_owned(), json!(self.kind.to_string()));
        told.insert("service".to_owned(), json!(self.service));
        told.insert("backends".to_owned(), Value::Array(backends.collect()));
        self.counts.tell(&mut told);
        Value::Object(told)
    }
}

fn key(rule: &Arc<Rule>) -> usize {
    Arc::as_ptr(rule).addr()
}

fn name(rule: &Rule, port: &ServicePort) -> String {
    match rule.route.kind {
        RouteKind::Implicit => service(port),
        _ => route_name(rule),
    }
}

fn service(port: &ServicePort) -> String {
    format!("{}:{}", port.host, port.port)
}

fn backend_name(snapshot: &Snapshot, target: &Target) -> String {
    let Some(cluster) = snapshot.endpoints_of(target) else {
        return "leads nowhere".to_owned();
    };
    let Cluster {
        service, port, subset, ..
    } = &**cluster;
    let host = &service.host;
    match subset {
        Some(subset) => format!("{host}:{port} subset {subset}"),
        None => format!("{host}:{port}"),
    }
}
