#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const NOW: &str = "2026-11-26T00:00:00Z";

fn class(spec: Value) -> Value {
    // As the CRD's default leaves it.
    let waiting = json!({ "type": "Accepted", "status": "Unknown", "reason": "Pending" });
    json!({ "metadata": { "name": "waypoint", "generation": 2 }, "spec": spec, "status": { "conditions": [waiting] } })
}

#[test]
fn ours_are_accepted_once() {
    let mut ours = class(json!({ "controllerName": CONTROLLER_NAME }));
    assert!(is_accepted(&ours));
    let status = status(&ours, NOW).unwrap();
    let conditions = status["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 1, "{status}");
    assert_eq!(conditions[0]["status"], "True");
    assert_eq!(conditions[0]["observedGeneration"], 2);
    ours["status"] = status;
    // Beside the conditions, in a write of its own.
    let features = super::status(&ours, NOW).unwrap();
    assert_eq!(features.as_object().unwrap().len(), 1, "{features}");
    ours["status"]["supportedFeatures"] = features["supportedFeatures"].clone();
    assert_eq!(super::status(&ours, "2026-11-27T00:00:00Z"), None);
}

#[test]
fn features_are_in_order_each_once_and_no_more_than_the_crd_takes() {
    let features = features();
    let names: Vec<_> = features
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    assert!(names.len() <= 64);
}

#[test]
fn features_that_somebody_changed_are_told_again() {
    let mut ours = class(json!({ "controllerName": CONTROLLER_NAME }));
    ours["status"] = status(&ours, NOW).unwrap();
    ours["status"]["supportedFeatures"] = json!([{ "name": "Mesh" }]);
    assert_eq!(status(&ours, NOW), Some(json!({ "supportedFeatures": features() })));
}

#[test]
fn parameters_are_refused() {
    let asking = class(json!({ "controllerName": CONTROLLER_NAME, "parametersRef": { "kind": "ConfigMap" } }));
    assert!(is_ours(&asking) && !is_accepted(&asking));
    assert_eq!(
        status(&asking, NOW).unwrap()["conditions"][0]["reason"],
        "InvalidParameters"
    );
}

#[test]
fn anothers_is_not_ours() {
    assert!(!is_ours(&class(
        json!({ "controllerName": "istio.io/mesh-controller" })
    )));
}
