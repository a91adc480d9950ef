//! The status tells the truth, keeps its times, and is not written twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const NOW: &str = "2026-11-26T00:00:00Z";
const LATER: &str = "2026-11-26T01:00:00Z";

fn parsed(listeners: Value) -> Gateway {
    let object = json!({ "metadata": { "name": "waypoint", "namespace": "demo", "uid": "u", "generation": 7 },
        "spec": { "gatewayClassName": "waypoint", "listeners": listeners } });
    Gateway::parse(&object).unwrap()
}

fn mesh() -> Gateway {
    parsed(json!([{ "name": "mesh", "port": 15008, "protocol": "HBONE" }]))
}

fn written(gateway: &Gateway, observed: &Observed, current: Option<&Value>, now: &str) -> Option<Value> {
    super::gateway(gateway, &Settings::default(), observed, current, now)
}

fn ready(pods: u64) -> Observed {
    Observed {
        ready_pods: pods,
        attached_routes: vec![2],
        ..Observed::default()
    }
}

fn condition<'v>(conditions: &'v Value, kind: &str) -> (&'v str, &'v str) {
    let all = conditions["conditions"].as_array().unwrap();
    let one = all.iter().find(|one| one["type"] == kind).unwrap();
    assert_eq!(one["observedGeneration"], 7);
    (one["status"].as_str().unwrap(), one["reason"].as_str().unwrap())
}

#[test]
fn the_address_appears_with_the_first_ready_pod_and_stays() {
    let before = written(&mesh(), &ready(0), None, NOW).unwrap();
    assert_eq!(before["addresses"], json!([]));
    assert_eq!(condition(&before, "Accepted"), ("True", "Accepted"));
    assert_eq!(condition(&before, "Programmed"), ("False", "AddressNotAssigned"));
    let after = written(&mesh(), &ready(1), Some(&before), LATER).unwrap();
    let host = json!([{ "type": "Hostname", "value": "waypoint.demo.svc.cluster.local" }]);
    assert_eq!(after["addresses"], host);
    assert_eq!(condition(&after, "Programmed"), ("True", "Programmed"));
    assert_eq!(condition(&after["listeners"][0], "Programmed"), ("True", "Programmed"));
    assert_eq!(after["listeners"][0]["attachedRoutes"], 2);
    // Without an address traffic would pass by the waypoint and its policies.
    let gone = written(&mesh(), &ready(0), Some(&after), LATER).unwrap();
    assert_eq!(gone["addresses"], host);
    assert_eq!(condition(&gone, "Programmed"), ("False", "Pending"));
    let mut renamed = mesh();
    renamed.deployment = "other".to_owned();
    let not_yet = written(&renamed, &ready(0), Some(&after), LATER).unwrap();
    assert_eq!(not_yet["addresses"], host, "there is nothing behind the new name yet");
    let now = written(&renamed, &ready(1), Some(&after), LATER).unwrap();
    assert_eq!(now["addresses"][0]["value"], "other.demo.svc.cluster.local");
}

