#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn gateway() -> Gateway {
    let object = json!({ "metadata": { "name": "waypoint", "namespace": "demo", "uid": "u-1" },
        "spec": { "gatewayClassName": "waypoint" } });
    Gateway::parse(&object).unwrap()
}

#[test]
fn the_uid_says_whose_it_is() {
    let owned = |uid: &str| json!({ "metadata": { "ownerReferences": [{ "kind": "Gateway", "name": "waypoint", "uid": uid }] } });
    assert!(belongs(&owned("u-1"), &gateway()));
    assert!(
        !belongs(&owned("u-2"), &gateway()),
        "of a Gateway that had the name before"
    );
    assert!(!belongs(&json!({ "metadata": {} }), &gateway()));
}

#[test]
fn whoever_applied_it_is_among_its_managers() {
    assert!(is_made(
        &json!({ "metadata": { "managedFields": [{ "manager": CONTROLLER_NAME }] } })
    ));
    assert!(is_made(
        &json!({ "metadata": { "managedFields": ["kubectl", CONTROLLER_NAME] } })
    ));
    assert!(!is_made(
        &json!({ "metadata": { "managedFields": [{ "manager": "kubectl" }] } })
    ));
    assert!(!is_made(&json!({ "metadata": {} })));
}

#[test]
fn a_shadow_has_what_was_asked_for_and_no_more() {
    let wanted = json!({ "spec": { "ports": [{ "port": 1 }], "type": "ClusterIP", "none": 1 } });
    let live = json!({ "spec": { "ports": [{ "port": 1, "nodePort": 9 }], "type": "NodePort", "clusterIP": "x" }, "status": {} });
    let shadow = shadow(&wanted, &live);
    assert_eq!(
        shadow,
        json!({ "spec": { "ports": [{ "port": 1 }], "type": "NodePort", "none": null } })
    );
    let longer = json!({ "spec": { "ports": [{ "port": 1 }, { "port": 2 }] } });
    assert_ne!(
        super::shadow(&wanted, &longer)["spec"]["ports"],
        shadow["spec"]["ports"]
    );
}
