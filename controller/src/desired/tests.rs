//! Golden text of what belongs to a Gateway, and the promises behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn gateway(more: Value) -> Gateway {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": { "name": "waypoint", "namespace": "demo", "uid": "u-1", "generation": 3,
            "labels": { "istio.io/waypoint-for": "service" } },
        "spec": { "gatewayClassName": "waypoint",
            "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] },
    });
    let object = crate::overlay::apply(&object, &more).unwrap();
    Gateway::parse(&object).unwrap()
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["kind"].as_str().unwrap()).collect()
}

#[test]
fn what_belongs_to_a_gateway() {
    let objects = objects(&gateway(json!({})), &Settings::default());
    let text = serde_json::to_string_pretty(&objects).unwrap() + "\n";
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/desired.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap(), "BLESS=1 writes it anew");
}

#[test]
fn traffic_cannot_loop_and_is_not_taken_by_the_node_tunnel() {
    let objects = objects(&gateway(json!({})), &Settings::default());
    assert_eq!(kinds(&objects), ["ServiceAccount", "Deployment", "Service"]);
    assert_eq!(objects[2]["metadata"]["labels"]["istio.io/use-waypoint"], "none");
    let pod = &objects[1]["spec"]["template"]["metadata"]["labels"];
    assert_eq!(pod["istio.io/dataplane-mode"], "none");
    // What would bind the Service's selector to nothing, or to another Gateway's pods.
    let selector = objects[2]["spec"]["selector"].as_object().unwrap();
    assert!(selector.iter().all(|(name, value)| &pod[name] == value));
    assert_eq!(
        &objects[1]["spec"]["selector"]["matchLabels"],
        &objects[2]["spec"]["selector"]
    );
}

#[test]
fn infrastructure_replaces_what_is_passed_on_and_cannot_take_our_labels() {
    let labels = json!({ "team": "shop", GATEWAY_NAME: "other", "istio.io/use-waypoint": "other" });
    let gateway =
        gateway(json!({ "spec": { "infrastructure": { "labels": labels, "annotations": { "note": "x" } } } }));
    for object in objects(&gateway, &Settings::default()) {
        let meta = &object["metadata"];
        assert_eq!(meta["labels"]["team"], "shop", "{object}");
        assert_eq!(meta["labels"][GATEWAY_NAME], "waypoint", "{object}");
        assert_eq!(meta["labels"].get("istio.io/waypoint-for"), None, "{object}");
        assert_eq!(meta["annotations"]["note"], "x", "{object}");
        assert_eq!(meta["ownerReferences"][0]["uid"], "u-1", "{object}");
    }
    let service = &objects(&gateway, &Settings::default())[2];
    assert_eq!(service["metadata"]["labels"]["istio.io/use-waypoint"], "none");
}

#[test]
fn istios_annotations_name_things() {
    let annotations = json!({
        "gateway.istio.io/name-override": "edge", "gateway.istio.io/service-account": "edge-sa",
        "networking.istio.io/service-type": "LoadBalancer", "kubectl.kubernetes.io/last-applied-configuration": "{}",
    });
    let gateway = gateway(json!({ "metadata": { "annotations": annotations } }));
    let objects = objects(&gateway, &Settings::default());
    let names: Vec<_> = objects
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["edge-sa", "edge", "edge"]);
    assert_eq!(objects[1]["spec"]["template"]["spec"]["serviceAccountName"], "edge-sa");
    assert_eq!(objects[2]["spec"]["type"], "LoadBalancer");
    assert_eq!(objects[1]["metadata"]["annotations"], json!({}));
    assert_eq!(gateway.host("cluster.local"), "edge.demo.svc.cluster.local");
}

#[test]
fn every_port_is_there_once() {
    let listeners = json!([{ "name": "mesh", "port": 15008, "protocol": "HBONE" },
        { "name": "again", "port": 15008, "protocol": "HBONE" }, { "name": "status", "port": 15021, "protocol": "TCP" }]);
    let gateway = gateway(json!({ "spec": { "listeners": listeners } }));
    let objects = objects(&gateway, &Settings::default());
    let ports: Vec<_> = objects[2]["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["port"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [15021, 15008]);
}

#[test]
fn autoscaler_and_budget_are_about_this_deployment() {
    let gateway = gateway(json!({}));
    let autoscaler = on_demand(&gateway, "HorizontalPodAutoscaler").unwrap();
    assert_eq!(autoscaler["spec"]["scaleTargetRef"]["name"], "waypoint");
    let budget = on_demand(&gateway, "PodDisruptionBudget").unwrap();
    assert_eq!(budget["spec"]["selector"]["matchLabels"][GATEWAY_NAME], "waypoint");
    assert_eq!(on_demand(&gateway, "Deployment"), None);
}
