//! Promise: the controller does on a real API server what it does on the fake one, with the rights that `deploy/kubernetes` gives
//! it and no others, when `KUBEBUILDER_ASSETS` names a folder with etcd, kube-apiserver and kubectl.
//!
//! Nobody runs pods there: that they are ready is said by hand. `WAYPOINT_TEST_CRDS` names a folder with the CRDs of the Gateway API and
//! Istio; without it, there are CRDs that admit anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::controller_process::ControllerProcess;
use integration_tests::peers::gateway_api::{self, condition};
use integration_tests::peers::kube_api::ApiKind;
use integration_tests::peers::kube_apiserver::KubeApiserver;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use serde_json::{Value, json};
use std::path::Path;

const GROUP: &str = "gateway.networking.k8s.io";
const OURS: &str = "waypoint-proxy.io/controller";

fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    let meta = json!({ "name": name, "namespace": NAMESPACE });
    json!({ "apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec })
}

fn gateway(name: &str, class: &str) -> Value {
    gateway_api::gateway(NAMESPACE, name, class)
}

/// CRDs, namespaces, and what a user applies.
fn install(api: &KubeApiserver) {
    if let Some(crds) = std::env::var_os("WAYPOINT_TEST_CRDS") {
        api.add_kinds_of(Path::new(&crds));
    } else {
        let mut class = ApiKind::new(GROUP, &["v1"], "gatewayclasses", "GatewayClass");
        class.namespaced = false;
        let of_group = |plural: &str, kind: &str| ApiKind::new(GROUP, &["v1"], plural, kind);
        let policies = ApiKind::new(
            "security.istio.io",
            &["v1"],
            "authorizationpolicies",
            "AuthorizationPolicy",
        );
        for kind in [
            class,
            of_group("gateways", "Gateway"),
            of_group("httproutes", "HTTPRoute"),
            of_group("backendtlspolicies", "BackendTLSPolicy"),
            policies,
        ] {
            api.add_kind(&kind);
        }
    }
    for name in ["istio-system", NAMESPACE] {
        let labels = json!({ "istio.io/use-waypoint": "waypoint" });
        api.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } }));
    }
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes");
    api.apply_file(&deploy.join("rbac.yaml"));
    api.apply_file(&deploy.join("controller.yaml"));
}

async fn until_gateway(api: &KubeApiserver, name: &str, kind: &str, wanted: &str) {
    until(&format!("{name} has {kind} {wanted}"), async || {
        let gateway = api.get("gateways.gateway.networking.k8s.io", NAMESPACE, name).unwrap();
        condition(&gateway["status"], kind) == wanted
    })
    .await;
}

