//! Promise: for each Gateway of our class the controller makes a waypoint and tells the truth about it; it touches nothing
//! else, writes nothing twice, and another takes over when it dies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::controller_process::ControllerProcess;
use integration_tests::peers::gateway_api::{self, GATEWAY_API, condition};
use integration_tests::peers::kube_api::KubeApi;
use integration_tests::peers::waiting::until;
use serde_json::{Value, json};

const OURS: &str = "waypoint-proxy.io/controller";

/// An API server with what is installed with the controller, and the namespace `shop`.
async fn cluster() -> KubeApi {
    let api = KubeApi::start().await;
    for (name, controller) in [("waypoint", OURS), ("istio-waypoint", "istio.io/mesh-controller")] {
        api.put(
            &json!({ "apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": { "name": name },
            "spec": { "controllerName": controller } }),
        );
    }
    api.put(
        &json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "waypoint" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "waypoint" } }),
    );
    for namespace in ["shop", "istio-system"] {
        api.put(
            &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace,
            "labels": { "istio.io/use-waypoint": "waypoint" } } }),
        );
    }
    api
}

fn gateway(name: &str, class: &str) -> Value {
    gateway_api::gateway("shop", name, class)
}

async fn start(api: &KubeApi) -> ControllerProcess {
    ControllerProcess::start(&api.kubeconfig(), "first", &["--image", "registry/waypoint:1"]).await
}

/// As the Deployment controller tells it.
fn pods_ready(api: &KubeApi, name: &str, count: u64) {
    let mut deployment = api.get("Deployment", "shop", name).unwrap();
    deployment["status"] = json!({ "readyReplicas": count });
    api.put(&deployment);
}

fn status(api: &KubeApi, kind: &str, name: &str) -> Value {
    let object = api.get(kind, "shop", name).unwrap();
    object.get("status").cloned().unwrap_or_default()
}

async fn until_condition(api: &KubeApi, name: &str, kind: &str, wanted: &str) {
    until(&format!("{name} has {kind} {wanted}"), async || {
        condition(&status(api, "Gateway", name), kind) == wanted
    })
    .await;
}

/// Waits until the controller has looked at all that is there now: a Gateway put now is told of.
async fn until_looked(api: &KubeApi, mark: &str) {
    api.put(&gateway(mark, "waypoint"));
    until_condition(api, mark, "Accepted", "True Accepted").await;
}

