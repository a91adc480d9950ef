//! The peers without a waypoint between them: what fails here is not the waypoint's fault.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderMap;
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::destination_tunnel::DestinationTunnel;
use integration_tests::peers::echo::{Digest, Echo};
use integration_tests::peers::envoy::Envoy;
use integration_tests::peers::grpc_client::{call, status};
use integration_tests::peers::http_client::{HttpClient, big, get, get_with, post};
use integration_tests::peers::loopback::Subnet;
use integration_tests::peers::mesh_world::Vip;
use integration_tests::peers::otlp::Collector;
use integration_tests::peers::pki::Pki;
use integration_tests::peers::prometheus_text::Samples;
use integration_tests::peers::rotel::Rotel;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A pod whose tunnel believes that `demo/waypoint` is the waypoint, and a client that is it.
async fn tunnels() -> (ClientTunnel, DestinationTunnel, Echo, Subnet, Pki) {
    let (subnet, pki) = (Subnet::lease(), Pki::new("cluster.local"));
    let echo = Echo::start(subnet.pod(1), 9080, "echo", "v1").await;
    let destination = DestinationTunnel::start(&pki, subnet.pod(1), "demo", "waypoint", "demo").await;
    let client = ClientTunnel::new((subnet.pod(1), 15008).into(), &pki, "demo", "demo", "waypoint");
    (client, destination, echo, subnet, pki)
}

#[tokio::test]
async fn http_both_ways_through_both_tunnels() {
    let (client, destination, echo, _subnet, _pki) = tunnels().await;
    let authority = echo.address().to_string();
    let tunnel = client.dial(&authority, HeaderMap::new()).await.unwrap();
    let mut http1 = HttpClient::http1(tunnel, "echo").await.unwrap();
    assert_eq!(http1.get("/x").await.field("path"), "/x");
    let reply = http1.send(http::Request::post("/").body(big(3 << 20)).unwrap()).await;
    assert_eq!(reply.field("body_bytes"), (3 << 20).to_string());
    let tunnel = client.dial(&authority, HeaderMap::new()).await.unwrap();
    let mut http2 = HttpClient::http2(tunnel, "echo").await.unwrap();
    assert_eq!(http2.send(post("/y", "abc")).await.field("body_bytes"), "3");
    let (messages, trailers) = call(&mut http2, "ServerStream", "hi", 3).await;
    assert_eq!((messages.len(), status(&trailers)), (3, 0));
    assert_eq!((destination.connections(), destination.tunnels()), (1, 2));
}

#[tokio::test]
async fn the_destination_lets_in_the_waypoint_only_and_only_to_itself() {
    let (client, destination, echo, subnet, pki) = tunnels().await;
    let other = format!("{}:9080", subnet.pod(2));
    assert!(client.dial(&other, HeaderMap::new()).await.is_err());
    let stranger = ClientTunnel::new((subnet.pod(1), 15008).into(), &pki, "demo", "demo", "stranger");
    assert!(
        stranger
            .dial(&echo.address().to_string(), HeaderMap::new())
            .await
            .is_err()
    );
    assert_eq!(destination.refusals().len(), 2, "{:?}", destination.refusals());
}

#[tokio::test]
async fn the_echo_counts_what_is_cancelled() {
    let subnet = Subnet::lease();
    let echo = Echo::start(subnet.pod(1), 9080, "echo", "v1").await;
    let socket = TcpStream::connect(echo.address()).await.unwrap();
    let mut client = HttpClient::http1(socket, "echo").await.unwrap();
    assert_eq!(client.get("/do/status/204").await.status, 204);
    assert_eq!(client.get("/do/trailers").await.status, 200);
    let hanging = tokio::spawn(async move { client.try_send(get("/do/hang")).await.map(|r| r.status) });
    echo.until("it hangs", |c| c.open == 1 && c.cancelled == 0).await;
    hanging.abort();
    let counts = echo.until("it is gone", |c| c.open == 0).await;
    assert_eq!((counts.requests, counts.cancelled, counts.connections), (3, 1, 1));
}