#[tokio::test]
async fn the_controller_on_a_real_api_server() {
    let Some(mut api) = KubeApiserver::start().await else {
        eprintln!("skipped: KUBEBUILDER_ASSETS names no folder with etcd, kube-apiserver and kubectl");
        return;
    };
    install(&api);
    let kubeconfig = api.kubeconfig_of("waypoint-system", "waypoint-controller");
    let controller = ControllerProcess::start(&kubeconfig, "first", &["--lease-seconds", "6"]).await;

    // What belongs to a Gateway, and an address when a pod is ready.
    api.apply(&gateway("waypoint", "waypoint"));
    until_gateway(&api, "waypoint", "Programmed", "False AddressNotAssigned").await;
    let class = api
        .get("gatewayclasses.gateway.networking.k8s.io", "", "waypoint")
        .unwrap();
    assert_eq!(condition(&class["status"], "Accepted"), "True Accepted");
    until("the class tells its features", async || {
        let class = api.get("gatewayclasses.gateway.networking.k8s.io", "", "waypoint");
        let features = &class.unwrap()["status"]["supportedFeatures"];
        features
            .as_array()
            .is_some_and(|features| features.contains(&json!({ "name": "MeshConsumerRoute" })))
    })
    .await;
    let uid = api
        .get("gateways.gateway.networking.k8s.io", NAMESPACE, "waypoint")
        .unwrap()["metadata"]["uid"]
        .clone();
    for kind in ["serviceaccount", "deployment", "service"] {
        let made = api.get(kind, NAMESPACE, "waypoint").unwrap();
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], uid, "{kind}");
    }
    let counts = json!({ "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1 });
    api.patch_status("deployment", NAMESPACE, "waypoint", &json!({ "status": counts }));
    until_gateway(&api, "waypoint", "Programmed", "True Programmed").await;
    let status = api
        .get("gateways.gateway.networking.k8s.io", NAMESPACE, "waypoint")
        .unwrap()["status"]
        .clone();
    let host = format!("waypoint.{NAMESPACE}.svc.cluster.local");
    assert_eq!(status["addresses"], json!([{ "type": "Hostname", "value": host }]));

    // The waypoint's account may read what it needs, and is a waypoint by it.
    let world = MeshWorld::new();
    let account = api.kubeconfig_of(NAMESPACE, "waypoint");
    let waypoint = world.begin_by_cluster(&account, Launch::default()).await;
    waypoint.until_ready().await;

    // Routes and policies.
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080 }]);
    api.apply(&object(
        "v1",
        "Service",
        "reviews",
        json!({ "clusterIP": "10.20.0.50", "ports": ports }),
    ));
    let service = json!({ "group": "", "kind": "Service", "name": "reviews" });
    let rules = json!([{ "backendRefs": [{ "name": "reviews", "port": 80 }, { "name": "nobody", "port": 80 }] }]);
    let spec = json!({ "parentRefs": [service, { "name": "waypoint" }], "rules": rules });
    api.apply(&object(gateway_api::GATEWAY_API, "HTTPRoute", "reviews", spec));
    until("the route has a status", async || {
        let route = api
            .get("httproutes.gateway.networking.k8s.io", NAMESPACE, "reviews")
            .unwrap();
        let parents = route["status"]["parents"].as_array().cloned().unwrap_or_default();
        parents.len() == 2
            && parents.iter().all(|parent| {
                parent["controllerName"] == OURS
                    && condition(parent, "Accepted") == "True Accepted"
                    && condition(parent, "ResolvedRefs") == "False BackendNotFound"
            })
    })
    .await;
    let policy = json!({ "targetRefs": [service], "action": "DENY", "rules": [{}] });
    api.apply(&object("security.istio.io/v1", "AuthorizationPolicy", "deny", policy));
    until("the policy has a status", async || {
        let policy = api
            .get("authorizationpolicies.security.istio.io", NAMESPACE, "deny")
            .unwrap();
        condition(&policy["status"], "waypoint-proxy.io/Accepted") == "True Accepted"
    })
    .await;

    let validation = json!({ "hostname": "reviews.example.com", "wellKnownCACertificates": "System" });
    let tls = json!({ "targetRefs": [service], "validation": validation });
    api.apply(&object(gateway_api::GATEWAY_API, "BackendTLSPolicy", "tls", tls));
    until("and that of the Gateway API has ancestors", async || {
        let policy = api
            .get("backendtlspolicies.gateway.networking.k8s.io", NAMESPACE, "tls")
            .unwrap();
        let ancestor = &policy["status"]["ancestors"][0];
        ancestor["controllerName"] == OURS && condition(ancestor, "Accepted") == "True Accepted"
    })
    .await;

    // Overlays.
    let data = json!({ "deployment": "spec:\n  minReadySeconds: 5\n",
        "horizontalPodAutoscaler": "spec:\n  minReplicas: 2\n  maxReplicas: 9\n",
        "podDisruptionBudget": "spec:\n  minAvailable: 1\n" });
    let wishes = |data: Value| {
        let meta = json!({ "name": "wishes", "namespace": NAMESPACE });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data })
    };
    api.apply(&wishes(data));
    let mut asking = gateway("waypoint", "waypoint");
    asking["spec"]["infrastructure"] =
        json!({ "parametersRef": { "group": "", "kind": "ConfigMap", "name": "wishes" } });
    api.apply(&asking);
    until("what the overlays ask for is made", async || {
        let deployment = api.get("deployment", NAMESPACE, "waypoint").unwrap();
        deployment["spec"]["minReadySeconds"] == 5
            && api.get("hpa", NAMESPACE, "waypoint").is_some()
            && api.get("pdb", NAMESPACE, "waypoint").is_some()
    })
    .await;
    api.apply(&wishes(json!({})));
    until("and goes with them", async || {
        let deployment = api.get("deployment", NAMESPACE, "waypoint").unwrap();
        deployment["spec"].get("minReadySeconds").is_none()
            && api.get("hpa", NAMESPACE, "waypoint").is_none()
            && api.get("pdb", NAMESPACE, "waypoint").is_none()
    })
    .await;

    // Nobody else's.
    let selector = json!({ "matchLabels": { "app": "theirs" } });
    let pod = json!({ "metadata": { "labels": { "app": "theirs" } }, "spec": { "containers": [{ "name": "x", "image": "x" }] } });
    let theirs = json!({ "selector": selector, "template": pod });
    api.apply(&object("apps/v1", "Deployment", "other", theirs));
    let before = api.get("deployment", NAMESPACE, "other").unwrap();
    api.apply(&gateway("other", "waypoint"));
    until_gateway(&api, "other", "Programmed", "False Invalid").await;
    assert_eq!(api.get("deployment", NAMESPACE, "other").unwrap(), before);
    api.apply(&gateway("istios", "istio-waypoint"));

    // An outage, and nothing is written that is there already.
    let before = versions(&api);
    api.down();
    until("it does not act without its Lease", async || {
        !controller.is_leader().await
    })
    .await;
    api.up().await;
    api.apply(&gateway("later", "waypoint"));
    until("what comes later is seen", async || {
        let later = api
            .get("gateways.gateway.networking.k8s.io", NAMESPACE, "later")
            .unwrap();
        condition(&later["status"], "Programmed") == "False AddressNotAssigned"
    })
    .await;
    assert_eq!(versions(&api), before, "{}", controller.log());
    let istios = api
        .get("gateways.gateway.networking.k8s.io", NAMESPACE, "istios")
        .unwrap();
    assert!(!istios["status"].to_string().contains("waypoint"), "{istios}");
    assert!(api.get("deployment", NAMESPACE, "istios").is_none());
    let denied = controller.scrape().await;
    let denied = denied.sum("waypoint_controller_writes_total", &[("result", "denied")]);
    assert_eq!(denied, 0.0, "a right is missing: {}", controller.log());
    assert!(controller.terminate().await.success());
    let lease = api.get("lease", "waypoint-system", "waypoint-controller").unwrap();
    assert_eq!(lease["spec"]["holderIdentity"].as_str().unwrap_or_default(), "");
}

/// Of the Gateway and what belongs to it.
fn versions(api: &KubeApiserver) -> Vec<Value> {
    let kinds = [
        "gateways.gateway.networking.k8s.io",
        "deployment",
        "service",
        "serviceaccount",
    ];
    let version = |kind| api.get(kind, NAMESPACE, "waypoint").unwrap()["metadata"]["resourceVersion"].clone();
    kinds.into_iter().map(version).collect()
}
