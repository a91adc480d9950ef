//! Promise: our HBONE is Envoy's HBONE, as a client's tunnel and as a destination's, for HTTP/1.1, gRPC and TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderMap;
use integration_tests::peers::echo::EchoMessage;
use integration_tests::peers::envoy::Envoy;
use integration_tests::peers::grpc_client::{GrpcCall, call, status};
use integration_tests::peers::http_client::{HttpClient, big};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach, Vip};
use integration_tests::peers::tcp_backend::{BANNER, Manner};
use integration_tests::peers::waiting::soon;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

async fn speak_http1<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: IO) {
    let mut client = HttpClient::http1(io, "echo").await.unwrap();
    for i in 0..20 {
        assert_eq!(client.get(&format!("/{i}")).await.field("path"), format!("/{i}"));
    }
    let reply = client.send(http::Request::post("/").body(big(2 << 20)).unwrap()).await;
    assert_eq!(reply.field("body_bytes"), (2 << 20).to_string());
    assert_eq!(client.get("/do/big/3000000").await.body.len(), 3_000_000);
}

async fn speak_grpc<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: IO) {
    let mut client = HttpClient::http2(io, "echo").await.unwrap();
    for _ in 0..5 {
        let (messages, trailers) = call(&mut client, "Unary", "hi", 1).await;
        assert_eq!((messages.len(), status(&trailers)), (1, 0));
    }
    assert_eq!(call(&mut client, "ServerStream", "hi", 100).await.0.len(), 100);
    let message = EchoMessage {
        text: "x".into(),
        count: 0,
    };
    let mut bidi = GrpcCall::begin(&mut client, "Bidi", &message).await;
    for _ in 0..10 {
        assert!(bidi.receive().await.is_some());
        bidi.send(&message).await;
    }
    bidi.finish(HeaderMap::new()).await;
    assert_eq!(status(&bidi.rest().await.1), 0);
}

async fn speak_tcp<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    let mut banner = vec![0; BANNER.len()];
    soon("the banner", io.read_exact(&mut banner)).await.unwrap();
    io.write_all(b"hello").await.unwrap();
    io.shutdown().await.unwrap();
    let mut got = Vec::new();
    soon("the echo and the end", io.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"hello");
}

#[tokio::test]
async fn envoy_is_the_client() {
    let mut world = MeshWorld::new();
    let http = world.echo("echo", "v1", Reach::Hbone).await;
    let grpc = world.echo_as("grpc", "grpc", Reach::Hbone).await;
    let tcp = world.tcp("db", "tcp", Manner::ServerFirst, Reach::Hbone).await;
    let waypoint = world.start().await;
    let through = async |vip: &Vip| {
        let envoy = Envoy::client_tunnel(&world.pki, (NAMESPACE, "client"), waypoint.hbone, NAMESPACE, vip).await?;
        let socket = TcpStream::connect(envoy.address).await.unwrap();
        Some((envoy, socket))
    };
    let Some((_envoy, socket)) = through(&http.vip).await else {
        return;
    };
    speak_http1(socket).await;
    let (_envoy, socket) = through(&grpc.vip).await.unwrap();
    speak_grpc(socket).await;
    let (_envoy, socket) = through(&tcp.vip).await.unwrap();
    speak_tcp(socket).await;
}

#[tokio::test]
async fn envoy_is_the_destination() {
    let mut world = MeshWorld::new();
    let http = world.echo("echo", "v1", Reach::HboneByTest).await;
    let grpc = world.echo_as("grpc", "grpc", Reach::HboneByTest).await;
    let tcp = world.tcp("db", "tcp", Manner::ServerFirst, Reach::HboneByTest).await;
    let mut envoys = Vec::new();
    for (name, ip) in [("echo", http.ip), ("grpc", grpc.ip), ("db", tcp.ip)] {
        let app = (ip, integration_tests::peers::mesh_world::POD_PORT).into();
        match Envoy::destination_tunnel(&world.pki, (NAMESPACE, name), ip, NAMESPACE, app).await {
            Some(envoy) => envoys.push(envoy),
            None => return,
        }
    }
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    speak_http1(client.raw(&http.vip).await).await;
    speak_grpc(client.raw(&grpc.vip).await).await;
    speak_tcp(client.raw(&tcp.vip).await).await;
}

/// A refusal must be an HTTP answer inside the tunnel also as Envoy sees it.
#[tokio::test]
async fn an_application_behind_envoy_sees_the_refusal() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.policy(
        "nobody",
        "echo",
        "DENY",
        serde_json::json!([{ "to": [{ "operation": { "paths": ["/no"] } }] }]),
    );
    let waypoint = world.start().await;
    let envoy = Envoy::client_tunnel(&world.pki, (NAMESPACE, "client"), waypoint.hbone, NAMESPACE, &echo.vip).await;
    let Some(envoy) = envoy else { return };
    let mut client = HttpClient::http1(TcpStream::connect(envoy.address).await.unwrap(), "echo")
        .await
        .unwrap();
    let reply = client.get("/no").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "RBAC: access denied"));
    assert_eq!(client.get("/yes").await.status, 200);
}
