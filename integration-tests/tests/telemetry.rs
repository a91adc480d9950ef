//! Promise: every request shows in Istio's metrics by its exact labels, in spans over both OTLP protocols, and in the
//! access log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::{HeaderMap, HeaderValue};
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::grpc_client::call;
use integration_tests::peers::http_client::{HttpClient, Reply, get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, Vip, backend};
use integration_tests::peers::otlp::Collector;
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What ztunnel tells about the source.
fn baggage() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let text = "k8s.cluster.name=Kubernetes,k8s.namespace.name=demo,k8s.deployment.name=shop,service.name=shop-app,service.version=v7";
    headers.insert("baggage", HeaderValue::from_static(text));
    headers
}

async fn http1(client: &ClientTunnel, vip: &Vip) -> HttpClient {
    let tunnel = client.dial(&vip.authority(), baggage()).await.unwrap();
    HttpClient::http1(tunnel, &vip.host_port()).await.unwrap()
}

#[tokio::test]
async fn istio_requests_total_has_istios_labels() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip]);
    let waypoint = world.start().await;
    let mut client = http1(&world.client(&waypoint), &reviews).await;
    for _ in 0..7 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(client.get("/do/status/418").await.status, 418);
    let labels = [
        ("reporter", "waypoint"),
        ("source_workload", "shop"),
        ("source_canonical_service", "shop-app"),
        ("source_workload_namespace", "demo"),
        ("source_principal", "spiffe://cluster.local/ns/demo/sa/client"),
        ("destination_workload", "reviews-v1"),
        ("destination_workload_namespace", "demo"),
        ("destination_principal", "spiffe://cluster.local/ns/demo/sa/reviews-v1"),
        ("destination_app", "reviews-v1"),
        ("destination_version", "v1"),
        ("destination_service", "reviews.demo.svc.cluster.local"),
        ("destination_canonical_service", "reviews-v1"),
        ("destination_canonical_revision", "v1"),
        ("destination_service_name", "reviews"),
        ("destination_service_namespace", "demo"),
        ("request_protocol", "http"),
        ("response_flags", "-"),
        ("connection_security_policy", "mutual_tls"),
    ];
    let count = |code: &'static str| {
        let waypoint = &waypoint;
        async move {
            waypoint.scrape().await.sum(
                "istio_requests_total",
                &[&labels[..], &[("response_code", code)]].concat(),
            )
        }
    };
    until("the requests are counted", async || {
        count("200").await == 7.0 && count("418").await == 1.0
    })
    .await;
    let samples = waypoint.scrape().await;
    let sample = samples.find("istio_requests_total", &labels).next().unwrap();
    let order: Vec<_> = sample.labels.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = [
        "reporter",
        "source_workload",
        "source_canonical_service",
        "source_canonical_revision",
        "source_workload_namespace",
        "source_principal",
        "source_app",
        "source_version",
        "source_cluster",
        "destination_workload",
        "destination_workload_namespace",
        "destination_principal",
        "destination_app",
        "destination_version",
        "destination_service",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_service_name",
        "destination_service_namespace",
        "destination_cluster",
        "request_protocol",
        "response_code",
        "grpc_response_status",
        "response_flags",
        "connection_security_policy",
    ];
    assert_eq!(order, wanted);
    for name in [
        "istio_request_duration_milliseconds_count",
        "istio_request_bytes_count",
        "istio_response_bytes_count",
    ] {
        assert_eq!(
            samples.sum(name, &labels),
            8.0,
            "{name}; there are {:?}",
            samples.names_with("istio_")
        );
    }
    assert_eq!(samples.find("istio_build", &[]).count(), 1);
}

#[tokio::test]
async fn refusals_carry_istios_response_flags() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.service("empty", "http", &[]);
    let routed = |path: &str, service: &str| json!({ "matches": [{ "path": { "value": path } }], "backendRefs": [backend(service, 1)] });
    world.http_route(
        "echo",
        "echo",
        json!([routed("/echo", "echo"), routed("/empty", "empty")]),
    );
    world.policy(
        "no",
        "echo",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/echo/secret"] } }] }]),
    );
    let waypoint = world.start().await;
    let mut client = http1(&world.client(&waypoint), &echo.vip).await;
    for (path, code, flags, service) in [
        ("/nowhere", "404", "NR", "unknown"),
        ("/empty", "503", "UH", "empty"),
        ("/echo/secret", "403", "-", "echo"),
    ] {
        assert_eq!(client.get(path).await.status.as_str(), code);
        let labels = [
            ("response_code", code),
            ("response_flags", flags),
            ("destination_service_name", service),
        ];
        until(&format!("{path} is counted as {code} {flags}"), async || {
            waypoint.scrape().await.sum("istio_requests_total", &labels) == 1.0
        })
        .await;
    }
}

