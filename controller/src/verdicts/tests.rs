#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const NOW: &str = "2026-11-26T00:00:00Z";
const LATER: &str = "2026-11-26T01:00:00Z";

fn verdict(name: &str, holds: bool) -> Verdict {
    let reason = if holds { "Accepted" } else { "NoMatchingParent" };
    Verdict {
        reference: json!({ "group": "", "kind": "Service", "name": name }),
        conditions: vec![Condition {
            kind: "Accepted",
            holds,
            reason,
            message: format!("{name}: {reason}"),
        }],
    }
}

fn theirs() -> Value {
    json!({ "controllerName": "istio.io/gateway-controller", "parentRef": { "name": "reviews" }, "conditions": [] })
}

#[test]
fn entries_of_others_stay_and_ours_are_ours_alone() {
    let before = json!({ "parents": [theirs()] });
    let status = route(Some(&before), &[verdict("reviews", true)], 3, NOW).unwrap();
    let parents = status["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 2);
    assert_eq!(parents[0], theirs());
    assert_eq!(parents[1]["controllerName"], CONTROLLER_NAME);
    assert_eq!(parents[1]["conditions"][0]["observedGeneration"], 3);
    // None of ours any more.
    assert_eq!(route(Some(&status), &[], 3, NOW).unwrap(), before);
    assert_eq!(route(Some(&before), &[], 3, NOW), None);
    assert_eq!(route(None, &[], 3, NOW), None);
}

#[test]
fn what_is_said_is_not_said_again_in_whatever_order() {
    let verdicts = [verdict("a", true), verdict("b", false)];
    let mut status = route(Some(&json!({ "parents": [theirs()] })), &verdicts, 3, NOW).unwrap();
    status["parents"].as_array_mut().unwrap().reverse();
    assert_eq!(route(Some(&status), &verdicts, 3, LATER), None);
    let changed = route(Some(&status), &[verdict("a", true), verdict("b", true)], 3, LATER).unwrap();
    let times: Vec<&Value> = changed["parents"].as_array().unwrap()[1..]
        .iter()
        .map(|entry| &entry["conditions"][0]["lastTransitionTime"])
        .collect();
    assert_eq!(times, [NOW, LATER], "a stayed, b changed");
}

#[test]
fn the_list_has_a_limit_and_others_go_before() {
    let full = json!({ "parents": vec![theirs(); 32] });
    assert_eq!(route(Some(&full), &[verdict("a", true)], 3, NOW), None);
}

#[test]
fn a_policy_has_one_condition_of_ours() {
    let theirs = json!({ "type": "WaypointAccepted", "status": "True" });
    let before = json!({ "conditions": [theirs] });
    let status = policy(Some(&before), &[verdict("a", true), verdict("b", false)], 3, NOW).unwrap();
    let conditions = status["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 2);
    assert_eq!(conditions[0], theirs);
    assert_eq!(conditions[1]["type"], POLICY_ACCEPTED);
    assert_eq!(conditions[1]["status"], "False");
    assert_eq!(conditions[1]["message"], "1 of 2 targets: b: NoMatchingParent");
    assert_eq!(
        policy(Some(&status), &[verdict("a", true), verdict("b", false)], 3, LATER),
        None
    );
    assert_eq!(policy(Some(&status), &[], 3, LATER).unwrap(), before);
    assert_eq!(policy(None, &[], 3, LATER), None);
}

#[test]
fn a_policy_of_the_gateway_api_has_ancestors() {
    let theirs =
        json!({ "controllerName": "istio.io/mesh-controller", "ancestorRef": { "name": "x" }, "conditions": [] });
    let before = json!({ "ancestors": [theirs] });
    let status = ancestors(Some(&before), &[verdict("waypoint", true)], 3, NOW).unwrap();
    assert_eq!(status["ancestors"][0], theirs);
    assert_eq!(status["ancestors"][1]["ancestorRef"]["name"], "waypoint");
    assert_eq!(ancestors(Some(&status), &[verdict("waypoint", true)], 3, LATER), None);
}
