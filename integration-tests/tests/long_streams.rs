//! Promise: what lasts does not outlive a policy against it: downloads, uploads, gRPC streams and answers that are waited
//! for end when the config denies them, and go on when it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use integration_tests::peers::echo::EchoMessage;
use integration_tests::peers::grpc_client::{GrpcCall, status};
use integration_tests::peers::http_client::{HttpClient, fed, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Reach, Vip, backend};
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::json;

async fn generation(waypoint: &Waypoint) -> f64 {
    waypoint.scrape().await.sum("waypoint_config_generation", &[])
}

async fn speaking(world: &MeshWorld, waypoint: &Waypoint, vip: &Vip, http2: bool) -> HttpClient {
    let client = world.client(waypoint);
    if http2 {
        client.http2(vip).await
    } else {
        client.http1(vip).await
    }
}

/// Writes a policy that denies `path` to those with this header, and waits until it is in force.
async fn deny(world: &mut MeshWorld, waypoint: &Waypoint, path: &str, user: &str) {
    let before = generation(waypoint).await;
    let rules = json!([{ "to": [{ "operation": { "paths": [path] } }],
        "when": [{ "key": "request.headers[x-user]", "values": [user] }] }]);
    world.policy(&format!("not-{user}"), "echo", "DENY", rules);
    until("the policy is in force", async || generation(waypoint).await > before).await;
}

/// The next bytes of an answer; `None` when it ended, in whatever way.
async fn next(answer: &mut Incoming) -> Option<Bytes> {
    let frame = soon("the next of an answer, or its end", answer.frame()).await;
    frame?.ok()?.into_data().ok()
}

async fn denials(waypoint: &Waypoint) -> f64 {
    waypoint.scrape().await.sum("waypoint_policy_denials_total", &[])
}

/// The headers that routes and filters change are not those that policies are asked about again.
fn rename_user(world: &mut MeshWorld) {
    world.http_route(
        "renames",
        "echo",
        json!([{ "filters": [{ "type": "RequestHeaderModifier", "requestHeaderModifier":
            { "set": [{ "name": "x-user", "value": "nobody" }] } }], "backendRefs": [backend("echo", 1)] }]),
    );
}

#[tokio::test]
async fn an_answer_that_lasts_ends_when_a_policy_comes_against_it() {
    for http2 in [false, true] {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        rename_user(&mut world);
        let waypoint = world.start().await;
        let mut client = speaking(&world, &waypoint, &echo.vip, http2).await;
        // The endpoint sends its first chunk, and then nothing for as long as the test wants.
        let request = get_with("/do/held/on", &[("x-user", "alice")]);
        let answer = soon("the head", client.begin(request)).await.unwrap();
        let mut answer = answer.into_body();
        assert!(next(&mut answer).await.is_some(), "HTTP/2: {http2}");
        deny(&mut world, &waypoint, "/do/held/*", "eve").await;
        assert_eq!(echo.app.counts().open, 1, "it is not hers, HTTP/2: {http2}");
        deny(&mut world, &waypoint, "/do/held/*", "alice").await;
        assert_eq!(next(&mut answer).await, None, "HTTP/2: {http2}");
        until("the endpoint is told", async || echo.app.counts().cancelled == 1).await;
        until("the denial is counted", async || denials(&waypoint).await >= 1.0).await;
    }
}

#[tokio::test]
async fn what_is_still_waited_for_is_refused() {
    for http2 in [false, true] {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        let waypoint = world.start().await;
        let mut client = speaking(&world, &waypoint, &echo.vip, http2).await;
        let waiting = tokio::spawn(async move { client.send(get_with("/do/hang", &[("x-user", "alice")])).await });
        until("it has reached the endpoint", async || echo.app.counts().open == 1).await;
        deny(&mut world, &waypoint, "/do/hang", "alice").await;
        let reply = soon("the refusal", waiting).await.unwrap();
        assert_eq!(reply.status, 403, "HTTP/2: {http2}");
        assert_eq!(reply.text(), "RBAC: access denied");
    }
}

#[tokio::test]
async fn a_grpc_stream_ends_when_a_policy_comes_against_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo_as("echo", "grpc", Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&echo.vip).await;
    let message = EchoMessage {
        text: "once".into(),
        count: 0,
    };
    let mut call = GrpcCall::begin(&mut client, "Bidi", &message).await;
    assert!(call.receive().await.is_some());
    let before = generation(&waypoint).await;
    let other = json!([{ "to": [{ "operation": { "paths": ["/echo.Echo/Unary"] } }] }]);
    world.policy("unary", "echo", "DENY", other);
    until("the policy is in force", async || generation(&waypoint).await > before).await;
    call.send(&message).await;
    assert!(call.receive().await.is_some(), "another method is denied");
    let this = json!([{ "to": [{ "operation": { "paths": ["/echo.Echo/Bidi"] } }] }]);
    world.policy("bidi", "echo", "DENY", this);
    until("the endpoint is told", async || echo.app.counts().cancelled == 1).await;
    until("the denial is counted", async || denials(&waypoint).await >= 1.0).await;
}

#[tokio::test]
async fn an_upload_that_waits_ends_when_a_policy_comes_against_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let (bytes, body) = fed();
    let request = http::Request::post("/up").header("x-user", "alice").body(body).unwrap();
    bytes.send(Ok(Frame::data(Bytes::from_static(b"some")))).await.unwrap();
    let sending = tokio::spawn(async move { client.send(request).await });
    until("it has begun to arrive", async || echo.app.counts().body_bytes == 4).await;
    deny(&mut world, &waypoint, "/up", "alice").await;
    assert_eq!(soon("the refusal", sending).await.unwrap().status, 403);
    drop(bytes);
}

#[tokio::test]
async fn a_service_that_goes_ends_nothing() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&echo.vip).await;
    let mut call = GrpcCall::begin(&mut client, "Bidi", &EchoMessage::default()).await;
    assert!(call.receive().await.is_some());
    let before = generation(&waypoint).await;
    world.remove("service-echo.yaml");
    until("it is gone", async || generation(&waypoint).await > before).await;
    call.send(&EchoMessage::default()).await;
    assert!(call.receive().await.is_some());
    call.finish(HeaderMap::new()).await;
    assert_eq!(status(&call.rest().await.1), 0);
}