#[test]
fn a_time_changes_with_its_status_only() {
    let before = written(&mesh(), &ready(0), None, NOW).unwrap();
    let after = written(&mesh(), &ready(1), Some(&before), LATER).unwrap();
    let times: Vec<_> = after["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["lastTransitionTime"].clone())
        .collect();
    assert_eq!(times, [NOW, LATER], "Accepted stayed, Programmed changed");
}

#[test]
fn what_is_said_already_is_not_written_again() {
    let status = written(&mesh(), &ready(1), None, NOW).unwrap();
    assert_eq!(written(&mesh(), &ready(1), Some(&status), LATER), None);
    let mut more = status;
    more["attachedListenerSets"] = json!(0);
    assert_eq!(written(&mesh(), &ready(1), Some(&more), LATER), None, "another's field");
}

#[test]
fn conditions_of_others_stay() {
    let theirs = json!({ "type": "example.com/Audited", "status": "True" });
    let current = json!({ "conditions": [theirs] });
    let status = written(&mesh(), &ready(1), Some(&current), NOW).unwrap();
    assert!(status["conditions"].as_array().unwrap().contains(&theirs), "{status}");
}

#[test]
fn a_listener_that_cannot_be_served_says_why() {
    for (protocol, port, reason) in [("HTTP", 80, "UnsupportedProtocol"), ("HBONE", 80, "PortUnavailable")] {
        let gateway = parsed(json!([{ "name": "x", "port": port, "protocol": protocol }]));
        let status = written(&gateway, &ready(1), None, NOW).unwrap();
        assert_eq!(condition(&status["listeners"][0], "Accepted"), ("False", reason));
        assert_eq!(status["listeners"][0]["attachedRoutes"], 0);
        assert_eq!(condition(&status, "Accepted"), ("False", "ListenersNotValid"));
        assert_eq!(condition(&status, "Programmed"), ("False", "Invalid"));
    }
    let both = parsed(json!([{ "name": "mesh", "port": 15008, "protocol": "HBONE" },
        { "name": "again", "port": 15008, "protocol": "HBONE" }]));
    let status = written(&both, &ready(1), None, NOW).unwrap();
    assert_eq!(condition(&status, "Accepted"), ("True", "ListenersNotValid"));
    assert_eq!(
        condition(&status["listeners"][1], "Conflicted"),
        ("True", "ProtocolConflict")
    );
    assert_eq!(
        condition(&status["listeners"][0], "Conflicted"),
        ("False", "NoConflicts")
    );
}

#[test]
fn kinds_of_routes_are_told() {
    let listener = |kinds: Value| {
        let listener =
            json!({ "name": "mesh", "port": 15008, "protocol": "HBONE", "allowedRoutes": { "kinds": kinds } });
        let status = written(&parsed(json!([listener])), &ready(1), None, NOW).unwrap();
        status["listeners"][0].clone()
    };
    let some = listener(json!([{ "kind": "HTTPRoute" }, { "kind": "UDPRoute" }]));
    assert_eq!(some["supportedKinds"], json!([{ "group": GROUP, "kind": "HTTPRoute" }]));
    assert_eq!(condition(&some, "ResolvedRefs"), ("False", "InvalidRouteKinds"));
    let all = listener(json!([]));
    assert_eq!(all["supportedKinds"].as_array().unwrap().len(), KINDS.len());
    assert_eq!(condition(&all, "ResolvedRefs"), ("True", "ResolvedRefs"));
}

#[test]
fn what_failed_is_told() {
    let observed = Observed {
        failed: Some("Deployment demo/waypoint: forbidden".to_owned()),
        ..ready(1)
    };
    let status = written(&mesh(), &observed, None, NOW).unwrap();
    assert_eq!(condition(&status, "Programmed"), ("False", "Invalid"));
}

#[test]
fn parameters_that_are_no_config_map_are_refused() {
    let object = json!({ "metadata": { "name": "waypoint", "namespace": "demo", "uid": "u", "generation": 7 },
        "spec": { "gatewayClassName": "waypoint",
            "infrastructure": { "parametersRef": { "group": "x.io", "kind": "Wish", "name": "y" } },
            "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] } });
    let status = written(&Gateway::parse(&object).unwrap(), &ready(1), None, NOW).unwrap();
    assert_eq!(condition(&status, "Accepted"), ("False", "InvalidParameters"));
}

#[test]
fn overlays_that_are_none_are_refused() {
    let observed = Observed {
        bad_parameters: Some("ConfigMap demo/x: not found".to_owned()),
        ..ready(1)
    };
    let status = written(&mesh(), &observed, None, NOW).unwrap();
    assert_eq!(condition(&status, "Accepted"), ("False", "InvalidParameters"));
    assert_eq!(condition(&status, "Programmed"), ("False", "Invalid"));
}

#[test]
fn addresses_of_the_spec_are_those_of_the_status() {
    let given = json!([{ "type": "Hostname", "value": "elsewhere.demo.svc.cluster.local" }]);
    let object = json!({ "metadata": { "name": "waypoint", "namespace": "demo", "uid": "u", "generation": 7 },
        "spec": { "gatewayClassName": "waypoint", "addresses": given,
            "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] } });
    let status = written(&Gateway::parse(&object).unwrap(), &ready(0), None, NOW).unwrap();
    assert_eq!(status["addresses"], given);
    assert_eq!(condition(&status, "Programmed"), ("True", "Programmed"));
}
