#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::kind::KINDS;
use super::*;

fn seen(kind: &str, object: Value) -> Seen {
    let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
    trim(kind, "v1", serde_json::from_value(object).unwrap()).unwrap()
}

fn service(more: Value, status: Value) -> Value {
    let mut object = json!({
        "metadata": { "name": "reviews", "namespace": "demo", "uid": "u", "resourceVersion": "7",
            "labels": { "app": "reviews" }, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "clusterIP": "10.0.0.1", "typo": 1 }, "status": status,
    });
    let meta = object["metadata"].as_object_mut().unwrap();
    meta.extend(more.as_object().unwrap().clone());
    object
}

#[test]
fn what_is_of_no_concern_makes_no_difference() {
    let one = seen("Service", service(json!({}), json!({})));
    let more = json!({ "managedFields": [{ "manager": "x" }], "annotations": { "example.com/x": "y" },
        "resourceVersion": "8", "finalizers": ["x"] });
    let two = seen("Service", service(more, json!({ "loadBalancer": {} })));
    assert_eq!(one.fingerprint, two.fingerprint);
    assert_ne!(one.version, two.version);
    let three = seen(
        "Service",
        service(json!({ "annotations": { "istio.io/x": "y" } }), json!({})),
    );
    assert_ne!(one.fingerprint, three.fingerprint);
    let anew = seen("Service", service(json!({ "uid": "v" }), json!({})));
    assert_ne!(one.version, anew.version, "deleted and made anew");
}

#[test]
fn an_object_says_what_it_is_and_keeps_what_is_wrong_with_it() {
    let service = seen("Service", service(json!({}), json!({})));
    assert_eq!(service.value["kind"], "Service");
    assert_eq!(service.value["apiVersion"], "v1");
    assert_eq!(service.value["spec"]["typo"], 1, "for a finding");
    assert_eq!(service.value["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(service.value["metadata"]["labels"]["app"], "reviews");
    assert_eq!((&*service.namespace, &*service.name), ("demo", "reviews"));
}

#[test]
fn of_a_pod_little_is_kept() {
    let pod = seen(
        "Pod",
        json!({
            "metadata": { "name": "p", "namespace": "demo",
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1" },
                    { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "2", "controller": true }] },
            "spec": { "serviceAccountName": "a", "nodeName": "n", "volumes": [{}],
                "containers": [{ "name": "c", "env": [{ "name": "SECRET", "value": "s" }],
                    "ports": [{ "name": "http", "containerPort": 80 }] }] },
            "status": { "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }], "startTime": "x",
                "conditions": [{ "type": "Ready", "status": "True", "lastProbeTime": null }, { "type": "Initialized" }] },
        }),
    );
    assert_eq!(
        pod.value,
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "p", "namespace": "demo",
                "ownerReferences": [{ "controller": true, "kind": "ReplicaSet", "name": "r" }] },
            "spec": { "serviceAccountName": "a", "nodeName": "n",
                "containers": [{ "ports": [{ "name": "http", "containerPort": 80 }] }] },
            "status": { "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }],
                "conditions": [{ "type": "Ready", "status": "True" }] },
        })
    );
}