#[tokio::test]
async fn a_gateway_gets_what_belongs_to_it_and_an_address_when_a_pod_is_ready() {
    let api = cluster().await;
    let _controller = start(&api).await;
    api.put(&gateway("waypoint", "waypoint"));
    until_condition(&api, "waypoint", "Programmed", "False AddressNotAssigned").await;
    let uid = api.get("Gateway", "shop", "waypoint").unwrap()["metadata"]["uid"].clone();
    for kind in ["ServiceAccount", "Deployment", "Service"] {
        let object = api.get(kind, "shop", "waypoint").unwrap();
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], uid, "{kind}");
    }
    let deployment = api.get("Deployment", "shop", "waypoint").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "registry/waypoint:1");
    let bound = api.get("ClusterRoleBinding", "", "waypoint").unwrap();
    let account = json!([{ "kind": "ServiceAccount", "namespace": "shop", "name": "waypoint" }]);
    assert_eq!(bound["subjects"], account, "it may read");
    assert_eq!(status(&api, "Gateway", "waypoint")["addresses"], json!([]));
    let class = api.get("GatewayClass", "", "waypoint").unwrap();
    assert_eq!(condition(&class["status"], "Accepted"), "True Accepted");
    until("the class tells its features", async || {
        let class = api.get("GatewayClass", "", "waypoint").unwrap();
        let features = class["status"]["supportedFeatures"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        features.contains(&json!({ "name": "Mesh" })) && features.contains(&json!({ "name": "MeshConsumerRoute" }))
    })
    .await;

    pods_ready(&api, "waypoint", 1);
    until_condition(&api, "waypoint", "Programmed", "True Programmed").await;
    let address = json!([{ "type": "Hostname", "value": "waypoint.shop.svc.cluster.local" }]);
    assert_eq!(status(&api, "Gateway", "waypoint")["addresses"], address);
    // What the Deployment controller cannot do is told.
    api.put(&gateway("poor", "waypoint"));
    until_condition(&api, "poor", "Programmed", "False AddressNotAssigned").await;
    let mut poor = api.get("Deployment", "shop", "poor").unwrap();
    poor["status"] =
        json!({ "conditions": [{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }] });
    api.put(&poor);
    until("the Gateway says so", async || {
        status(&api, "Gateway", "poor")
            .to_string()
            .contains("no pod can be made: exceeded quota")
    })
    .await;
    api.delete("Gateway", "shop", "poor");

    // Without an address traffic would pass by the waypoint and its policies.
    pods_ready(&api, "waypoint", 0);
    until_condition(&api, "waypoint", "Programmed", "False Pending").await;
    assert_eq!(status(&api, "Gateway", "waypoint")["addresses"], address);

    // What somebody deletes or changes is made again.
    api.delete("Service", "shop", "waypoint");
    until("the Service is there again", async || {
        api.get("Service", "shop", "waypoint").is_some()
    })
    .await;
    let mut changed = api.get("Deployment", "shop", "waypoint").unwrap();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
    api.put(&changed);
    until("the image is ours again", async || {
        let deployment = api.get("Deployment", "shop", "waypoint").unwrap();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/waypoint:1"
    })
    .await;

    // The account of a Gateway that is gone may read no more.
    api.delete("Gateway", "shop", "waypoint");
    until("nobody is bound", async || {
        api.get("ClusterRoleBinding", "", "waypoint").unwrap()["subjects"] == json!([])
    })
    .await;
}

#[tokio::test]
async fn another_name_takes_over_when_it_is_ready() {
    let api = cluster().await;
    let _controller = start(&api).await;
    api.put(&gateway("waypoint", "waypoint"));
    until_condition(&api, "waypoint", "Programmed", "False AddressNotAssigned").await;
    pods_ready(&api, "waypoint", 1);
    until_condition(&api, "waypoint", "Programmed", "True Programmed").await;
    let mut renamed = api.get("Gateway", "shop", "waypoint").unwrap();
    renamed["metadata"]["annotations"] = json!({ "gateway.istio.io/name-override": "edge" });
    api.put(&renamed);
    until("there is one of the new name", async || {
        api.get("Deployment", "shop", "edge").is_some()
    })
    .await;
    until_looked(&api, "mark").await;
    assert!(
        api.get("Service", "shop", "waypoint").is_some(),
        "it serves until the other does"
    );
    let address = |name: &str| json!([{ "type": "Hostname", "value": format!("{name}.shop.svc.cluster.local") }]);
    assert_eq!(status(&api, "Gateway", "waypoint")["addresses"], address("waypoint"));
    pods_ready(&api, "edge", 1);
    until("the old one is gone", async || {
        ["Deployment", "Service"]
            .iter()
            .all(|kind| api.get(kind, "shop", "waypoint").is_none())
    })
    .await;
    until("the address is the new one", async || {
        status(&api, "Gateway", "waypoint")["addresses"] == address("edge")
    })
    .await;
}

