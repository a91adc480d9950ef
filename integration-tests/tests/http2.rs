//! Promise: HTTP/2 and gRPC pass: prior knowledge, every kind of call, trailers both ways, streams side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::{HeaderMap, HeaderValue, Version};
use integration_tests::peers::echo::{Echo, EchoMessage};
use integration_tests::peers::grpc_client::{EchoCodec, GrpcCall, call, status};
use integration_tests::peers::http_client::{HttpClient, post};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::waypoint_process::Waypoint;

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    async fn start(port_name: &str) -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo_as("echo", port_name, Reach::Hbone).await;
        let waypoint = world.start().await;
        Self { world, waypoint, echo }
    }

    async fn http2(&self) -> HttpClient {
        self.world.client(&self.waypoint).http2(&self.echo.vip).await
    }
}

fn message(text: &str, count: u32) -> EchoMessage {
    EchoMessage {
        text: text.into(),
        count,
    }
}

#[tokio::test]
async fn prior_knowledge_http2_on_a_port_named_http() {
    let mesh = Mesh::start("http").await;
    let mut client = mesh.http2().await;
    for i in 0..20 {
        let reply = client.send(post(&format!("/p/{i}"), "body")).await;
        assert_eq!((reply.version, reply.status.as_u16()), (Version::HTTP_2, 200));
        assert_eq!(
            (reply.field("path"), reply.field("body_bytes")),
            (format!("/p/{i}"), "4".into())
        );
        assert_eq!(reply.field("host"), "echo", "the authority is the application's");
    }
}

#[tokio::test]
async fn a_port_without_a_name_is_detected() {
    let mesh = Mesh::start("").await;
    let reply = mesh.http2().await.get("/two").await;
    assert_eq!((reply.status.as_u16(), reply.field("path")), (200, "/two".into()));
    let reply = mesh.world.client(&mesh.waypoint).get(&mesh.echo.vip, "/one").await;
    assert_eq!((reply.status.as_u16(), reply.field("path")), (200, "/one".into()));
}

#[tokio::test]
async fn unary() {
    let mesh = Mesh::start("grpc").await;
    let mut client = mesh.http2().await;
    for i in 0..20 {
        let (messages, trailers) = call(&mut client, "Unary", &format!("hello {i}"), 1).await;
        assert_eq!(messages, [message(&format!("v1: hello {i}"), 1)]);
        assert_eq!(status(&trailers), 0);
    }
    let counts = mesh.echo.app.counts();
    assert_eq!((counts.requests, counts.cancelled, counts.open), (20, 0, 0));
}

#[tokio::test]
async fn server_stream() {
    let mesh = Mesh::start("grpc").await;
    let (messages, trailers) = call(&mut mesh.http2().await, "ServerStream", "n", 500).await;
    let counts: Vec<_> = messages.iter().map(|m| m.count).collect();
    assert_eq!(counts, (1..=500).collect::<Vec<_>>());
    assert_eq!(status(&trailers), 0);
}

#[tokio::test]
async fn bidirectional_message_by_message_with_trailers_both_ways() {
    let mesh = Mesh::start("grpc").await;
    let mut client = mesh.http2().await;
    let mut call = GrpcCall::begin(&mut client, "Bidi", &message("0", 0)).await;
    for i in 0..50 {
        assert_eq!(call.receive().await, Some(message(&format!("v1: {i}"), 1)));
        call.send(&message(&(i + 1).to_string(), 0)).await;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    call.finish(trailers).await;
    let (messages, trailers) = call.rest().await;
    assert_eq!(messages, [message("v1: 50", 1)]);
    assert_eq!(status(&trailers), 0);
    assert_eq!(
        trailers.get("echo-x-checksum").map(HeaderValue::as_bytes),
        Some(&b"abc"[..]),
        "{trailers:?}"
    );
}

#[tokio::test]
async fn an_error_status_keeps_its_code_and_text() {
    let mesh = Mesh::start("grpc").await;
    let (messages, trailers) = call(&mut mesh.http2().await, "Fail", "no such review", 5).await;
    assert_eq!((messages.len(), status(&trailers)), (0, 5));
    assert_eq!(trailers["grpc-message"], "no such review");
}

#[tokio::test]
async fn calls_run_side_by_side_on_one_connection() {
    let mesh = Mesh::start("grpc").await;
    let mut client = mesh.http2().await;
    let mut calls = Vec::new();
    for i in 0..60 {
        calls.push(GrpcCall::begin(&mut client, "Bidi", &message(&i.to_string(), 0)).await);
    }
    for (i, call) in calls.iter_mut().enumerate().rev() {
        assert_eq!(call.receive().await.map(|m| m.text), Some(format!("v1: {i}")));
    }
    for mut call in calls {
        call.finish(HeaderMap::new()).await;
        assert_eq!(status(&call.rest().await.1), 0);
    }
}

#[tokio::test]
async fn a_grpc_library_gets_through() {
    let mesh = Mesh::start("grpc").await;
    let port = mesh.world.client(&mesh.waypoint).local_port(&mesh.echo.vip).await;
    let channel = tonic::transport::Endpoint::try_from(port.url(""))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/echo.Echo/ServerStream");
    let request = tonic::Request::new(message("hi", 3));
    let mut answers = grpc
        .server_streaming(request, path, EchoCodec)
        .await
        .unwrap()
        .into_inner();
    let mut texts = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        texts.push((answer.text, answer.count));
    }
    assert_eq!(texts, [1, 2, 3].map(|n| ("v1: hi".to_owned(), n)));
}

