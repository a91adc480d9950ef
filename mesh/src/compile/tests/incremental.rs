//! What a compile keeps of the one before must not show.

use super::world::GATEWAY;
use crate::{Compiler, Finding, Resources, Scope, Snapshot};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One edit of the config: an object appears, changes or goes.
#[derive(Clone, Debug)]
struct Edit {
    what: What,
    number: usize,
    version: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Route,
    Service,
    Slice,
    Pod,
    DestinationRule,
    ServiceEntry,
}

fn edit() -> impl Strategy<Value = Edit> {
    let what = prop_oneof![
        5 => Just(What::Route),
        3 => Just(What::Service),
        3 => Just(What::Slice),
        2 => Just(What::Pod),
        1 => Just(What::DestinationRule),
        1 => Just(What::ServiceEntry),
    ];
    let version = prop::option::weighted(0.8, 0..3_usize);
    (what, 0..4_usize, version).prop_map(|(what, number, version)| Edit { what, number, version })
}

impl Edit {
    fn apply(&self, resources: &mut Resources) {
        let number = self.number;
        let (kind, name) = match self.what {
            What::Route => (kind(number), format!("r{number}")),
            What::Service => ("Service", format!("s{number}")),
            What::Slice => ("EndpointSlice", format!("s{number}")),
            What::Pod => ("Pod", format!("p{number}")),
            What::DestinationRule => ("DestinationRule", format!("d{number}")),
            What::ServiceEntry => ("ServiceEntry", format!("e{number}")),
        };
        let Some(version) = self.version else {
            return resources.delete(kind, "shop", &name);
        };
        resources.apply(match self.what {
            What::Route => route(number, version),
            What::Service => service(number, version),
            What::Slice => slice(number, version),
            What::Pod => pod(number, version),
            What::DestinationRule => destination_rule(number, version),
            What::ServiceEntry => service_entry(number, version),
        });
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
        "spec": { "clusterIP": format!("10.0.0.{}", number + 1), "selector": { "app": "x" }, "ports": [{ "name": "http", "port": 80 + version }] },
    })
}

/// Slices 0 and 2 are of one Service, 1 and 3 of another; version 1 has no ready endpoint.
fn slice(number: usize, version: usize) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": format!("s{number}"), "namespace": "shop",
                      "labels": { "kubernetes.io/service-name": format!("s{}", number % 2) } },
        "ports": [{ "name": "http", "port": 8080 }],
        "endpoints": [{ "addresses": [format!("10.1.0.{number}")], "conditions": { "ready": version != 1 } },
                      { "addresses": [format!("10.1.1.{version}")], "conditions": { "ready": version != 1 } }],
    })
}

/// Pods of one label, at the addresses of slices, of Services that select them, and of subsets.
fn pod(number: usize, version: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("p{number}"), "namespace": "shop",
                      "labels": { "app": "x", "version": format!("v{version}") } },
        "spec": { "serviceAccountName": format!("sa{version}") },
        "status": { "phase": "Running", "podIP": format!("10.1.0.{}", number + version) },
    })
}

/// Rules 0 and 2 are for one host. Version 2 asks for what is not there, and closes.
fn destination_rule(number: usize, version: usize) -> Value {
    let tls = json!({ "mode": "SIMPLE", "credentialName": "gone" });
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": { "name": format!("d{number}"), "namespace": "shop" },
        "spec": { "host": format!("s{}", number % 2), "subsets": [{ "name": "v1", "labels": { "version": "v1" } }],
                  "trafficPolicy": if version == 2 { json!({ "tls": tls }) } else { json!({}) } },
    })
}

fn service_entry(number: usize, version: usize) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": { "name": format!("e{number}"), "namespace": "shop", "labels": { "istio.io/use-waypoint": "waypoint" } },
        "spec": { "hosts": [format!("e{}.example.com", number + version)], "resolution": "STATIC",
                  "ports": [{ "number": 80, "name": "http", "protocol": "HTTP" }],
                  "endpoints": [{ "address": format!("10.1.0.{version}") }] },
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
