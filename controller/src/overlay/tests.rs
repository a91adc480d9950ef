//! Overlays merge as `kubectl patch --type strategic` does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn merged(base: Value, overlay: Value) -> Value {
    apply(&base, &overlay).unwrap()
}

#[test]
fn containers_are_merged_by_name_and_their_parts_too() {
    let base = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "waypoint", "image": "a",
        "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
        "ports": [{ "name": "hbone", "containerPort": 15008 }],
        "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } } }] } } } });
    let overlay = json!({ "spec": { "replicas": 3, "template": { "spec": { "containers": [
        { "name": "waypoint", "env": [{ "name": "B", "value": "3" }, { "name": "C", "value": "4" }],
          "resources": { "requests": { "cpu": null }, "limits": { "cpu": "2" } } },
        { "name": "agent", "image": "b" }] } } } });
    let wanted = json!({ "spec": { "replicas": 3, "template": { "spec": { "containers": [
        { "name": "waypoint", "image": "a",
          "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "3" }, { "name": "C", "value": "4" }],
          "ports": [{ "name": "hbone", "containerPort": 15008 }],
          "resources": { "requests": { "memory": "64Mi" }, "limits": { "cpu": "2" } } },
        { "name": "agent", "image": "b" }] } } } });
    assert_eq!(merged(base, overlay), wanted);
}

#[test]
fn other_lists_are_replaced() {
    let base = json!({ "spec": { "args": ["run"], "tolerations": [{ "key": "a" }] } });
    let overlay = json!({ "spec": { "args": ["run", "--workers=2"], "tolerations": [{ "key": "b" }] } });
    assert_eq!(merged(base, overlay.clone()), overlay);
}

#[test]
fn directives_delete_and_replace() {
    let base =
        json!({ "spec": { "volumes": [{ "name": "a" }, { "name": "b" }], "strategy": { "type": "x", "more": 1 } } });
    let overlay = json!({ "spec": { "volumes": [{ "name": "a", "$patch": "delete" }, { "name": "z", "$patch": "delete" }],
        "strategy": { "$patch": "replace", "type": "Recreate" } } });
    let wanted = json!({ "spec": { "volumes": [{ "name": "b" }], "strategy": { "type": "Recreate" } } });
    assert_eq!(merged(base, overlay), wanted);
}

#[test]
fn what_says_whose_object_it_is_stays() {
    let base = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "waypoint", "namespace": "demo",
            "labels": { "gateway.networking.k8s.io/gateway-name": "waypoint", "team": "shop" } },
        "spec": { "selector": { "matchLabels": { "a": "b" } } } });
    for (overlay, what) in [
        (
            json!({ "metadata": { "labels": { "$patch": "replace", "team": "x" } } }),
            "metadata/labels/gateway.networking.k8s.io~1gateway-name",
        ),
        (json!({ "metadata": { "name": "other" } }), "metadata/name"),
        (json!({ "metadata": { "namespace": "other" } }), "metadata/namespace"),
        (
            json!({ "metadata": { "ownerReferences": [] } }),
            "metadata/ownerReferences",
        ),
        (json!({ "kind": "DaemonSet" }), "kind"),
        (json!({ "spec": { "selector": null } }), "spec/selector"),
    ] {
        assert_eq!(apply(&base, &overlay), Err(BadOverlay::Fixed(what)), "{overlay}");
    }
    // Saying the same again is no change.
    assert_eq!(
        merged(
            base.clone(),
            json!({ "kind": "Deployment", "metadata": { "name": "waypoint" } })
        ),
        base
    );
}

#[test]
fn what_is_no_object_is_refused() {
    for overlay in [json!(null), json!("replicas: 3"), json!([1]), json!(3)] {
        assert_eq!(apply(&json!({}), &overlay), Err(BadOverlay::NotAnObject), "{overlay}");
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |n: usize| (0..n).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert_eq!(apply(&deep(100), &deep(100)), Err(BadOverlay::TooDeep));
    assert_eq!(apply(&deep(60), &deep(60)), Ok(deep(60)));
}