#[tokio::test]
async fn grpc_and_tcp_have_their_own_series() {
    let mut world = MeshWorld::new();
    let echo = world.echo_as("echo", "grpc", Reach::Hbone).await;
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut http2 = client.http2(&echo.vip).await;
    call(&mut http2, "ServerStream", "x", 5).await;
    call(&mut http2, "Fail", "no", 9).await;
    let mut tunnel = client.raw(&db.vip).await;
    tunnel.write_all(b"12345").await.unwrap();
    tunnel.shutdown().await.unwrap();
    soon("the echo", tunnel.read_to_end(&mut Vec::new())).await.unwrap();
    drop(tunnel);
    until("all is counted", async || {
        let samples = waypoint.scrape().await;
        let grpc = |status| {
            samples.sum(
                "istio_requests_total",
                &[("request_protocol", "grpc"), ("grpc_response_status", status)],
            )
        };
        let tcp = |name| samples.sum(name, &[("destination_service_name", "db")]);
        grpc("0") == 1.0
            && grpc("9") == 1.0
            && samples.sum("istio_response_messages_total", &[("destination_service_name", "echo")]) == 5.0
            && samples.sum("istio_request_messages_total", &[("destination_service_name", "echo")]) == 2.0
            && tcp("istio_tcp_connections_opened_total") == 1.0
            && tcp("istio_tcp_connections_closed_total") == 1.0
            && tcp("istio_tcp_received_bytes_total") == 5.0
            && tcp("istio_tcp_sent_bytes_total") == 5.0
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_stays_open_is_counted_while_it_does() {
    let mut world = MeshWorld::new();
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut tunnel = world.client(&waypoint).raw(&db.vip).await;
    let mut answer = [0; 5];
    tunnel.write_all(b"12345").await.unwrap();
    soon("the echo", tunnel.read_exact(&mut answer)).await.unwrap();
    let sum = async |name| waypoint.scrape().await.sum(name, &[("destination_service_name", "db")]);
    until("its bytes are counted", async || {
        sum("istio_tcp_sent_bytes_total").await == 5.0 && sum("istio_tcp_received_bytes_total").await == 5.0
    })
    .await;
    assert_eq!(sum("istio_tcp_connections_closed_total").await, 0.0);
    tunnel.write_all(b"678").await.unwrap();
    tunnel.shutdown().await.unwrap();
    soon("the rest", tunnel.read_to_end(&mut Vec::new())).await.unwrap();
    drop(tunnel);
    until("the rest is counted once", async || {
        sum("istio_tcp_connections_closed_total").await == 1.0 && sum("istio_tcp_received_bytes_total").await == 8.0
    })
    .await;
}

async fn traced(protocol: &str) -> (Collector, MeshWorld, Pod<Echo>, Waypoint) {
    let collector = Collector::start().await;
    let endpoint = if protocol == "grpc" {
        collector.grpc
    } else {
        collector.http
    };
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("WAYPOINT_TRACE_SAMPLING", "1.0");
    let waypoint = world.start_with(launch).await;
    (collector, world, echo, waypoint)
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn one_traced_request(protocol: &str) {
    let (collector, world, echo, waypoint) = traced(protocol).await;
    let mut client = http1(&world.client(&waypoint), &echo.vip).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let reply: Reply = client
        .send(get_with("/traced?x=1", &[("traceparent", &traceparent)]))
        .await;
    let spans = collector
        .until("two spans of the trace", 2, |s| s.trace_id() == TRACE)
        .await;
    let kind = |kind: SpanKind| spans.iter().find(move |s| s.span.kind == kind as i32).unwrap();
    let (server, client_span) = (kind(SpanKind::Server), kind(SpanKind::Client));
    assert_eq!(server.parent_id(), PARENT);
    assert_eq!(client_span.parent_id(), server.span_id());
    let sent = reply.seen_header("traceparent").unwrap();
    assert_eq!(
        sent,
        format!("00-{TRACE}-{}-01", client_span.span_id()),
        "the backend continues the client span"
    );
    assert_eq!(
        server.attribute("istio.destination_workload").as_deref(),
        Some("echo"),
        "{server:?}"
    );
    assert_eq!(server.attribute("istio.source_namespace").as_deref(), Some("demo"));
    let status = server
        .attribute("http.status_code")
        .or_else(|| server.attribute("http.response.status_code"));
    assert_eq!(status.as_deref(), Some("200"), "{server:?}");
    assert!(server.span.end_time_unix_nano > server.span.start_time_unix_nano);
}

#[tokio::test]
async fn spans_over_grpc() {
    one_traced_request("grpc").await;
}

#[tokio::test]
async fn spans_over_http() {
    one_traced_request("http/protobuf").await;
}

#[tokio::test]
async fn a_caller_that_says_not_sampled_is_respected() {
    let (collector, world, echo, waypoint) = traced("grpc").await;
    let mut client = http1(&world.client(&waypoint), &echo.vip).await;
    let no = format!("00-{TRACE}-{PARENT}-00");
    let reply = client.send(get_with("/unsampled", &[("traceparent", &no)])).await;
    assert!(reply.seen_header("traceparent").unwrap().ends_with("-00"));
    client.get("/sampled").await;
    collector
        .until("the spans of the next request", 2, |s| s.trace_id() != TRACE)
        .await;
    assert_eq!(collector.spans().iter().filter(|s| s.trace_id() == TRACE).count(), 0);
}

#[tokio::test]
async fn a_collector_that_is_not_there_delays_nobody() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("WAYPOINT_TRACE_SAMPLING", "1.0");
    let waypoint = world.start_with(launch).await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    for _ in 0..100 {
        assert_eq!(soon("an answer", client.send(get("/"))).await.status, 200);
    }
}

#[tokio::test]
async fn the_access_log_is_json_lines_on_stdout() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world
        .start_with(Launch::default().env("WAYPOINT_ACCESS_LOG", "json"))
        .await;
    let mut client = http1(&world.client(&waypoint), &echo.vip).await;
    assert_eq!(client.get("/logged?a=1").await.status, 200);
    let line = waypoint
        .until_logged("an access log line", |l| l.contains("/logged"))
        .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let text = |name: &str| line[name].to_string().trim_matches('"').to_owned();
    assert_eq!(
        (text("method"), text("path"), text("response_code")),
        ("GET".into(), "/logged?a=1".into(), "200".into()),
        "{line}"
    );
}

#[tokio::test]
async fn the_access_log_is_off_by_default() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/logged").await.status, 200);
    until("the request is counted", async || {
        waypoint.scrape().await.sum("istio_requests_total", &[]) == 1.0
    })
    .await;
    assert!(!waypoint.log().contains("/logged"), "{}", waypoint.log());
}