#[tokio::test]
async fn a_thousand_routes_are_told_once_each() {
    let api = cluster().await;
    let controller = start(&api).await;
    api.put(&gateway("waypoint", "waypoint"));
    let name = |n: u32| format!("route-{n}");
    for n in 0..1_000 {
        let rules = json!([{ "matches": [{ "path": { "type": "PathPrefix", "value": format!("/{n}") } }],
            "backendRefs": [{ "name": "nobody", "port": 80 }] }]);
        api.put(&json!({ "apiVersion": GATEWAY_API, "kind": "HTTPRoute",
            "metadata": { "name": name(n), "namespace": "shop" },
            "spec": { "parentRefs": [{ "name": "waypoint" }], "rules": rules } }));
    }
    until("the listener counts them", async || {
        status(&api, "Gateway", "waypoint")["listeners"][0]["attachedRoutes"] == 1_000
    })
    .await;
    until("every one has a status", async || {
        (0..1_000).all(|n| status(&api, "HTTPRoute", &name(n))["parents"][0]["controllerName"] == OURS)
    })
    .await;
    until_looked(&api, "mark").await;
    let writes = api.writes();
    let of_routes = writes.iter().filter(|write| write.contains("HTTPRoute")).count();
    assert_eq!(of_routes, 1_000);
    let conflicts = controller.scrape().await;
    let conflicts = conflicts.sum("waypoint_controller_writes_total", &[("result", "conflict")]);
    assert_eq!(conflicts, 0.0, "what it wrote itself is seen before it looks again");
}

#[tokio::test]
async fn gateways_of_other_classes_and_what_belongs_to_them_are_not_touched() {
    let api = cluster().await;
    let _controller = start(&api).await;
    api.put(&gateway("istios", "istio-waypoint"));
    let labels = json!({ "gateway.networking.k8s.io/gateway-name": "istios" });
    api.put(
        &json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "istios", "namespace": "shop",
        "labels": labels }, "spec": {} }),
    );
    until_looked(&api, "waypoint").await;
    assert_eq!(status(&api, "Gateway", "istios"), json!(null));
    assert!(api.get("Service", "shop", "istios").is_none());
    let class = api.get("GatewayClass", "", "istio-waypoint").unwrap();
    assert_eq!(class.get("status"), None);
    assert!(
        !api.writes().iter().any(|write| write.contains("istios")),
        "{:?}",
        api.writes()
    );
}

#[tokio::test]
async fn a_deployment_of_another_is_left_alone_and_told() {
    let api = cluster().await;
    let theirs = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "waypoint", "namespace": "shop" }, "spec": { "replicas": 3 } });
    api.put(&theirs);
    let before = api.get("Deployment", "shop", "waypoint").unwrap();
    let _controller = start(&api).await;
    api.put(&gateway("waypoint", "waypoint"));
    until_condition(&api, "waypoint", "Programmed", "False Invalid").await;
    let told = status(&api, "Gateway", "waypoint").to_string();
    assert!(
        told.contains("Deployment shop/waypoint exists and does not belong to this Gateway"),
        "{told}"
    );
    assert_eq!(api.get("Deployment", "shop", "waypoint").unwrap(), before);
    api.delete("Deployment", "shop", "waypoint");
    until("ours is made when theirs is gone", async || {
        let made = api.get("Deployment", "shop", "waypoint");
        made.is_some_and(|made| made["metadata"]["ownerReferences"][0]["kind"] == "Gateway")
    })
    .await;
    until_condition(&api, "waypoint", "Programmed", "False AddressNotAssigned").await;
}

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let api = cluster().await;
    let controller = start(&api).await;
    api.faults(|faults| {
        let kinds = ["Deployment", "Deployment", "Gateway", "Gateway", "ClusterRoleBinding"];
        faults.conflicts = kinds.map(str::to_owned).to_vec();
    });
    api.put(&gateway("waypoint", "waypoint"));
    until("the Deployment is made", async || {
        api.get("Deployment", "shop", "waypoint").is_some()
    })
    .await;
    until_condition(&api, "waypoint", "Programmed", "False AddressNotAssigned").await;
    let conflicts = controller.scrape().await;
    let conflicts = conflicts.sum("waypoint_controller_writes_total", &[("result", "conflict")]);
    assert_eq!(conflicts, 5.0);
}

