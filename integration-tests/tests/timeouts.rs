//! Promise: a request that takes longer than its route allows ends then, visibly, and its upstream request with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http_body_util::BodyExt;
use integration_tests::peers::echo::{Echo, EchoMessage};
use integration_tests::peers::grpc_client::{GrpcCall, call, status};
use integration_tests::peers::http_client::{HttpClient, Reply, get, post};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, backend};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    /// An echo backend behind a rule with these timeouts.
    async fn start(port_name: &str, timeouts: serde_json::Value) -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo_as("echo", port_name, Reach::Hbone).await;
        let rules = json!([{ "timeouts": timeouts, "backendRefs": [backend("echo", 1)] }]);
        world.http_route("echo", "echo", rules);
        let waypoint = world.start_with(Launch::default().access_log()).await;
        Self { world, waypoint, echo }
    }

    async fn clients(&self) -> [HttpClient; 2] {
        let client = self.world.client(&self.waypoint);
        [client.http1(&self.echo.vip).await, client.http2(&self.echo.vip).await]
    }
}

/// A backend that hangs at its first `hangs` requests, answers 503 at the next `fails`, then 200; and its count of requests.
async fn moody(world: &mut MeshWorld, hangs: u32, fails: u32) -> (Pod<Scripted>, Arc<AtomicU32>) {
    let seen = Arc::<AtomicU32>::default();
    let counted = seen.clone();
    let script = move |mut connection: RawHttp<TcpStream>| {
        let seen = counted.clone();
        async move {
            while let Ok(head) = connection.head().await {
                connection.body(&head).await.unwrap();
                let n = seen.fetch_add(1, Ordering::SeqCst);
                let status = match n {
                    n if n < hangs => std::future::pending().await,
                    n if n < hangs.saturating_add(fails) => 503,
                    _ => 200,
                };
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                connection.send(answer).await.unwrap();
            }
        }
    };
    (world.script("moody", script).await, seen)
}

async fn ask_moody(
    world: &mut MeshWorld,
    rule: serde_json::Value,
    request: http::Request<integration_tests::peers::http_client::ClientBody>,
) -> (Reply, Duration, Waypoint) {
    let mut rule = rule;
    rule["backendRefs"] = json!([backend("moody", 1)]);
    let vip = world.service("shop", "http", &[]);
    world.http_route("shop", "shop", json!([rule]));
    let waypoint = world.start_with(Launch::default().access_log()).await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    let began = Instant::now();
    let reply = soon("an answer", client.send(request)).await;
    (reply, began.elapsed(), waypoint)
}

#[tokio::test]
async fn the_request_timeout_is_504_and_cancels_upstream() {
    let mesh = Mesh::start("http", json!({ "request": "200ms" })).await;
    for (i, mut client) in mesh.clients().await.into_iter().enumerate() {
        let began = Instant::now();
        let reply = soon("an answer", client.send(post("/do/hang", "body"))).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (504, "upstream request timeout"),
            "{reply:?}"
        );
        assert!(
            began.elapsed() >= Duration::from_millis(200),
            "after {:?}",
            began.elapsed()
        );
        mesh.echo
            .app
            .until("the upstream request is cancelled", |c| {
                c.open == 0 && c.cancelled == i as u64 + 1
            })
            .await;
        assert_eq!(
            client.get("/next").await.status,
            200,
            "the client's connection stays of use"
        );
    }
    assert_eq!(mesh.waypoint.logged_field("/do/hang", "response_flags").await, "UT");
}

#[tokio::test]
async fn no_timeout_is_the_default_and_zero_means_none() {
    let mesh = Mesh::start("http", json!({ "request": "0s", "backendRequest": "0s" })).await;
    let [mut client, _] = mesh.clients().await;
    assert_eq!(soon("an answer", client.get("/do/delay/300")).await.status, 200);
}

