//! Promise: what holds with the fake API server holds with a real one, when `KUBEBUILDER_ASSETS` names a folder with it.
//!
//! A real one admits no loopback addresses of pods and Services: where requests are sent, it is in a network namespace.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::controller_process::ControllerProcess;
use integration_tests::peers::kube_api::ApiKind;
use integration_tests::peers::kube_apiserver::KubeApiserver;
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach, backend};
use integration_tests::peers::network_namespace;
use integration_tests::peers::waiting::{until, until_ok};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::path::Path;

const SKIPPED: &str = "skipped: KUBEBUILDER_ASSETS names no folder with etcd, kube-apiserver and kubectl";
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
        eprintln!("{SKIPPED}");
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
        json!({ "clusterIP": "10.20.0.50", "ports": ports }),
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
    assert!(dump(&waypoint).await.contains("10.20.0.50"));

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

/// The CRDs that are published, from the folder of this variable; without it, ones that admit anything.
const CRDS: &str = "WAYPOINT_TEST_CRDS";

fn install_kinds(api: &KubeApiserver) {
    if let Some(folder) = std::env::var_os(CRDS) {
        api.add_kinds_of(Path::new(&folder));
        return;
    }
    let mut class = ApiKind::new(GATEWAY_API, &["v1"], "gatewayclasses", "GatewayClass");
    class.namespaced = false;
    let security = "security.istio.io";
    for kind in [
        class,
        ApiKind::new(GATEWAY_API, &["v1"], "gateways", "Gateway"),
        ApiKind::new(GATEWAY_API, &["v1"], "httproutes", "HTTPRoute"),
        ApiKind::new(security, &["v1"], "authorizationpolicies", "AuthorizationPolicy"),
        ApiKind::new(security, &["v1"], "requestauthentications", "RequestAuthentication"),
    ] {
        api.add_kind(&kind);
    }
}

/// The world's objects, whose Gateway is of our class.
fn load(api: &KubeApiserver, world: &MeshWorld) {
    api.load(world.config(), |object| {
        if object["kind"] == "Gateway" {
            object["spec"]["gatewayClassName"] = json!("waypoint");
        }
    });
}

/// `Type=Status Reason` of each condition of an object, or of its first parent.
fn conditions(object: &Value) -> Vec<String> {
    let status = &object["status"];
    let of_parent = &status["parents"][0]["conditions"];
    let all = of_parent.as_array().or_else(|| status["conditions"].as_array());
    let told = |condition: &Value| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        format!("{}={} {}", text("type"), text("status"), text("reason"))
    };
    all.map(|all| all.iter().map(told).collect()).unwrap_or_default()
}

async fn until_told(api: &KubeApiserver, kind: &str, name: &str, wanted: &[&str]) {
    until_ok(&format!("{kind} {name} says {wanted:?}"), async || {
        let told = conditions(&api.get(kind, NAMESPACE, name).unwrap_or_default());
        let all = wanted.iter().all(|one| told.iter().any(|told| told == one));
        if all { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

/// Everything as a user does it: the manifests of `deploy/`, a Gateway, routes, policies, all by `kubectl apply`; the
/// controller and the waypoint act as the service accounts that these make, with their rights and no others.
#[tokio::test]
async fn from_kubectl_apply_to_requests_and_status() {
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        eprintln!("{SKIPPED}");
        return;
    }
    if network_namespace::enter("from_kubectl_apply_to_requests_and_status") != Some(true) {
        return;
    }
    let mut api = KubeApiserver::start().await.unwrap();
    install_kinds(&api);
    for namespace in ["istio-system", NAMESPACE] {
        api.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }));
    }
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes");
    for file in ["rbac.yaml", "controller.yaml"] {
        api.apply_file(&deploy.join(file));
    }
    let as_controller = api.kubeconfig_of("waypoint-system", "waypoint-controller");
    // A real server is slower than the fake one: the Lease lasts as long as it does for users.
    let flags = ["--image", "registry/waypoint:1", "--lease-seconds", "15"];
    let controller = ControllerProcess::start(&as_controller, "first", &flags).await;

    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Clear).await;
    let reviews = world.service("reviews", "http", &[v1.ip, v2.ip]);
    let rule = |prefix: &str, service: &str| json!({ "matches": [{ "path": { "type": "PathPrefix", "value": prefix } }], "backendRefs": [backend(service, 1)] });
    world.http_route(
        "reviews",
        "reviews",
        json!([rule("/two", "reviews-v2"), rule("/one", "reviews-v1")]),
    );
    let admin = json!([{ "to": [{ "operation": { "paths": ["*/admin"] } }] }]);
    world.policy("no-admin", "reviews", "DENY", admin);
    load(&api, &world);

    until("the controller has made a Deployment", async || {
        api.get("deployment", NAMESPACE, "waypoint").is_some()
    })
    .await;
    until_told(&api, "gateway", "waypoint", &["Accepted=True Accepted"]).await;
    let addresses = || api.get("gateway", NAMESPACE, "waypoint").unwrap()["status"]["addresses"].clone();
    assert!(
        addresses().as_array().is_none_or(Vec::is_empty),
        "no pod is ready: {}",
        addresses()
    );
    let waypoint = world
        .start_by_cluster(&api.kubeconfig_of(NAMESPACE, "waypoint"), Launch::default())
        .await;
    let pods = json!({ "status": { "replicas": 1, "readyReplicas": 1, "availableReplicas": 1 } });
    api.patch_status("deployment", NAMESPACE, "waypoint", &pods);
    until_told(&api, "gateway", "waypoint", &["Programmed=True Programmed"]).await;
    assert_eq!(addresses()[0]["value"], "waypoint.demo.svc.cluster.local");

    let by_files = world.start().await;
    for waypoint in [&waypoint, &by_files] {
        let mut client = world.client(waypoint).http1(&reviews).await;
        let mut answers = Vec::new();
        for path in ["/one", "/two", "/three", "/one/admin", "/three/admin"] {
            let reply = client.get(path).await;
            answers.push((reply.status.as_u16(), reply.header("x-backend").to_owned()));
        }
        let wanted = [(200, "v1"), (200, "v2"), (404, ""), (403, ""), (403, "")];
        assert_eq!(answers, wanted.map(|(status, version)| (status, version.to_owned())));
    }
    let whole = ["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"];
    until_told(&api, "httproute", "reviews", &whole).await;
    until_told(
        &api,
        "authorizationpolicy",
        "no-admin",
        &["waypoint-proxy.io/Accepted=True Accepted"],
    )
    .await;
    world.http_route("lost", "reviews-v2", json!([rule("/", "nowhere")]));
    load(&api, &world);
    until_told(&api, "httproute", "lost", &["ResolvedRefs=False BackendNotFound"]).await;

    let mut load_on = Load::start(&world.client(&waypoint), &v1.vip, 2);
    load_on.more(50).await;
    api.down();
    load_on.more(200).await;
    api.up().await;
    world.policy("nobody", "reviews", "DENY", json!([{}]));
    load(&api, &world);
    let mut witness = world.client(&waypoint).http1(&reviews).await;
    until("what came after the outage is in force", async || {
        witness.get("/one").await.status == 403
    })
    .await;
    load_on.stop().await.all_good();
    until_told(
        &api,
        "authorizationpolicy",
        "nobody",
        &["waypoint-proxy.io/Accepted=True Accepted"],
    )
    .await;
    assert!(controller.is_leader().await);
}
