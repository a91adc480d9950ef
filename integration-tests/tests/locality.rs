//! Promise: requests stay in the waypoint's own zone while something there can take them, and leave it when not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, SERVICE_PORT, Vip};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The zones of two pods, `near` and `far`, each on a node of its own.
struct Zones {
    world: MeshWorld,
    near: Pod<Echo>,
    far: Pod<Echo>,
    vip: Vip,
}

impl Zones {
    /// A Service over both with these fields in its spec.
    async fn new(spec: Value) -> Self {
        let mut world = MeshWorld::new();
        let near = world.echo("near", "near", Reach::Hbone).await;
        let far = world.echo("far", "far", Reach::Hbone).await;
        let vip = world.service("shop", "http", &[near.ip, far.ip]);
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "shop", "namespace": "demo" },
            "spec": { "clusterIP": vip.ip, "ports": [{ "name": "http", "port": SERVICE_PORT, "targetPort": 9080 }] },
        });
        for (name, value) in spec.as_object().unwrap() {
            service["spec"][name] = value.clone();
        }
        world.apply("service-shop.yaml", service);
        let nodes = ["near", "far"].map(|name| {
            let labels = json!({ "topology.kubernetes.io/region": "here", "topology.kubernetes.io/zone": name });
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": format!("node-{name}"), "labels": labels } })
                .to_string()
        });
        world.apply("nodes.yaml", nodes.join("\n---\n"));
        for name in ["near", "far"] {
            let file = format!("pod-{name}.yaml");
            let text = std::fs::read_to_string(world.config().join(&file)).unwrap();
            let mut pod: Value = serde_json::from_str(&text).unwrap();
            pod["spec"]["nodeName"] = json!(format!("node-{name}"));
            world.apply(&file, pod);
        }
        let zones = Self { world, near, far, vip };
        zones.endpoints(true);
        zones
    }

    /// Writes the EndpointSlice: the far pod is ready, the near one as told.
    fn endpoints(&self, is_near_ready: bool) {
        let endpoint = |ip, node, ready| {
            json!({ "addresses": [ip], "nodeName": node,
                "conditions": { "ready": ready, "serving": ready, "terminating": false } })
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "shop-abcde", "namespace": "demo", "labels": { "kubernetes.io/service-name": "shop" } },
            "ports": [{ "name": "http", "port": 9080, "protocol": "TCP" }],
            "endpoints": [endpoint(self.near.ip, "node-near", is_near_ready), endpoint(self.far.ip, "node-far", true)],
        });
        self.world.apply("endpointslice-shop.yaml", slice);
    }

    /// Where ten requests go.
    async fn used(&self, tunnel: &Arc<ClientTunnel>) -> BTreeSet<String> {
        let mut client = tunnel.http1(&self.vip).await;
        let mut used = BTreeSet::new();
        for _ in 0..10 {
            let reply = client.get("/").await;
            used.insert(match reply.status.as_u16() {
                200 => reply.header("x-backend").to_owned(),
                status => status.to_string(),
            });
        }
        used
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn near() -> Launch {
    Launch::default().env("ISTIO_META_NODE_NAME", "node-near")
}

#[tokio::test]
async fn without_a_preference_all_are_used() {
    let zones = Zones::new(json!({})).await;
    let waypoint = zones.world.start_with(near()).await;
    let tunnel = zones.world.client(&waypoint);
    assert_eq!(zones.used(&tunnel).await, set(&["far", "near"]));
}

#[tokio::test]
async fn the_same_zone_goes_first_and_another_steps_in() {
    for distribution in ["PreferSameZone", "PreferSameNode"] {
        let zones = Zones::new(json!({ "trafficDistribution": distribution })).await;
        let waypoint = zones.world.start_with(near()).await;
        let tunnel = zones.world.client(&waypoint);
        assert_eq!(zones.used(&tunnel).await, set(&["near"]), "{distribution}");
        zones.endpoints(false);
        until("the other zone steps in", async || {
            zones.used(&tunnel).await == set(&["far"])
        })
        .await;
        zones.endpoints(true);
        until("the own zone is back", async || {
            zones.used(&tunnel).await == set(&["near"])
        })
        .await;
    }
}

#[tokio::test]
async fn failures_make_another_zone_step_in() {
    let mut zones = Zones::new(json!({ "trafficDistribution": "PreferClose" })).await;
    let outliers = json!({ "consecutive5xxErrors": 1, "baseEjectionTime": "1h", "maxEjectionPercent": 50 });
    zones
        .world
        .destination_rule("shop", json!({ "trafficPolicy": { "outlierDetection": outliers } }));
    let waypoint = zones.world.start_with(near()).await;
    let tunnel = zones.world.client(&waypoint);
    assert_eq!(zones.used(&tunnel).await, set(&["near"]));
    let mut client = tunnel.http1(&zones.vip).await;
    assert_eq!(client.get("/do/status/500").await.status, 500);
    assert_eq!(zones.used(&tunnel).await, set(&["far"]));
}

#[tokio::test]
async fn a_node_local_service_has_no_other_endpoints() {
    let zones = Zones::new(json!({ "internalTrafficPolicy": "Local" })).await;
    let waypoint = zones.world.start_with(near()).await;
    let tunnel = zones.world.client(&waypoint);
    assert_eq!(zones.used(&tunnel).await, set(&["near"]));
    zones.endpoints(false);
    until("nobody is left", async || zones.used(&tunnel).await == set(&["503"])).await;
}
