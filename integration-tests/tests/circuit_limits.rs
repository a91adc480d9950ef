//! Promise: a Service gets no more at once than its DestinationRule admits; what is over is refused at once, and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{Reply, get};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, Vip, backend};
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

/// An echo `shop` with this `connectionPool`.
async fn shop(world: &mut MeshWorld, port_name: &str, pool: Value) -> Pod<Echo> {
    let pod = world.echo_as("shop", port_name, Reach::Hbone).await;
    world.destination_rule("shop", json!({ "trafficPolicy": { "connectionPool": pool } }));
    pod
}

async fn start(world: &MeshWorld) -> Waypoint {
    world.start_with(Launch::default().access_log()).await
}

/// A request on a connection of its own, on its way.
fn ask(tunnel: &Arc<ClientTunnel>, vip: &Vip, path: &str) -> JoinHandle<Reply> {
    let (tunnel, vip, path) = (Arc::clone(tunnel), vip.clone(), path.to_owned());
    tokio::spawn(async move { tunnel.http1(&vip).await.send(get(&path)).await })
}

async fn in_use(waypoint: &Waypoint, what: &str) -> Value {
    let dump: Value = serde_json::from_str(waypoint.admin_get("/config_dump").await.text()).unwrap();
    dump["services"][0]["inUse"][what].clone()
}

async fn overflows(waypoint: &Waypoint, limit: &str) -> f64 {
    let samples = waypoint.scrape().await;
    samples.sum("waypoint_overflows_total", &[("limit", limit)])
}

async fn is_refused(waypoint: &Waypoint, reply: Reply, path: &str, limit: &str) {
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.text().ends_with("reset reason: overflow"), "{}", reply.text());
    assert_eq!(waypoint.logged_field(path, "response_flags").await, "UO");
    assert_eq!(overflows(waypoint, limit).await, 1.0);
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_whatever_they_are_spoken_in() {
    for port_name in ["http", "http2"] {
        let mut world = MeshWorld::new();
        let shop = shop(&mut world, port_name, json!({ "http": { "http2MaxRequests": 1 } })).await;
        let waypoint = start(&world).await;
        let tunnel = world.client(&waypoint);
        let first = ask(&tunnel, &shop.vip, "/do/gate/a");
        shop.app.gates().arrived("a", 1).await;
        let second = soon("a refusal", ask(&tunnel, &shop.vip, "/second")).await.unwrap();
        is_refused(&waypoint, second, "/second", "requests").await;
        shop.app.gates().open("a");
        assert_eq!(first.await.unwrap().status, 200);
        until("the place is free again", async || {
            ask(&tunnel, &shop.vip, "/third").await.unwrap().status == 200
        })
        .await;
    }
}

