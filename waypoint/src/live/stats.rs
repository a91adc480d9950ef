//! Counters of rules and their backends. A rule's are found by its address, which the snapshot keeps, in a map that is made
//! anew with each config; names outlive configs, and so do counts.
//!
//! A rule that nobody has used yet has no counters: of a thousand routes, few are.

use super::counts::{Counts, Seen};
use crate::proxy::route_name;
use arc_swap::ArcSwap;
use mesh::{ServicePort, Snapshot};
use routing::{Cluster, RouteKind, Rule, Target};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Rules counted at most; those beyond are served and not counted.
const MOST_RULES: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rules {
    shown: ArcSwap<Shown>,
}

/// The rules of one config.
#[derive(Debug, Default)]
struct Shown {
    snapshot: Arc<Snapshot>,
    by_rule: HashMap<usize, Known>,
}

/// One rule, as one config has it.
#[derive(Debug)]
struct Known {
    /// Keeps the address, which is the key, from being given to another.
    rule: Arc<Rule>,
    /// The first Service port that it applies to.
    port: Arc<ServicePort>,
    /// Made by the first request.
    counted: OnceLock<Box<Counted>>,
}

/// What is counted of a rule.
#[derive(Debug)]
struct Counted {
    all: Arc<Counts>,
    /// By place. What a name that stands in a rule twice counts is one.
    backends: Box<[Arc<Counts>]>,
}

/// What a rule counted in the config before.
struct Before {
    all: Arc<Counts>,
    /// By the backend's name.
    backends: Vec<(String, Arc<Counts>)>,
}

impl Rules {
    pub(super) fn add(&self, rule: &Arc<Rule>, backend: Option<usize>, seen: &Seen) {
        let shown = self.shown.load();
        // A config that has come into force a moment ago is not here yet.
        let Some(known) = shown.by_rule.get(&key(rule)) else {
            return;
        };
        let fresh = || Box::new(Counted::new(&shown.snapshot, rule, None));
        let counted = known.counted.get_or_init(fresh);
        counted.all.add(seen);
        if let Some(counts) = backend.and_then(|backend| counted.backends.get(backend)) {
            counts.add(seen);
        }
    }

    /// The names of a rule and of one of its backends.
    pub(super) fn names(&self, rule: &Arc<Rule>, backend: Option<usize>) -> (Option<String>, Option<String>) {
        let shown = self.shown.load();
        let Some(known) = shown.by_rule.get(&key(rule)) else {
            return (None, None);
        };
        let backend = backend.and_then(|backend| rule.backends.get(backend));
        let backend = backend.map(|backend| backend_name(&shown.snapshot, &backend.target));
        (Some(known.name()), backend)
    }

    /// Told of one config after the other. A rule that is used for the first time in this very moment may lose that count.
    pub(super) fn published(&self, snapshot: &Arc<Snapshot>) {
        let before = self.shown.load().counted();
        let many = snapshot.service_ports().iter().flat_map(|port| port.all_rules());
        let mut by_rule = HashMap::with_capacity(many.count().min(MOST_RULES));
        for port in snapshot.service_ports() {
            for rule in port.all_rules() {
                if by_rule.len() >= MOST_RULES {
                    break;
                }
                by_rule.entry(key(rule)).or_insert_with(|| {
                    let known = Known {
                        rule: Arc::clone(rule),
                        port: Arc::clone(port),
                        counted: OnceLock::new(),
                    };
                    if !before.is_empty()
                        && let Some(before) = before.get(&known.name())
                    {
                        let counted = Counted::new(snapshot, rule, Some(before));
                        known.counted.get_or_init(|| Box::new(counted));
                    }
                    known
                });
            }
        }
        let snapshot = Arc::clone(snapshot);
        self.shown.store(Arc::new(Shown { snapshot, by_rule }));
    }

    /// Every rule there is, by name.
    pub(super) fn told(&self) -> Vec<Value> {
        let shown = self.shown.load();
        let mut rules: Vec<(String, String, &Known)> = shown
            .by_rule
            .values()
            .map(|known| (service(&known.port), known.name(), known))
            .collect();
        rules.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        let told = rules
            .into_iter()
            .map(|(service, name, known)| known.told(&shown.snapshot, name, service));
        told.collect()
    }
}

impl Shown {
    /// What has been counted, by the rules' names.
    fn counted(&self) -> HashMap<String, Before> {
        let used = self
            .by_rule
            .values()
            .filter_map(|known| Some((known, known.counted.get()?)));
        let before = used.map(|(known, counted)| {
            let names = known
                .rule
                .backends
                .iter()
                .map(|one| backend_name(&self.snapshot, &one.target));
            let before = Before {
                all: Arc::clone(&counted.all),
                backends: names.zip(counted.backends.iter().cloned()).collect(),
            };
            (known.name(), before)
        });
        before.collect()
    }
}

impl Counted {
    fn new(snapshot: &Snapshot, rule: &Rule, before: Option<&Before>) -> Self {
        let mut backends: Vec<(String, Arc<Counts>)> = Vec::with_capacity(rule.backends.len());
        for backend in &rule.backends {
            let name = backend_name(snapshot, &backend.target);
            let old = before.into_iter().flat_map(|before| &before.backends);
            let old = backends.iter().chain(old).find(|(known, _)| *known == name);
            let counts = old.map_or_else(Arc::default, |(_, counts)| Arc::clone(counts));
            backends.push((name, counts));
        }
        Self {
            all: before.map_or_else(Arc::default, |before| Arc::clone(&before.all)),
            backends: backends.into_iter().map(|(_, counts)| counts).collect(),
        }
    }
}

impl Known {
    fn name(&self) -> String {
        match self.rule.route.kind {
            RouteKind::Implicit => service(&self.port),
            _ => route_name(&self.rule),
        }
    }

    fn told(&self, snapshot: &Snapshot, name: String, service: String) -> Value {
        let unused = Counted::new(snapshot, &self.rule, None);
        let counted = self.counted.get().map_or(&unused, |counted| counted);
        let pairs = || self.rule.backends.iter().zip(&counted.backends);
        let total: u64 = pairs().map(|(backend, _)| u64::from(backend.weight)).sum();
        let picked: u64 = pairs().map(|(_, counts)| counts.requests()).sum();
        let share =
            |part: u64, whole: u64| (whole > 0).then(|| (part as f64 * 10_000.0 / whole as f64).round() / 100.0);
        let backends = pairs().map(|(backend, counts)| {
            let mut told = Map::new();
            told.insert("name".to_owned(), json!(backend_name(snapshot, &backend.target)));
            told.insert("weight".to_owned(), json!(backend.weight));
            told.insert(
                "wantedPercent".to_owned(),
                json!(share(u64::from(backend.weight), total)),
            );
            told.insert("measuredPercent".to_owned(), json!(share(counts.requests(), picked)));
            counts.tell(&mut told);
            Value::Object(told)
        });
        let mut told = Map::new();
        told.insert("rule".to_owned(), json!(name));
        told.insert("kind".to_owned(), json!(self.rule.route.kind.to_string()));
        told.insert("service".to_owned(), json!(service));
        told.insert("backends".to_owned(), Value::Array(backends.collect()));
        counted.all.tell(&mut told);
        Value::Object(told)
    }
}

fn key(rule: &Arc<Rule>) -> usize {
    Arc::as_ptr(rule).addr()
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