#[tokio::test]
async fn refusals_of_grpc_speak_grpc() {
    let mut world = MeshWorld::new();
    let echo = world.echo_as("echo", "grpc", Reach::Hbone).await;
    world.route(
        "GRPCRoute",
        "echo",
        "echo",
        serde_json::json!([{ "matches": [{ "method": { "service": "other.Service" } }],
        "backendRefs": [{ "name": "echo", "port": 80 }] }]),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&echo.vip).await;
    let (messages, trailers) = call(&mut client, "Unary", "x", 1).await;
    assert_eq!(
        (messages.len(), status(&trailers)),
        (0, 12),
        "no route is UNIMPLEMENTED: {trailers:?}"
    );
    assert_eq!(echo.app.counts().requests, 0);
}

/// gRPC clients keep one connection for ever: without a choice for each call, one pod would have all of them.
#[tokio::test]
async fn the_streams_of_one_connection_are_spread_over_the_pods() {
    let mut world = MeshWorld::new();
    let pods = [
        world.echo_as("a", "grpc", Reach::Hbone).await,
        world.echo_as("b", "grpc", Reach::Hbone).await,
        world.echo_as("c", "grpc", Reach::Hbone).await,
    ];
    let all = world.service("all", "grpc", &pods.each_ref().map(|pod| pod.ip));
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&all).await;
    let mut calls = Vec::new();
    for _ in 0..30 {
        let mut call = GrpcCall::begin(&mut client, "Bidi", &message("x", 0)).await;
        assert!(call.receive().await.is_some());
        calls.push(call);
    }
    // All are open: whoever has fewer takes the next.
    for pod in &pods {
        let requests = pod.app.counts().requests;
        assert!((6..=14).contains(&requests), "{requests} of 30");
    }
    for mut call in calls {
        call.finish(HeaderMap::new()).await;
        assert_eq!(status(&call.rest().await.1), 0);
    }
}

#[tokio::test]
async fn every_refusal_of_a_grpc_route_is_a_grpc_status() {
    let mut world = MeshWorld::new();
    let echo = world.echo_as("echo", "grpc", Reach::Hbone).await;
    world.service("empty", "grpc", &[]);
    let unreachable = world.dead_pod("dead", Reach::Hbone);
    world.service("dead", "grpc", &[unreachable]);
    let to = |method: &str, service: &str| {
        serde_json::json!({ "matches": [{ "method": { "service": "echo.Echo", "method": method } }],
            "backendRefs": [{ "name": service, "port": 80 }] })
    };
    let rules = [
        to("Unary", "echo"),
        to("NoEndpoint", "empty"),
        to("Unreachable", "dead"),
        to("NoBackend", "gone"),
    ];
    world.route("GRPCRoute", "echo", "echo", serde_json::json!(rules));
    let denied = serde_json::json!([{ "to": [{ "operation": { "paths": ["/echo.Echo/Denied"] } }] }]);
    world.policy("deny", "echo", "DENY", denied);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&echo.vip).await;
    for (method, code) in [
        ("Unary", 0),
        ("NoRoute", 12),
        ("NoEndpoint", 14),
        ("Unreachable", 14),
        ("NoBackend", 13),
        ("Denied", 7),
    ] {
        let (_, trailers) = call(&mut client, method, "x", 1).await;
        assert_eq!(status(&trailers), code, "{method}: {trailers:?}");
    }
}
