#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn of(kind: &str, value: Value) -> Mentions {
    Mentions::of(kind, &Arc::from("here"), &Arc::from("own"), &value)
}

fn namespaces(kind: &str, value: Value) -> Vec<String> {
    let mentions = of(kind, value);
    mentions
        .namespaces
        .iter()
        .map(|namespace| namespace.to_string())
        .collect()
}

#[test]
fn references_of_routes_at_any_depth() {
    let route = json!({ "metadata": { "namespace": "here" }, "spec": {
        "parentRefs": [{ "name": "a", "namespace": "parents" }],
        "rules": [{ "backendRefs": [{ "name": "b", "namespace": "backends" }],
            "filters": [{ "requestMirror": { "backendRef": { "name": "c", "namespace": "mirrors" } } }] }] } });
    assert_eq!(namespaces("HTTPRoute", route), ["backends", "mirrors", "parents"]);
}

#[test]
fn hosts_of_services_in_any_text() {
    let service = json!({ "spec": { "hosts": ["reviews.shop.svc.cluster.local", "ratings", "www.example.com"],
        "http": [{ "route": [{ "destination": { "host": "v2.canaries.svc" } }] }] } });
    assert_eq!(namespaces("VirtualService", service), ["canaries", "shop"]);
    let text = "extensionProviders:\n- name: a\n  envoyExtAuthzGrpc: {service: authz.checks.svc.cluster.local, port: 1}\n\
                - name: b\n  envoyExtAuthzHttp: {service: others/ext.example.com}\n";
    assert_eq!(
        namespaces("ConfigMap", json!({ "data": { "mesh": text } })),
        ["checks", "others"]
    );
}

#[test]
fn credentials_and_authorities() {
    let rule = json!({ "spec": { "host": "x", "trafficPolicy": { "portLevelSettings": [{ "tls": { "credentialName": "c" } }] } } });
    let own = |kind, namespace: &str, name: &str| (kind, Arc::from(namespace), Arc::from(name));
    let secrets = BTreeSet::from([own("Secret", "own", "c"), own("Secret", "own", "c-cacert")]);
    assert_eq!(of("DestinationRule", rule).objects, secrets);
    let policy = json!({ "spec": { "validation": { "caCertificateRefs": [
        { "group": "", "kind": "ConfigMap", "name": "ca" }, { "group": "", "kind": "Secret", "name": "more" }] } } });
    let named = BTreeSet::from([own("ConfigMap", "here", "ca"), own("Secret", "here", "more")]);
    assert_eq!(of("BackendTLSPolicy", policy).objects, named);
}

#[test]
fn a_hostile_object_mentions_no_more_than_is_followed() {
    assert_eq!(
        namespaces(
            "HTTPRoute",
            json!({ "spec": [{ "namespace": "../x" }, { "namespace": "" }, { "namespace": "A" }] })
        ),
        [""; 0]
    );
    let refs: Vec<Value> = (0..5_000).map(|n| json!({ "namespace": format!("n{n}") })).collect();
    assert_eq!(
        namespaces("HTTPRoute", json!({ "spec": { "parentRefs": refs } })).len(),
        MOST
    );
    assert_eq!(
        namespaces(
            "VirtualService",
            json!({ "spec": ["..svc", ".svc", "/", "a/", "é.svc", 7, null] })
        ),
        ["a"]
    );
}