#[tokio::test]
async fn trailers_of_the_echo_need_te() {
    let subnet = Subnet::lease();
    let echo = Echo::start(subnet.pod(1), 9080, "echo", "v1").await;
    let mut client = HttpClient::http1(TcpStream::connect(echo.address()).await.unwrap(), "echo")
        .await
        .unwrap();
    let reply = client.send(get_with("/do/trailers", &[("te", "trailers")])).await;
    assert_eq!(reply.trailers["x-name"], "echo");
    let mut digest = Digest::default();
    digest.add(&reply.body);
    assert_eq!(reply.trailers["x-digest"], digest.hex());
}

/// Envoy as client and as destination, with each other: proves the configurations that the interop tests use.
#[tokio::test]
async fn envoy_speaks_hbone_with_us_and_with_itself() {
    let (client, destination, echo, subnet, pki) = tunnels().await;
    let pod2 = subnet.pod(2);
    let Some(_server) = Envoy::destination_tunnel(&pki, ("demo", "waypoint"), pod2, "demo", echo.address()).await
    else {
        return;
    };
    let to_envoy: SocketAddr = (pod2, 15008).into();
    let our_client = ClientTunnel::new(to_envoy, &pki, "demo", "demo", "waypoint");
    let tunnel = our_client
        .dial(&format!("{pod2}:9080"), HeaderMap::new())
        .await
        .unwrap();
    assert_eq!(
        HttpClient::http1(tunnel, "echo")
            .await
            .unwrap()
            .get("/ours")
            .await
            .field("path"),
        "/ours"
    );
    let vip = |ip| Vip {
        name: "echo".into(),
        ip,
        port: 9080,
    };
    for (hbone, vip) in [
        (to_envoy, vip(pod2)),
        ((subnet.pod(1), 15008).into(), vip(subnet.pod(1))),
    ] {
        let envoy = Envoy::client_tunnel(&pki, ("demo", "waypoint"), hbone, "demo", &vip)
            .await
            .unwrap();
        let socket = TcpStream::connect(envoy.address).await.unwrap();
        let reply = HttpClient::http1(socket, "echo").await.unwrap().get("/envoy").await;
        assert_eq!(reply.field("path"), "/envoy");
    }
    assert!(destination.tunnels() >= 1); // one of them is the probe for Envoy's listener
    drop(client);
}

/// One span in each trace, over HTTP and over gRPC, to our collector and to rotel.
#[tokio::test]
async fn the_collectors_take_spans() {
    let ours = Collector::start().await;
    export_both(ours.http, ours.grpc).await;
    ours.until("both spans", 2, |s| s.service == "test" && s.span.name == "span")
        .await;
    let Some(rotel) = Rotel::start().await else { return };
    export_both(rotel.http, rotel.grpc).await;
    for byte in [1, 2u8] {
        rotel.until_printed(&format!("{byte:02x}").repeat(16)).await;
    }
}

async fn export_both(http: SocketAddr, grpc: SocketAddr) {
    let socket = TcpStream::connect(http).await.unwrap();
    let mut post = post("/v1/traces", one_span(1).encode_to_vec());
    post.headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/x-protobuf"));
    let reply = HttpClient::http1(socket, "collector").await.unwrap().send(post).await;
    assert!(reply.status.is_success(), "{reply:?}");
    let mut client = TraceServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    client.export(one_span(2)).await.unwrap();
}

fn one_span(byte: u8) -> ExportTraceServiceRequest {
    let service = KeyValue {
        key: "service.name".into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue("test".into())),
        }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: vec![byte; 16],
        span_id: vec![byte; 8],
        name: "span".into(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    }];
    let resource = Some(Resource {
        attributes: vec![service],
        ..Resource::default()
    });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource,
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

#[test]
fn prometheus_text_is_read() {
    let text = "# HELP a b\na{x=\"1\",y=\"q\\\"},{\"} 2\na{x=\"2\"} 3e0 1700000000\nb 4\n";
    let samples = Samples::parse(text);
    assert_eq!(
        (
            samples.sum("a", &[]),
            samples.sum("a", &[("y", "q\"},{")]),
            samples.sum("b", &[])
        ),
        (5.0, 2.0, 4.0)
    );
}
