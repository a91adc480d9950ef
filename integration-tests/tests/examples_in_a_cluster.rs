//! Promise: what `deploy/examples` say that the controller makes of them, it makes: waypoints, and what a Gateway's overlays
//! ask for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::controller_process::ControllerProcess;
use integration_tests::peers::kube_api::KubeApi;
use integration_tests::peers::waiting::until;
use serde_json::{Value, json};
use std::path::Path;

fn read(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

/// An API server with the class and the binding of `rbac.yaml` and `controller.yaml`, and a controller beside it.
async fn cluster() -> (KubeApi, ControllerProcess) {
    let api = KubeApi::start().await;
    for object in read("kubernetes/rbac.yaml")
        .iter()
        .chain(&read("kubernetes/controller.yaml"))
    {
        let kind = object["kind"].as_str().unwrap();
        if kind == "GatewayClass" || (kind == "ClusterRoleBinding" && object["metadata"]["name"] == "waypoint") {
            api.put(object);
        }
    }
    api.put(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "istio-system" } }));
    let controller = ControllerProcess::start(&api.kubeconfig(), "first", &[]).await;
    (api, controller)
}

/// Puts what the server knows of an example.
fn apply(api: &KubeApi, file: &str) {
    for object in read(file) {
        if ["Namespace", "Gateway", "ConfigMap", "Service"].contains(&object["kind"].as_str().unwrap()) {
            api.put(&object);
        }
    }
}

#[tokio::test]
async fn enrolment_and_a_canary_get_a_waypoint_each() {
    let (api, _controller) = cluster().await;
    apply(&api, "examples/enrol.yaml");
    apply(&api, "examples/canary-from-istio.yaml");
    for name in ["waypoint", "waypoint-next"] {
        until("the waypoint is there", async || {
            api.get("Deployment", "shop", name).is_some()
        })
        .await;
        until("its Service is there", async || {
            api.get("Service", "shop", name).is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn overlays_of_the_autoscaling_example_are_in_force() {
    let (api, _controller) = cluster().await;
    apply(&api, "examples/enrol.yaml");
    apply(&api, "examples/autoscaling.yaml");
    let autoscaler = || api.get("HorizontalPodAutoscaler", "shop", "waypoint");
    until("it scales by CPU", async || {
        autoscaler().is_some_and(|made| made["spec"]["metrics"][0]["resource"]["name"] == "cpu")
    })
    .await;
    let made = autoscaler().unwrap();
    assert_eq!(
        (&made["spec"]["minReplicas"], &made["spec"]["maxReplicas"]),
        (&json!(2), &json!(10))
    );
    assert_eq!(made["spec"]["scaleTargetRef"]["name"], "waypoint");
    let budget = api.get("PodDisruptionBudget", "shop", "waypoint").unwrap();
    assert_eq!(budget["spec"]["minAvailable"], 1);
    let deployment = api.get("Deployment", "shop", "waypoint").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(
        pod["topologySpreadConstraints"][0]["topologyKey"],
        "topology.kubernetes.io/zone"
    );
    assert_eq!(pod["containers"][0]["resources"]["requests"]["cpu"], "500m");
    assert_eq!(
        pod["containers"][0]["resources"]["limits"]["memory"], "512Mi",
        "what it says nothing of stays"
    );

    let mut gateway = api.get("Gateway", "shop", "waypoint").unwrap();
    gateway["spec"]["infrastructure"]["parametersRef"]["name"] = json!("waypoint-overlay-by-requests");
    api.put(&gateway);
    until("it scales by requests in flight", async || {
        autoscaler()
            .is_some_and(|made| made["spec"]["metrics"][0]["pods"]["metric"]["name"] == "waypoint_requests_in_flight")
    })
    .await;
    until("the budget is not asked for any more", async || {
        api.get("PodDisruptionBudget", "shop", "waypoint").is_none()
    })
    .await;
}
