//! What a compile keeps of the one before must not show.

use super::world::GATEWAY;
use crate::{Compiler, Finding, Resources, Scope, Snapshot};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One edit of the config: an object appears, changes or goes.
#[derive(Clone, Debug)]
struct Edit {
    route: bool,
    number: usize,
    version: Option<usize>,
}

fn edit() -> impl Strategy<Value = Edit> {
    (
        prop::bool::weighted(0.7),
        0..4_usize,
        prop::option::weighted(0.8, 0..3_usize),
    )
        .prop_map(|(route, number, version)| Edit { route, number, version })
}

impl Edit {
    fn apply(&self, resources: &mut Resources) {
        let number = self.number;
        match (self.route, self.version) {
            (true, Some(version)) => resources.apply(route(number, version)),
            (true, None) => resources.delete(kind(number), "shop", &format!("r{number}")),
            (false, Some(version)) => resources.apply(service(number, version)),
            (false, None) => resources.delete("Service", "shop", &format!("s{number}")),
        }
    }
}

fn kind(number: usize) -> &'static str {
    if number == 3 { "GRPCRoute" } else { "HTTPRoute" }
}

/// Number 3 is a GRPCRoute, which outranks; version 2 is a consumer route.
fn route(number: usize, version: usize) -> Value {
    let matches = match number {
        3 => json!([{ "method": { "service": format!("s{version}") } }]),
        _ => {
            json!([{ "path": { "value": format!("/{number}/{version}") } }, { "path": { "type": "Exact", "value": "/" } }])
        }
    };
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind(number),
        "metadata": { "name": format!("r{number}"), "namespace": if version == 2 { "other" } else { "shop" } },
        "spec": {
            "parentRefs": [{ "group": "", "kind": "Service", "name": format!("s{}", number % 2), "namespace": "shop" }],
            "rules": [{ "matches": matches, "backendRefs": [{ "name": format!("s{version}"), "namespace": "shop", "port": 80 }] }],
        },
    })
}

fn service(number: usize, version: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": format!("s{number}"), "namespace": "shop", "labels": { "istio.io/use-waypoint": "waypoint" } },
        "spec": { "clusterIP": format!("10.0.0.{}", number + 1), "ports": [{ "name": "http", "port": 80 + version }] },
    })
}

/// As a person sees it; the generation always differs.
fn seen(snapshot: &Snapshot, findings: &[Finding]) -> (Value, Vec<String>) {
    let mut dump = snapshot.dump(0);
    dump["generation"] = Value::Null;
    (dump, findings.iter().map(ToString::to_string).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_config_that_was_edited_equals_one_that_was_written_so(edits in prop::collection::vec(edit(), 1..12)) {
        let mut kept = Compiler::new(Scope::default());
        let mut resources = Resources::from_yaml("mesh.yaml".as_ref(), GATEWAY);
        for edit in &edits {
            edit.apply(&mut resources);
            let (snapshot, findings) = kept.compile(&resources);
            let (fresh, fresh_findings) = Compiler::new(Scope::default()).compile(&resources);
            prop_assert_eq!(seen(&snapshot, &findings), seen(&fresh, &fresh_findings));
        }
    }
}
