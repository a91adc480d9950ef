#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::kind::KINDS;
use super::super::store::Part;
use super::super::trim::trim;
use super::*;
use serde_json::{Value, json};

struct World {
    store: Store,
    eye: Eye,
}

impl World {
    fn new() -> Self {
        let eye = Eye {
            own: Arc::from("own"),
            root: Arc::from("istio-system"),
            gateway: Some("waypoint".to_owned()),
            istiod: None,
        };
        Self {
            store: Store::new(Arc::clone(&eye.own)),
            eye,
        }
    }

    fn add(&mut self, kind: &str, namespace: &str, labels: Value, spec: Value) -> &mut Self {
        let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
        let name = if kind.name == "Namespace" { namespace } else { "x" };
        let mut meta = json!({ "name": name, "labels": labels, "resourceVersion": "1" });
        if kind.name != "Namespace" {
            meta["namespace"] = json!(namespace);
        }
        let object = json!({ "metadata": meta, "spec": spec, "data": spec });
        let seen = trim(kind, "v1", serde_json::from_value(object).unwrap()).unwrap();
        let part = Part {
            kind: kind.name,
            namespace: None,
            name: None,
        };
        self.store.apply(&part, kind, seen);
        self
    }

    fn interest(&self) -> Interest {
        Interest::of(&self.store, &self.eye)
    }

    fn namespaces(&self) -> Vec<String> {
        self.interest()
            .namespaces
            .iter()
            .map(|namespace| namespace.to_string())
            .collect()
    }
}

fn uses(namespace: &str, name: &str) -> Value {
    json!({ "istio.io/use-waypoint": name, "istio.io/use-waypoint-namespace": namespace })
}

#[test]
fn our_namespace_and_those_that_name_our_gateway() {
    let mut world = World::new();
    assert_eq!(world.namespaces(), ["own"]);
    world
        .add("Namespace", "by-label", uses("own", "waypoint"), json!({}))
        .add("Service", "by-service", uses("own", "waypoint"), json!({}))
        .add("Service", "other-gateway", uses("own", "other"), json!({}))
        .add("Service", "other-namespace", uses("elsewhere", "waypoint"), json!({}))
        .add(
            "Service",
            "its-own",
            json!({ "istio.io/use-waypoint": "waypoint" }),
            json!({}),
        )
        .add("ServiceEntry", "by-entry", uses("own", "waypoint"), json!({}));
    assert_eq!(world.namespaces(), ["by-entry", "by-label", "by-service", "own"]);
    let canary = json!({ "istio.io/use-waypoint-canary": "waypoint", "istio.io/use-waypoint-canary-namespace": "own" });
    world.add("Service", "canary", canary, json!({}));
    assert!(world.namespaces().contains(&"canary".to_owned()));
}

#[test]
fn routes_lead_to_namespaces_when_they_concern_us() {
    let mut world = World::new();
    let to = |parent: &str, backend: &str| {
        json!({ "parentRefs": [{ "kind": "Service", "name": "s", "namespace": parent }],
            "rules": [{ "backendRefs": [{ "name": "b", "namespace": backend }] }] })
    };
    world
        .add("HTTPRoute", "consumer", json!({}), to("own", "backends"))
        .add("GRPCRoute", "stranger", json!({}), to("elsewhere", "unseen"))
        .add(
            "TCPRoute",
            "own",
            json!({}),
            json!({ "rules": [{ "backendRefs": [{ "name": "b", "namespace": "tcp" }] }] }),
        );
    assert_eq!(world.namespaces(), ["backends", "consumer", "own", "tcp"]);
    let resources = world.interest().resources(&world.store, &world.eye);
    let names: Vec<String> = resources.objects.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["HTTPRoute consumer/x", "TCPRoute own/x"]);
}

#[test]
fn secrets_and_config_maps_by_name() {
    let mut world = World::new();
    let tls =
        |name: &str| json!({ "host": "h", "trafficPolicy": { "tls": { "mode": "SIMPLE", "credentialName": name } } });
    world.add("DestinationRule", "own", json!({}), tls("mine")).add(
        "DestinationRule",
        "strangers",
        json!({}),
        tls("theirs"),
    );
    let objects: Vec<String> = world
        .interest()
        .objects
        .iter()
        .map(|(kind, of, name)| format!("{kind} {of}/{name}"))
        .collect();
    assert_eq!(
        objects,
        [
            "ConfigMap istio-system/istio",
            "Secret own/mine",
            "Secret own/mine-cacert"
        ]
    );
}

#[test]
fn findings_of_strangers_are_not_ours() {
    let world = World::new();
    let interest = world.interest();
    let of = |object: Option<&str>| Finding {
        severity: Severity::Warning,
        object: object.map(str::to_owned),
        field: None,
        place: None,
        message: String::new(),
    };
    for (object, is_ours) in [
        (None, true),
        (Some("GatewayClass istio-waypoint"), true),
        (Some("HTTPRoute own/x"), true),
        (Some("ConfigMap istio-system/istio"), true),
        (Some("DestinationRule strangers/x"), false),
    ] {
        assert_eq!(interest.is_ours(&of(object), &world.eye), is_ours, "{object:?}");
    }
}

#[test]
fn there_is_a_limit_and_it_is_told() {
    let mut world = World::new();
    for n in 0..MAX_NAMESPACES {
        world.add("Namespace", &format!("n{n:04}"), uses("own", "waypoint"), json!({}));
    }
    let interest = world.interest();
    assert!(interest.finding().is_some());
    assert!(interest.namespaces.contains("own") && interest.namespaces.len() <= MAX_NAMESPACES + 1);
}