#[tokio::test]
async fn the_request_timeout_covers_all_retries() {
    let mut world = MeshWorld::new();
    let (_moody, seen) = moody(&mut world, 0, u32::MAX).await;
    let rule =
        json!({ "timeouts": { "request": "400ms" }, "retry": { "attempts": 10, "codes": [503], "backoff": "100ms" } });
    let (reply, took, waypoint) = ask_moody(&mut world, rule, get("/x")).await;
    assert_eq!(reply.status, 504, "{reply:?}");
    assert!(took >= Duration::from_millis(400), "{took:?}");
    let tries = seen.load(Ordering::SeqCst);
    assert!(
        (2..=4).contains(&tries),
        "{tries} tries with pauses of at least 100 ms in 400 ms"
    );
    assert_eq!(waypoint.logged_field("/x", "response_flags").await, "UT");
}

#[tokio::test]
async fn the_backend_timeout_is_per_try() {
    let rule = json!({ "timeouts": { "request": "15s", "backendRequest": "200ms" }, "retry": { "attempts": 2 } });
    for request in [get("/x"), post("/x", "held")] {
        let mut world = MeshWorld::new();
        let (_moody, seen) = moody(&mut world, 2, 0).await;
        let (reply, took, _waypoint) = ask_moody(&mut world, rule.clone(), request).await;
        assert_eq!((reply.status.as_u16(), seen.load(Ordering::SeqCst)), (200, 3));
        assert!(took >= Duration::from_millis(400), "{took:?}");
    }
}

/// A slow backend is not to be loaded threefold because nobody said otherwise.
#[tokio::test]
async fn a_try_that_timed_out_is_not_repeated_without_a_policy() {
    let mut world = MeshWorld::new();
    let (_moody, seen) = moody(&mut world, u32::MAX, 0).await;
    let rule = json!({ "timeouts": { "backendRequest": "200ms" } });
    let (reply, _, waypoint) = ask_moody(&mut world, rule, get("/x")).await;
    assert_eq!((reply.status.as_u16(), seen.load(Ordering::SeqCst)), (504, 1));
    assert_eq!(waypoint.logged_field("/x", "response_flags").await, "UT");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_breaks_off_and_does_not_look_complete() {
    let mesh = Mesh::start("http", json!({ "request": "300ms" })).await;
    for (i, mut client) in mesh.clients().await.into_iter().enumerate() {
        let answer = soon("a head in time", client.begin(get("/do/held/never")))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let first = soon("a first piece", body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert_eq!(&first[..], b"first,");
        let end = soon("an end", body.frame()).await;
        assert!(matches!(end, Some(Err(_))), "not the end of an answer: {end:?}");
        mesh.echo
            .app
            .until("the upstream request is cancelled", |c| {
                c.open == 0 && c.cancelled == i as u64 + 1
            })
            .await;
    }
    assert_eq!(
        mesh.waypoint.logged_field("/do/held/never", "response_flags").await,
        "UT"
    );
}

#[tokio::test]
async fn grpc_hears_deadline_exceeded() {
    let mut world = MeshWorld::new();
    let _moody = world
        .script_as("moody", "grpc", |connection: RawHttp<TcpStream>| async move {
            let mut connection = h2::server::handshake(connection.into_io()).await.unwrap();
            let mut held = Vec::new();
            while let Some(Ok(call)) = connection.accept().await {
                held.push(call);
            }
        })
        .await;
    let vip = world.service("shop", "grpc", &[]);
    let rules = json!([{ "timeouts": { "request": "200ms" }, "backendRefs": [backend("moody", 1)] }]);
    world.http_route("shop", "shop", rules);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&vip).await;
    for _ in 0..2 {
        let (messages, trailers) = call(&mut client, "Unary", "hello", 1).await;
        assert_eq!((messages.len(), status(&trailers)), (0, 4), "{trailers:?}");
    }
}

/// A stream that has begun cannot be given a status any more: it is reset, never ended as if all were well.
#[tokio::test]
async fn a_grpc_stream_that_takes_too_long_is_reset() {
    let mesh = Mesh::start("grpc", json!({ "request": "400ms" })).await;
    let [_, mut client] = mesh.clients().await;
    let message = EchoMessage {
        text: "x".into(),
        count: 0,
    };
    let mut call = GrpcCall::begin(&mut client, "Bidi", &message).await;
    assert!(call.receive().await.is_some());
    let rest = soon("an end", tokio::spawn(call.rest())).await;
    assert!(rest.is_err(), "a reset, not {rest:?}");
    mesh.echo.app.until("the upstream call has gone", |c| c.open == 0).await;
}
