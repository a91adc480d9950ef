#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn wanted(overlays: &[(&str, Value)]) -> Result<Vec<Value>, String> {
    let object = json!({ "metadata": { "name": "waypoint", "namespace": "demo", "uid": "u" },
        "spec": { "gatewayClassName": "waypoint" } });
    let overlays = overlays.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    objects(
        &Gateway::parse(&object).unwrap(),
        &overlays.collect(),
        &Settings::default(),
    )
}

#[test]
fn an_overlay_changes_what_there_is_and_asks_for_what_there_is_not() {
    assert_eq!(wanted(&[]).unwrap().len(), 3);
    let all = wanted(&[
        ("deployment", json!({ "spec": { "replicas": 3 } })),
        ("horizontalPodAutoscaler", json!({ "spec": { "maxReplicas": 9 } })),
        ("podDisruptionBudget", Value::Null),
    ])
    .unwrap();
    let of = |kind: &str| all.iter().find(|object| object["kind"] == kind).unwrap();
    assert_eq!(of("Deployment")["spec"]["replicas"], 3);
    assert_eq!(of("HorizontalPodAutoscaler")["spec"]["maxReplicas"], 9);
    assert_eq!(of("PodDisruptionBudget")["metadata"]["name"], "waypoint");
}

#[test]
fn what_is_no_overlay_is_told_with_its_key() {
    let unknown = wanted(&[("daemonSet", json!({}))]).unwrap_err();
    assert!(
        unknown.starts_with("daemonSet: expected one of serviceAccount, "),
        "{unknown}"
    );
    let taken = wanted(&[("deployment", json!({ "metadata": { "name": "mine" } }))]).unwrap_err();
    assert!(
        taken.starts_with("deployment: metadata/name cannot be changed"),
        "{taken}"
    );
    assert!(wanted(&[("service", json!([]))]).unwrap_err().starts_with("service: "));
}
