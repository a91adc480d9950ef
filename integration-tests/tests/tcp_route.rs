//! Promise: a TCPRoute sends connections where its weights say, and closes the share of a backend that is none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderMap;
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::mesh_world::{MeshWorld, Vip, backend};
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::io::AsyncReadExt;

/// The name of the pod that answered; "" for a connection that was closed without a word.
async fn who(client: &ClientTunnel, vip: &Vip) -> String {
    let mut tunnel = client.dial(&vip.authority(), HeaderMap::new()).await.unwrap();
    let mut name = [0; 2];
    match soon("a greeting or the end", tunnel.read_exact(&mut name)).await {
        Ok(_) => String::from_utf8_lossy(&name).into_owned(),
        Err(_) => String::new(),
    }
}

async fn spread(client: &ClientTunnel, vip: &Vip, connections: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..connections {
        *counts.entry(who(client, vip).await).or_default() += 1;
    }
    counts
}

/// Services `front`, `v1` and `v2` on ports of this name, and a TCPRoute on `front`.
async fn world(port_name: &str, backends: Value) -> (MeshWorld, Vip, Waypoint, Vec<Box<dyn std::any::Any>>) {
    let mut world = MeshWorld::new();
    let front = world.greeter("front", port_name).await;
    let v1 = world.greeter("v1", port_name).await;
    let v2 = world.greeter("v2", port_name).await;
    world.route("TCPRoute", "split", "front", json!([{ "backendRefs": backends }]));
    let waypoint = world
        .start_with(Launch::default().env("WAYPOINT_ACCESS_LOG", "json"))
        .await;
    let vip = front.vip.clone();
    (world, vip, waypoint, vec![Box::new(front), Box::new(v1), Box::new(v2)])
}

#[tokio::test]
async fn connections_are_shared_by_weight_whatever_the_port_is_declared() {
    for port_name in ["tcp", "", "http"] {
        let backends = json!([backend("v1", 1), backend("v2", 3), backend("front", 0)]);
        let (world, vip, waypoint, _pods) = world(port_name, backends).await;
        let client = world.client(&waypoint);
        let counts = spread(&client, &vip, 80).await;
        assert_eq!(counts.values().sum::<usize>(), 80);
        assert!((8..=34).contains(&counts["v1"]), "{port_name:?}: {counts:?}");
        assert_eq!(counts.len(), 2, "{port_name:?}: {counts:?}");
        if port_name == "tcp" {
            let v1 = Vip {
                name: "v1".into(),
                ip: world.subnet().vip(2),
                port: vip.port,
            };
            assert_eq!(
                spread(&client, &v1, 3).await["v1"],
                3,
                "routes of one Service are not another's"
            );
        }
    }
}

#[tokio::test]
async fn the_share_of_a_backend_that_is_none_is_closed() {
    let (mut world, vip, waypoint, _pods) = world("tcp", json!([backend("v1", 1), backend("gone", 1)])).await;
    let client = world.client(&waypoint);
    let counts = spread(&client, &vip, 60).await;
    assert!((12..=48).contains(&counts[""]), "{counts:?}");
    assert_eq!(counts["v1"] + counts[""], 60, "{counts:?}");
    let line = waypoint
        .until_logged("a closed share", |line| line.contains(r#""response_flags":"NC""#))
        .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["route_name"], "demo/split/rule-0", "{line}");
    world.route(
        "TCPRoute",
        "split",
        "front",
        json!([{ "backendRefs": [backend("v1", 0)] }]),
    );
    until("a weight of 0 gets nothing", async || {
        who(&client, &vip).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn routes_come_and_go_under_way() {
    let (mut world, vip, waypoint, _pods) = world("tcp", json!([backend("v1", 1)])).await;
    let client = world.client(&waypoint);
    assert_eq!(who(&client, &vip).await, "v1");
    world.route(
        "TCPRoute",
        "split",
        "front",
        json!([{ "backendRefs": [backend("v2", 1)] }]),
    );
    until("the new backend is in force", async || who(&client, &vip).await == "v2").await;
    world.remove("route-split.yaml");
    until("the Service's own pods answer", async || {
        who(&client, &vip).await == "front"[..2]
    })
    .await;
}

#[tokio::test]
async fn a_connection_leaves_a_line_and_its_series() {
    let (world, vip, waypoint, _pods) = world("tcp", json!([backend("v1", 1)])).await;
    assert_eq!(who(&world.client(&waypoint), &vip).await, "v1");
    let line = waypoint
        .until_logged("a line for the connection", |line| line.contains("|tcp|v1."))
        .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["route_name"], &line["bytes_sent"]),
        (&json!("demo/split/rule-0"), &json!(2)),
        "{line}"
    );
    assert!(line["upstream_host"].as_str().unwrap().ends_with(":9080"), "{line}");
    let labels = [("destination_service_name", "v1"), ("destination_workload", "v1")];
    until("it is counted at the pod that took it", async || {
        waypoint
            .scrape()
            .await
            .sum("istio_tcp_connections_closed_total", &labels)
            == 1.0
    })
    .await;
}
