//! Promise: what holds with the fake API server holds with a real one, when `KUBEBUILDER_ASSETS` names a folder with it.
//!
//! A real one admits no loopback addresses of pods and Services, so nothing is sent: the config in force is looked at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::kube_api::ApiKind;
use integration_tests::peers::kube_apiserver::KubeApiserver;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};

const GATEWAY_API: &str = "gateway.networking.k8s.io";

async fn dump(waypoint: &Waypoint) -> String {
    String::from_utf8_lossy(&waypoint.admin_get("/config_dump").await.body).into_owned()
}

fn object(api_version: &str, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let meta = json!({ "name": name, "namespace": namespace });
    json!({ "apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec })
}

#[tokio::test]
async fn a_real_api_server() {
    let Some(mut api) = KubeApiserver::start().await else {
        eprintln!("skipped: KUBEBUILDER_ASSETS names no folder with etcd, kube-apiserver and kubectl");
        return;
    };
    let world = MeshWorld::new();
    let mut class = ApiKind::new(GATEWAY_API, &["v1"], "gatewayclasses", "GatewayClass");
    class.namespaced = false;
    let route = ApiKind::new(GATEWAY_API, &["v1"], "httproutes", "HTTPRoute");
    for kind in [class, ApiKind::new(GATEWAY_API, &["v1"], "gateways", "Gateway"), route] {
        api.add_kind(&kind);
    }
    for (name, labels) in [
        ("istio-system", json!({})),
        (NAMESPACE, json!({ "istio.io/use-waypoint": "waypoint" })),
    ] {
        api.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } }));
    }
    let listener = json!([{ "name": "mesh", "port": 15008, "protocol": "HBONE" }]);
    let gateway = json!({ "gatewayClassName": "istio-waypoint", "listeners": listener });
    api.apply(&object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        NAMESPACE,
        "waypoint",
        gateway,
    ));
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080 }]);
    api.apply(&object(
        "v1",
        "Service",
        NAMESPACE,
        "reviews",
        json!({ "clusterIP": "10.0.0.50", "ports": ports }),
    ));

    // Nothing may be read: it says what to allow, and is not ready.
    let waypoint = world
        .begin_by_cluster(&api.waypoint_kubeconfig(), Launch::default())
        .await;
    waypoint
        .until_logged("what to allow", |line| {
            line.contains("allow list and watch of services")
        })
        .await;
    assert!(!waypoint.is_ready().await);
    api.allow_waypoint(NAMESPACE);
    waypoint.until_ready().await;
    assert!(dump(&waypoint).await.contains("10.0.0.50"));

    let rules = |name: &str| {
        json!({ "parentRefs": [{ "group": "", "kind": "Service", "name": "reviews", "port": 80 }],
            "rules": [{ "name": name, "backendRefs": [{ "name": "reviews", "port": 80 }] }] })
    };
    let version = "gateway.networking.k8s.io/v1";
    api.apply(&object(version, "HTTPRoute", NAMESPACE, "reviews", rules("first-rule")));
    until("the route is in force", async || {
        dump(&waypoint).await.contains("first-rule")
    })
    .await;
    api.down();
    assert!(
        waypoint.is_ready().await && dump(&waypoint).await.contains("first-rule"),
        "the last good state"
    );
    api.up().await;
    api.apply(&object(
        version,
        "HTTPRoute",
        NAMESPACE,
        "reviews",
        rules("second-rule"),
    ));
    until("changes are seen again", async || {
        dump(&waypoint).await.contains("second-rule")
    })
    .await;
    api.delete("httproutes", NAMESPACE, "reviews");
    until("and deletions", async || !dump(&waypoint).await.contains("second-rule")).await;

    // A CRD that comes later.
    let security = "security.istio.io";
    api.add_kind(&ApiKind::new(
        security,
        &["v1"],
        "authorizationpolicies",
        "AuthorizationPolicy",
    ));
    let targets = json!([{ "group": "", "kind": "Service", "name": "reviews" }]);
    let policy = json!({ "targetRefs": targets, "action": "DENY", "rules": [{}] });
    api.apply(&object(
        "security.istio.io/v1",
        "AuthorizationPolicy",
        NAMESPACE,
        "nobody",
        policy,
    ));
    until("the policy is in force", async || {
        dump(&waypoint).await.contains("AuthorizationPolicy demo/nobody")
    })
    .await;
}
