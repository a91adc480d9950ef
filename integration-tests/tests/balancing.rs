//! Promise: requests go to the endpoints that a DestinationRule asks for, and not to those that fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{full, get};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A pod that answers with whatever status stands there.
async fn moody(world: &mut MeshWorld, name: &str) -> (Pod<Scripted>, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let kept = Arc::clone(&status);
    let pod = world
        .script(name, move |mut connection| {
            let status = Arc::clone(&kept);
            async move {
                while let Ok(head) = connection.head().await {
                    if connection.body_and_trailers(&head).await.is_err() {
                        return;
                    }
                    let status = status.load(Ordering::SeqCst);
                    let answer = format!("HTTP/1.1 {status} x\r\nx-backend: moody\r\nContent-Length: 0\r\n\r\n");
                    if connection.send(answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
    (pod, status)
}

/// Some pods with an echo each, and their addresses.
async fn echoes(world: &mut MeshWorld, names: &[&str], reach: Reach) -> (Vec<Pod<Echo>>, Vec<std::net::Ipv4Addr>) {
    let mut pods = Vec::new();
    for name in names {
        pods.push(world.echo(name, name, reach).await);
    }
    let ips = pods.iter().map(|pod| pod.ip).collect();
    (pods, ips)
}

#[tokio::test]
async fn a_pod_that_fails_is_ejected_and_comes_back() {
    let mut world = MeshWorld::new();
    let good = world.echo("good", "good", Reach::Clear).await;
    let (bad, status) = moody(&mut world, "bad").await;
    let vip = world.service("shop", "http", &[good.ip, bad.ip]);
    world.destination_rule(
        "shop",
        json!({ "trafficPolicy": { "loadBalancer": { "simple": "ROUND_ROBIN" }, "outlierDetection": {
            "consecutive5xxErrors": 5, "interval": "1s", "baseEjectionTime": "2s", "maxEjectionPercent": 50 } } }),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    status.store(500, Ordering::SeqCst);
    let mut failed = 0;
    for _ in 0..10 {
        failed += u32::from(client.get("/").await.status == 500);
    }
    assert_eq!(failed, 5, "in turns, every second request is the bad one's");
    let ejections = waypoint
        .scrape()
        .await
        .sum("waypoint_ejections_total", &[("result", "ejected")]);
    assert_eq!(ejections, 1.0);
    let dump: Value = serde_json::from_str(waypoint.admin_get("/config_dump").await.text()).unwrap();
    let services = dump["services"].as_array().unwrap();
    let shop = services
        .iter()
        .find(|one| one["host"] == "shop.demo.svc.cluster.local")
        .unwrap();
    let ejected = shop["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["ejected"] == true);
    let ejected: Vec<_> = ejected.map(|one| one["address"].as_str().unwrap()).collect();
    assert_eq!(ejected, [format!("{}:9080", bad.ip)]);
    assert_eq!(shop["trafficPolicy"]["outlierDetection"]["consecutive5xxErrors"], 5);

    status.store(200, Ordering::SeqCst);
    until("the pod that had failed is used again", async || {
        let reply = client.get("/").await;
        assert_eq!(reply.status, 200, "the other one serves meanwhile");
        reply.headers["x-backend"] == "moody"
    })
    .await;
}

#[tokio::test]
async fn without_a_rule_nobody_is_ejected() {
    let mut world = MeshWorld::new();
    let (bad, status) = moody(&mut world, "bad").await;
    let vip = world.service("shop", "http", &[bad.ip]);
    let waypoint = world.start().await;
    status.store(503, Ordering::SeqCst);
    let mut client = world.client(&waypoint).http1(&vip).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 503);
    }
    status.store(200, Ordering::SeqCst);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn dead_pods_are_ejected_and_when_all_are_nobody_is_healthy() {
    let mut world = MeshWorld::new();
    let dead: Vec<_> = (0..2)
        .map(|i| world.dead_pod(&format!("dead-{i}"), Reach::Clear))
        .collect();
    let vip = world.service("shop", "http", &dead);
    world.destination_rule(
        "shop",
        json!({ "trafficPolicy": { "outlierDetection": {
            "splitExternalLocalOriginErrors": true, "consecutiveLocalOriginFailures": 1, "maxEjectionPercent": 100,
            "baseEjectionTime": "1h" } } }),
    );
    let waypoint = world.start_with(Launch::default().access_log()).await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    assert_eq!(client.get("/first").await.status, 503);
    assert_eq!(client.get("/second").await.status, 503);
    assert_eq!(waypoint.logged_field("/second", "response_flags").await, "UH");
    let ejections = waypoint.scrape().await.sum("waypoint_ejections_total", &[]);
    assert_eq!(ejections, 2.0);
}

#[tokio::test]
async fn subsets_are_told_apart_by_a_virtual_service() {
    let mut world = MeshWorld::new();
    let (pods, ips) = echoes(&mut world, &["v1", "v2"], Reach::Hbone).await;
    let vip = world.service("shop", "http", &ips);
    // Of a Service of its own, the version is the label of the pods.
    world.destination_rule(
        "shop",
        json!({ "subsets": [{ "name": "old", "labels": { "version": "v1" } }, { "name": "new", "labels": { "version": "v2" } }] }),
    );
    let to = |subset: &str| json!([{ "destination": { "host": "shop", "subset": subset } }]);
    world.apply(
        "virtualservice-shop.yaml",
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "shop", "namespace": "demo" },
            "spec": { "hosts": ["shop"], "http": [
                { "match": [{ "headers": { "x-user": { "exact": "tester" } } }], "route": to("new") },
                { "route": to("old") },
            ] },
        }),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    for _ in 0..8 {
        assert_eq!(client.get("/").await.header("x-backend"), "v1");
        let request = http::Request::get("/")
            .header("x-user", "tester")
            .body(full(""))
            .unwrap();
        assert_eq!(client.send(request).await.header("x-backend"), "v2");
    }
    let counts: Vec<_> = pods.iter().map(|pod| pod.app.counts().requests).collect();
    assert_eq!(counts, [8, 8]);
}

#[tokio::test]
async fn the_same_key_goes_to_the_same_pod() {
    let mut world = MeshWorld::new();
    let (_pods, ips) = echoes(&mut world, &["a", "b", "c", "d"], Reach::Hbone).await;
    let vip = world.service("shop", "http", &ips);
    let hash = |key: Value| json!({ "trafficPolicy": { "loadBalancer": { "consistentHash": key } } });
    world.destination_rule("shop", hash(json!({ "httpHeaderName": "x-user" })));
    let waypoint = world.start().await;
    let tunnel = world.client(&waypoint);
    let mut used = HashSet::new();
    for user in 0..16 {
        let mut pods = HashSet::new();
        for _ in 0..4 {
            // Another connection each time: it is the request that tells.
            let mut client = tunnel.http1(&vip).await;
            let request = http::Request::get("/").header("x-user", user).body(full("")).unwrap();
            pods.insert(client.send(request).await.headers["x-backend"].clone());
        }
        assert_eq!(pods.len(), 1, "user {user}");
        used.extend(pods);
    }
    assert!(used.len() > 1, "16 users at one pod");

    // The same by a cookie that the waypoint gives.
    let generation = waypoint.scrape().await.sum("waypoint_config_generation", &[]);
    world.destination_rule(
        "shop",
        hash(json!({ "httpCookie": { "name": "pod", "path": "/", "ttl": "60s" } })),
    );
    until("the new rule is in force", async || {
        waypoint.scrape().await.sum("waypoint_config_generation", &[]) > generation
    })
    .await;
    let mut client = tunnel.http1(&vip).await;
    let first = client.send(get("/")).await;
    let given = first.headers["set-cookie"].to_str().unwrap();
    let (cookie, attributes) = given.split_once("; ").unwrap();
    assert!(
        cookie.starts_with("pod=") && attributes == "Max-Age=60; Path=/; HttpOnly",
        "{given}"
    );
    for _ in 0..8 {
        let request = http::Request::get("/").header("cookie", cookie).body(full("")).unwrap();
        let reply = client.send(request).await;
        assert_eq!(reply.headers["x-backend"], first.headers["x-backend"]);
        assert!(!reply.headers.contains_key("set-cookie"));
    }
}