#[tokio::test]
async fn overlays_are_applied_and_what_they_ask_for_goes_with_them() {
    let api = cluster().await;
    let _controller = start(&api).await;
    let mut asking = gateway("waypoint", "waypoint");
    asking["spec"]["infrastructure"] =
        json!({ "parametersRef": { "group": "", "kind": "ConfigMap", "name": "wishes" } });
    api.put(&asking);
    until_condition(&api, "waypoint", "Accepted", "False InvalidParameters").await;
    assert!(
        api.get("Deployment", "shop", "waypoint").is_none(),
        "there is no such ConfigMap"
    );
    let wishes = |data: Value| {
        api.put(
            &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "wishes", "namespace": "shop" },
            "data": data }),
        );
    };
    wishes(json!({ "deployment": "spec:\n  replicas: 3\n  minReadySeconds: 5\n",
        "horizontalPodAutoscaler": "spec:\n  maxReplicas: 9\n" }));
    until_condition(&api, "waypoint", "Accepted", "True Accepted").await;
    let spec = |kind: &str| api.get(kind, "shop", "waypoint").map(|object| object["spec"].clone());
    assert_eq!(spec("Deployment").unwrap()["replicas"], 3);
    assert_eq!(spec("HorizontalPodAutoscaler").unwrap()["maxReplicas"], 9);
    // What is broken changes nothing.
    wishes(json!({ "deployment": "spec: [" }));
    until_condition(&api, "waypoint", "Accepted", "False InvalidParameters").await;
    assert_eq!(spec("Deployment").unwrap()["replicas"], 3);
    // Another autoscaler of this label is not ours to delete.
    let labels = json!({ "gateway.networking.k8s.io/gateway-name": "waypoint" });
    let owner = api.get("Deployment", "shop", "waypoint").unwrap()["metadata"]["ownerReferences"].clone();
    api.put(&json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "theirs", "namespace": "shop", "labels": labels, "ownerReferences": owner }, "spec": {} }));
    wishes(json!({ "deployment": "spec:\n  replicas: 2\n" }));
    until("nobody asks for it", async || spec("HorizontalPodAutoscaler").is_none()).await;
    until("fields go too", async || {
        spec("Deployment").is_some_and(|spec| spec["replicas"] == 2 && spec.get("minReadySeconds").is_none())
    })
    .await;
    assert!(api.get("HorizontalPodAutoscaler", "shop", "theirs").is_some());
}

#[tokio::test]
async fn the_flags_say_what_all_waypoints_share() {
    let api = cluster().await;
    let flags = [
        ["--image-pull-policy", "Always"],
        ["--ca-address", "ca.example:15012"],
        ["--trust-domain", "example.org"],
        ["--cluster-domain", "example.internal"],
        ["--env", "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel:4317"],
        ["--resources", "{requests: {cpu: 200m}}"],
        ["--root-namespace", "istio-root"],
        ["--termination-grace", "60"],
    ]
    .concat();
    let _controller = ControllerProcess::start(&api.kubeconfig(), "first", &flags).await;
    api.put(&gateway("waypoint", "waypoint"));
    until("the Deployment is made", async || {
        api.get("Deployment", "shop", "waypoint").is_some()
    })
    .await;
    let pod = api.get("Deployment", "shop", "waypoint").unwrap()["spec"]["template"]["spec"].clone();
    let container = &pod["containers"][0];
    assert_eq!(pod["terminationGracePeriodSeconds"], 60);
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["resources"], json!({ "requests": { "cpu": "200m" } }));
    let env = container["env"].as_array().unwrap();
    for (name, value) in [
        ("CA_ADDR", "ca.example:15012"),
        ("TRUST_DOMAIN", "example.org"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317"),
        ("WAYPOINT_ROOT_NAMESPACE", "istio-root"),
    ] {
        assert!(
            env.contains(&json!({ "name": name, "value": value })),
            "{name}: {env:?}"
        );
    }
    pods_ready(&api, "waypoint", 1);
    until("the address is in that domain", async || {
        status(&api, "Gateway", "waypoint")["addresses"][0]["value"] == "waypoint.shop.svc.example.internal"
    })
    .await;
}

