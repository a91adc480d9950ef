//! What each backend of a rule really gets, beside what it should get: `waypoint_backend_requests_total` and
//! `waypoint_backend_weight`.
//!
//! Handles are made when a config is published. A request finds them by the address of its rule, which is kept alive; one
//! that still holds an older config finds none, and is counted only where there is an `overflow`.

use super::record::route_name;
use arc_swap::ArcSwap;
use mesh::Snapshot;
use routing::{Backend, RouteKind, Rule};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use telemetry::{BackendWeight, Counter, OwnMetrics};

/// Rules that are told apart; those beyond are counted together as `overflow`.
const RULES: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    told: ArcSwap<Told>,
}

/// The handles of one config.
#[derive(Debug, Default)]
struct Told {
    /// By the address of the rule.
    rules: HashMap<usize, Counted>,
    /// There are more rules than are told apart.
    overflow: Option<Counter>,
}

#[derive(Debug)]
struct Counted {
    /// No other rule gets its address while this is here.
    _rule: Arc<Rule>,
    /// By place.
    backends: Vec<Counter>,
}

impl Shares {
    /// Counts a request, or a connection, that goes to this backend of this rule.
    pub(crate) fn picked(&self, rule: &Arc<Rule>, backend: &Backend) {
        if rule.route.kind == RouteKind::Implicit {
            return;
        }
        let Some(place) = rule.backends.iter().position(|other| std::ptr::eq(other, backend)) else {
            return;
        };
        let told = self.told.load();
        let counter = match told.rules.get(&address(rule)) {
            Some(known) => known.backends.get(place),
            None => told.overflow.as_ref(),
        };
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    /// Makes the handles of a config, and shows its weights.
    pub(crate) fn publish(&self, snapshot: &Snapshot, metrics: &OwnMetrics) {
        let mut told = Told::default();
        let mut weights: BTreeMap<(String, String), u32> = BTreeMap::new();
        let shaped = snapshot.service_ports().iter().flat_map(|port| port.all_rules());
        for rule in shaped.filter(|rule| rule.route.kind != RouteKind::Implicit) {
            if told.rules.contains_key(&address(rule)) {
                continue; // One rule may shape many ports.
            }
            if told.rules.len() >= RULES {
                told.overflow = Some(metrics.backend_requests("overflow", "overflow"));
                break;
            }
            let route = route_name(rule);
            let counters = rule.backends.iter().map(|backend| {
                let name = backend_name(snapshot, rule, backend);
                let counter = metrics.backend_requests(&route, &name);
                let weight = weights.entry((route.clone(), name)).or_default();
                *weight = weight.saturating_add(backend.weight);
                counter
            });
            let backends = counters.collect();
            let counted = Counted {
                _rule: Arc::clone(rule),
                backends,
            };
            told.rules.insert(address(rule), counted);
        }
        let weights = weights.into_iter().map(|((route, backend), weight)| BackendWeight {
            route: route.into(),
            backend: backend.into(),
            weight,
        });
        metrics.set_weights(weights.collect());
        self.told.store(Arc::new(told));
    }
}

fn address(rule: &Arc<Rule>) -> usize {
    Arc::as_ptr(rule).addr()
}

/// `reviews-v2:9080`, with `/subset`, and with the namespace where it is not the route's own.
fn backend_name(snapshot: &Snapshot, rule: &Rule, backend: &Backend) -> String {
    let Some(cluster) = snapshot.endpoints_of(&backend.target) else {
        return "invalid".to_owned();
    };
    let (name, port) = (&cluster.service.name, cluster.port);
    let namespace = if cluster.service.namespace == rule.route.namespace {
        String::new()
    } else {
        format!(".{}", cluster.service.namespace)
    };
    let subset = cluster
        .subset
        .as_deref()
        .map(|subset| format!("/{subset}"))
        .unwrap_or_default();
    format!("{name}{namespace}:{port}{subset}")
}