#[tokio::test]
async fn one_request_waits_for_the_only_connection_and_the_next_is_refused() {
    let mut world = MeshWorld::new();
    let pool = json!({ "tcp": { "maxConnections": 1 }, "http": { "http1MaxPendingRequests": 1 } });
    let shop = shop(&mut world, "http", pool).await;
    let waypoint = start(&world).await;
    let tunnel = world.client(&waypoint);
    let first = ask(&tunnel, &shop.vip, "/do/gate/a");
    shop.app.gates().arrived("a", 1).await;
    let second = ask(&tunnel, &shop.vip, "/waits");
    until("the second request waits", async || {
        in_use(&waypoint, "pending").await == 1
    })
    .await;
    assert_eq!(in_use(&waypoint, "connections").await, 1);
    let third = soon("a refusal", ask(&tunnel, &shop.vip, "/third")).await.unwrap();
    is_refused(&waypoint, third, "/third", "pending").await;
    assert_eq!(shop.app.counts().requests, 1, "one at a time");
    shop.app.gates().open("a");
    for reply in [first, second] {
        assert_eq!(soon("an answer", reply).await.unwrap().status, 200);
    }
    until("nothing is in use", async || {
        in_use(&waypoint, "connections").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let mut world = MeshWorld::new();
    let pool = json!({ "tcp": { "maxConnections": 1 }, "http": { "http1MaxPendingRequests": 1 } });
    let shop = shop(&mut world, "http", pool).await;
    let waypoint = start(&world).await;
    let tunnel = world.client(&waypoint);
    let first = ask(&tunnel, &shop.vip, "/do/gate/a");
    shop.app.gates().arrived("a", 1).await;
    first.abort();
    until("the place is free again", async || {
        in_use(&waypoint, "connections").await == 0
    })
    .await;
    assert_eq!(
        soon("an answer", ask(&tunnel, &shop.vip, "/next"))
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn a_connection_carries_as_many_requests_as_it_may() {
    for port_name in ["http", "http2"] {
        let mut world = MeshWorld::new();
        let shop = shop(
            &mut world,
            port_name,
            json!({ "http": { "maxRequestsPerConnection": 2 } }),
        )
        .await;
        let waypoint = start(&world).await;
        let mut client = world.client(&waypoint).http1(&shop.vip).await;
        for _ in 0..6 {
            assert_eq!(client.get("/").await.status, 200);
        }
        assert_eq!(shop.app.counts().connections, 3, "{port_name}");
    }
}

#[tokio::test]
async fn retries_over_the_limit_are_not_made() {
    let mut world = MeshWorld::new();
    let shop = shop(&mut world, "http", json!({ "http": { "maxRetries": 1 } })).await;
    let rules = json!([{ "retry": { "attempts": 1, "codes": [503] }, "backendRefs": [backend("shop", 1)] }]);
    world.http_route("shop", "shop", rules);
    let waypoint = start(&world).await;
    let tunnel = world.client(&waypoint);
    let retried = soon("an answer", ask(&tunnel, &shop.vip, "/do/status/503"))
        .await
        .unwrap();
    assert_eq!(
        (retried.status.as_u16(), shop.app.counts().requests),
        (503, 2),
        "alone, it is retried"
    );
    assert_eq!(overflows(&waypoint, "retries").await, 0.0);
}

#[tokio::test]
async fn a_retry_budget_goes_before_the_limit() {
    // Without a budget the second try would be made, and with one of nothing none is.
    for (budget, tries, refused) in [
        (json!({}), 2, 0.0),
        (json!({ "percent": 0, "minRetryConcurrency": 0 }), 1, 1.0),
    ] {
        let mut world = MeshWorld::new();
        let shop = world.echo("shop", "v1", Reach::Clear).await;
        let pool = json!({ "http": { "maxRetries": 1 } });
        let policy = json!({ "connectionPool": pool, "retryBudget": budget });
        world.destination_rule("shop", json!({ "trafficPolicy": policy }));
        let rules = json!([{ "retry": { "attempts": 1, "codes": [503] }, "backendRefs": [backend("shop", 1)] }]);
        world.http_route("shop", "shop", rules);
        let waypoint = start(&world).await;
        let reply = world.client(&waypoint).get(&shop.vip, "/do/status/503").await;
        assert_eq!(
            (reply.status.as_u16(), shop.app.counts().requests),
            (503, tries),
            "{budget}"
        );
        assert_eq!(overflows(&waypoint, "retries").await, refused, "{budget}");
    }
}

#[tokio::test]
async fn tcp_connections_over_the_limit_are_closed() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("db", "tcp", Manner::Echo, Reach::Clear).await;
    let pool = json!({ "tcp": { "maxConnections": 1 } });
    world.destination_rule("db", json!({ "trafficPolicy": { "connectionPool": pool } }));
    let waypoint = start(&world).await;
    let tunnel = world.client(&waypoint);
    let mut first = tunnel.raw(&pod.vip).await;
    first.write_all(b"one").await.unwrap();
    let mut back = [0; 3];
    soon("the echo", first.read_exact(&mut back)).await.unwrap();
    let mut second = tunnel.raw(&pod.vip).await;
    let mut nothing = Vec::new();
    let _ = soon("the end", second.read_to_end(&mut nothing)).await;
    assert!(nothing.is_empty());
    assert_eq!(overflows(&waypoint, "connections").await, 1.0);
    drop(first);
    until("the place is free again", async || {
        let mut third = tunnel.raw(&pod.vip).await;
        third.write_all(b"two").await.is_ok() && soon("an echo or the end", third.read_exact(&mut back)).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_does_not_answer_a_connect_is_given_up_in_time() {
    let mut world = MeshWorld::new();
    // A listener whose queue is full answers no SYN; one that never accepts TLS is as silent.
    let silent = world.dead_pod("silent", Reach::HboneByTest);
    let _listener = std::net::TcpListener::bind((silent, 15008)).unwrap();
    let vip = world.service("shop", "http", &[silent]);
    let pool = json!({ "tcp": { "connectTimeout": "50ms" } });
    world.destination_rule("shop", json!({ "trafficPolicy": { "connectionPool": pool } }));
    let waypoint = start(&world).await;
    let reply = soon("a refusal", ask(&world.client(&waypoint), &vip, "/silent"))
        .await
        .unwrap();
    assert_eq!(reply.status, 503);
    assert_eq!(waypoint.logged_field("/silent", "response_flags").await, "UF");
}