#[tokio::test]
async fn another_takes_over_when_the_leader_dies() {
    let api = cluster().await;
    let first = start(&api).await;
    until("the first one acts", async || first.is_leader().await).await;
    let second = ControllerProcess::start(&api.kubeconfig(), "second", &[]).await;
    assert!(
        second.is_ready().await && !second.is_leader().await,
        "it waits for its turn"
    );
    let holder =
        || api.get("Lease", "waypoint-system", "waypoint-controller").unwrap()["spec"]["holderIdentity"].clone();
    assert_eq!(holder(), "first");
    first.kill();
    until("the second one acts", async || second.is_leader().await).await;
    assert_eq!(holder(), "second");
    until_looked(&api, "waypoint").await;
    // Whoever leaves gives the Lease back.
    let third = ControllerProcess::start(&api.kubeconfig(), "third", &[]).await;
    assert!(second.terminate().await.success());
    assert!(matches!(holder().as_str(), Some("" | "third")), "{}", holder());
    until("the third one acts", async || third.is_leader().await).await;
}

#[tokio::test]
async fn an_api_server_that_goes_away_is_taken_up_again() {
    let api = cluster().await;
    let controller = start(&api).await;
    until_looked(&api, "waypoint").await;
    api.down().await;
    until("it does not act without its Lease", async || {
        !controller.is_leader().await
    })
    .await;
    api.put(&gateway("later", "waypoint"));
    api.compact();
    api.up().await;
    until("what changed meanwhile is seen", async || {
        api.get("Deployment", "shop", "later").is_some()
    })
    .await;
}

