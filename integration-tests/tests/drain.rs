//! Promise: SIGTERM ends no request before its time, and ends the process as soon as none is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::{Reply, get};
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Signal};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Far below the default grace of 30 s, far above what an idle exit takes.
const PROMPTLY: Duration = Duration::from_secs(8);

#[tokio::test]
async fn an_idle_waypoint_leaves_at_once() {
    let world = MeshWorld::new();
    let waypoint = world.start().await;
    waypoint.signal(Signal::Term);
    let status = waypoint.exit_within(PROMPTLY).await;
    assert!(status.success(), "{status}\n{}", waypoint.log());
}

#[tokio::test]
async fn an_idle_keep_alive_connection_does_not_hold_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let (mut http1, mut http2) = (client.http1(&echo.vip).await, client.http2(&echo.vip).await);
    assert_eq!(
        (http1.get("/").await.status, http2.get("/").await.status),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    waypoint.signal(Signal::Term);
    assert!(waypoint.exit_within(PROMPTLY).await.success());
    http1.closed().await;
    http2.closed().await;
}

#[tokio::test]
async fn requests_in_flight_finish() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let (mut http1, mut http2) = (client.http1(&echo.vip).await, client.http2(&echo.vip).await);
    let mut held = client.http1(&echo.vip).await;
    let waiting = tokio::spawn(async move { (http1.try_send(get("/do/gate/a")).await, http1) });
    let waiting2 = tokio::spawn(async move { http2.try_send(get("/do/gate/a")).await });
    echo.app.gates().arrived("a", 2).await;
    let half = soon("a head", held.begin(get("/do/held/b"))).await.unwrap();
    waypoint.signal(Signal::Term);
    until("readiness is withdrawn", async || !waypoint.is_ready().await).await;
    assert_eq!(waypoint.exited(), None, "requests are in flight");
    echo.app.gates().open("a");
    let (reply, _http1) = soon("the HTTP/1 answer", waiting).await.unwrap();
    let reply2 = soon("the HTTP/2 answer", waiting2).await.unwrap();
    assert_eq!(
        [reply.unwrap().status, reply2.unwrap().status],
        [http::StatusCode::OK; 2]
    );
    assert_eq!(waypoint.exited(), None, "one answer is still on its way");
    echo.app.gates().open("b");
    assert_eq!(
        soon("the rest", Reply::read(half)).await.unwrap().text(),
        "first,last of b"
    );
    assert!(waypoint.exit_within(PROMPTLY).await.success());
}

#[tokio::test]
async fn bytes_in_flight_finish() {
    let mut world = MeshWorld::new();
    let pod = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut tunnel = world.client(&waypoint).raw(&pod.vip).await;
    tunnel.write_all(b"1").await.unwrap();
    soon("an echo", tunnel.read_exact(&mut [0])).await.unwrap();
    waypoint.signal(Signal::Term);
    until("readiness is withdrawn", async || !waypoint.is_ready().await).await;
    tunnel.write_all(b"2").await.unwrap();
    soon("an echo while draining", tunnel.read_exact(&mut [0]))
        .await
        .unwrap();
    tunnel.shutdown().await.unwrap();
    assert_eq!(soon("the end", tunnel.read(&mut [0])).await.unwrap(), 0);
    drop(tunnel);
    assert!(waypoint.exit_within(PROMPTLY).await.success());
}

#[tokio::test]
async fn the_grace_period_bounds_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start_with(Launch::default().arg("--drain-grace", 2)).await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let hanging = tokio::spawn(async move { client.try_send(get("/do/hang")).await });
    echo.app.until("the request is there", |c| c.open == 1).await;
    let start = Instant::now();
    waypoint.signal(Signal::Term);
    waypoint.exit_within(PROMPTLY).await;
    assert!(
        start.elapsed() >= Duration::from_millis(1900),
        "cut after {:?}, grace is 2 s",
        start.elapsed()
    );
    let _ = soon("the hanging request ends", hanging).await.unwrap();
}

#[tokio::test]
async fn no_request_fails_when_the_waypoint_drains_under_load() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut load = Load::start(&client, &echo.vip, 4);
    load.more(100).await;
    waypoint.signal(Signal::Term);
    assert!(waypoint.exit_within(PROMPTLY).await.success());
    drop(load); // its workers now find nobody: that is another test's business
    let counts = echo.app.counts();
    assert_eq!(
        counts.cancelled, 0,
        "a request that had reached the backend was cut: {counts:?}"
    );
}

/// Kubernetes tells clients of a leaving pod late: until then they must be served, not refused.
#[tokio::test]
async fn clients_that_have_not_heard_yet_are_served_while_it_drains() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let waiting = tokio::spawn(async move { client.try_send(get("/do/gate/a")).await });
    echo.app.gates().arrived("a", 1).await;
    waypoint.signal(Signal::Term);
    until("readiness is withdrawn", async || !waypoint.is_ready().await).await;
    for _ in 0..3 {
        assert_eq!(world.client(&waypoint).get(&echo.vip, "/late").await.status, 200);
    }
    echo.app.gates().open("a");
    assert_eq!(soon("the answer", waiting).await.unwrap().unwrap().status, 200);
    assert!(waypoint.exit_within(PROMPTLY).await.success());
}
