//! Who talks to whom: counters for each pair of a client workload and a Service. A tunnel finds its own once.

use super::counts::Counts;
use request::{ServiceName, Workload};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Pairs told apart at most; the rest is one.
const MOST_EDGES: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Edges(RwLock<HashMap<Pair, Edge>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Pair {
    namespace: String,
    workload: String,
    service: Arc<str>,
    port: u16,
}

/// The counters of one pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    pub(super) counts: Arc<Counts>,
}

impl Edges {
    /// For a tunnel that begins. Locks: once for each tunnel, never for a request.
    pub(crate) fn of(&self, source: &Workload, service: &ServiceName, port: u16) -> Edge {
        let pair = Pair {
            namespace: source.namespace.clone(),
            workload: workload(source).to_owned(),
            service: Arc::clone(&service.host),
            port,
        };
        if let Some(edge) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&pair) {
            return edge.clone();
        }
        let mut edges = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = edges.len() < MOST_EDGES;
        let pair = if room { pair } else { Pair::rest() };
        edges.entry(pair).or_default().clone()
    }

    /// Every pair that had a request, in order.
    pub(super) fn told(&self) -> Vec<Value> {
        let edges = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut used: Vec<_> = edges.iter().filter(|(_, edge)| edge.counts.requests() > 0).collect();
        used.sort_by_key(|(pair, _)| *pair);
        let told = used.into_iter().map(|(pair, edge)| {
            let mut told = Map::new();
            told.insert("sourceNamespace".to_owned(), json!(pair.namespace));
            told.insert("sourceWorkload".to_owned(), json!(pair.workload));
            told.insert("service".to_owned(), json!(&*pair.service));
            told.insert("port".to_owned(), json!(pair.port));
            edge.counts.tell(&mut told);
            Value::Object(told)
        });
        told.collect()
    }
}

impl Pair {
    fn rest() -> Self {
        Self {
            namespace: String::new(),
            workload: "other".to_owned(),
            service: "other".into(),
            port: 0,
        }
    }
}

/// By the owner's name, else by the service account.
fn workload(source: &Workload) -> &str {
    [&source.name, &source.canonical_name, &source.service_account]
        .into_iter()
        .find(|name| !name.is_empty())
        .map_or("unknown", String::as_str)
}