#[tokio::test]
async fn routes_and_policies_say_what_became_of_them() {
    let api = cluster().await;
    let _controller = start(&api).await;
    until_looked(&api, "waypoint").await;
    let ports = json!([{ "name": "http", "port": 80 }]);
    api.put(
        &json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "reviews", "namespace": "shop" },
        "spec": { "clusterIP": "10.0.0.50", "ports": ports } }),
    );
    let service = json!({ "group": "", "kind": "Service", "name": "reviews" });
    let theirs = json!({ "controllerName": "istio.io/gateway-controller", "parentRef": service, "conditions": [] });
    let route = |backend: &str| {
        let parents = json!([service, { "name": "waypoint" }, { "name": "elsewhere" }]);
        json!({ "apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": { "name": "reviews", "namespace": "shop" },
            "spec": { "parentRefs": parents, "rules": [{ "backendRefs": [{ "name": backend, "port": 80 }] }] },
            "status": { "parents": [theirs] } })
    };
    api.put(&route("nobody"));
    let ours = || {
        let parents = status(&api, "HTTPRoute", "reviews")["parents"].clone();
        let parents = parents.as_array().cloned().unwrap_or_default();
        assert!(parents.contains(&theirs), "another's word: {parents:?}");
        parents
            .into_iter()
            .filter(|parent| parent["controllerName"] == OURS)
            .collect::<Vec<_>>()
    };
    until("the route has a status", async || ours().len() == 2).await;
    for parent in ours() {
        assert_eq!(condition(&parent, "Accepted"), "True Accepted", "{parent}");
        assert_eq!(condition(&parent, "ResolvedRefs"), "False BackendNotFound", "{parent}");
    }
    until("the listener counts it", async || {
        status(&api, "Gateway", "waypoint")["listeners"][0]["attachedRoutes"] == 1
    })
    .await;
    let mut next = route("reviews");
    next["status"] = status(&api, "HTTPRoute", "reviews");
    api.put(&next);
    until("its references are resolved", async || {
        ours().iter().all(|parent| {
            condition(parent, "ResolvedRefs") == "True ResolvedRefs"
                && parent["conditions"][0]["observedGeneration"] == 2
        })
    })
    .await;

    let theirs = json!({ "type": "WaypointAccepted", "status": "True" });
    let policy = |name: &str, target: &str| {
        let targets = json!([{ "group": "", "kind": "Service", "name": target }]);
        json!({ "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": name, "namespace": "shop" }, "spec": { "targetRefs": targets, "action": "DENY", "rules": [{}] },
            "status": { "conditions": [theirs] } })
    };
    api.put(&policy("deny", "reviews"));
    until("the policy says so", async || {
        condition(
            &status(&api, "AuthorizationPolicy", "deny"),
            "waypoint-proxy.io/Accepted",
        ) == "True Accepted"
    })
    .await;
    assert!(
        status(&api, "AuthorizationPolicy", "deny")["conditions"]
            .as_array()
            .unwrap()
            .contains(&theirs)
    );

    let tls = |status: Value| {
        let validation =
            json!({ "hostname": "reviews", "caCertificateRefs": [{ "group": "", "kind": "ConfigMap", "name": "ca" }] });
        let targets = json!([{ "group": "", "kind": "Service", "name": "reviews" }]);
        json!({ "apiVersion": GATEWAY_API, "kind": "BackendTLSPolicy", "metadata": { "name": "tls", "namespace": "shop" },
            "spec": { "targetRefs": targets, "validation": validation }, "status": status })
    };
    api.put(&tls(json!({})));
    let ancestor = || status(&api, "BackendTLSPolicy", "tls")["ancestors"][0].clone();
    until("the policy has no authority", async || {
        condition(&ancestor(), "ResolvedRefs") == "False InvalidCACertificateRef"
    })
    .await;
    assert_eq!(ancestor()["ancestorRef"]["name"], "waypoint");
    let pem = rcgen::generate_simple_self_signed(vec!["ca".to_owned()])
        .unwrap()
        .cert
        .pem();
    api.put(
        &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "ca", "namespace": "shop" },
        "data": { "ca.crt": pem } }),
    );
    until("its authority is there", async || {
        condition(&ancestor(), "Accepted") == "True Accepted"
            && condition(&ancestor(), "ResolvedRefs") == "True ResolvedRefs"
    })
    .await;

    // A Gateway that is gone has nothing to say any more.
    api.delete("Gateway", "shop", "waypoint");
    until("our entries are gone", async || ours().is_empty()).await;
    until("and our condition", async || {
        status(&api, "AuthorizationPolicy", "deny")["conditions"] == json!([theirs])
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() {
    let api = cluster().await;
    let controller = start(&api).await;
    api.put(&gateway("waypoint", "waypoint"));
    until("the Deployment is made", async || {
        api.get("Deployment", "shop", "waypoint").is_some()
    })
    .await;
    pods_ready(&api, "waypoint", 1);
    until_condition(&api, "waypoint", "Programmed", "True Programmed").await;
    until_looked(&api, "mark-1").await;
    let of_waypoint = || {
        let writes = api.writes().into_iter();
        writes
            .filter(|write| write.ends_with(" shop/waypoint"))
            .collect::<Vec<_>>()
    };
    let before = of_waypoint();
    let tried = async || {
        let samples = controller.scrape().await;
        samples.sum("waypoint_controller_writes_total", &[("kind", "Deployment")])
    };
    let attempts = tried().await;
    // Another's label, another's look at everything, a whole new list.
    let mut labelled = api.get("Deployment", "shop", "waypoint").unwrap();
    labelled["metadata"]["labels"]["example.com/team"] = json!("shop");
    api.put(&labelled);
    api.compact();
    api.cut_watches();
    until_looked(&api, "mark-2").await;
    assert_eq!(of_waypoint(), before);
    assert_eq!(tried().await, attempts + 1.0, "the Deployment of mark-2 and no other");
}
