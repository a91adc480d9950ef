//! Promise: a collector of traces and metrics is reached inside TLS and inside the mesh; the context goes on in the forms
//! that came; and one that hangs costs spans, never requests or memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get_with;
use integration_tests::peers::loopback::free_port;
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::otlp::Collector;
use integration_tests::peers::tls_server::{PublicCa, TlsServer};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use serde_json::json;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn over_tls(protocol: &str) {
    let collector = Collector::start().await;
    let behind = if protocol == "grpc" {
        collector.grpc
    } else {
        collector.http
    };
    let (ca, port) = (PublicCa::new(), free_port());
    let server = TlsServer::start((Ipv4Addr::LOCALHOST, port), &ca, &["localhost"], None, behind).await;
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ca.pem");
    std::fs::write(&roots, ca.pem()).unwrap();
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{port}"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE", roots.display());
    let waypoint = world.start_with(launch).await;
    let mut http = world.client(&waypoint).http1(&echo.vip).await;
    http.send(get_with("/", &[("traceparent", PARENT)])).await;
    collector.until("the spans", 2, |_| true).await;
    assert_eq!(server.names(), ["localhost"]);
}

#[tokio::test]
async fn a_collector_inside_tls_over_grpc() {
    over_tls("grpc").await;
}

#[tokio::test]
async fn a_collector_inside_tls_over_http() {
    over_tls("http/protobuf").await;
}

#[tokio::test]
async fn a_collector_that_is_a_service_of_the_mesh_is_reached_in_its_tunnel() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    // It takes whatever it is sent, and no name server knows it.
    let collector = world.echo("collector", "v1", Reach::Hbone).await;
    let host = "collector.demo.svc.cluster.local";
    let launch = Launch::default()
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{host}:{}", collector.vip.port),
        )
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let waypoint = world.start_with(launch).await;
    let mut http = world.client(&waypoint).http1(&echo.vip).await;
    http.send(get_with("/", &[("traceparent", PARENT)])).await;
    until("the spans are exported", async || {
        waypoint.scrape().await.sum("waypoint_spans_exported_total", &[]) == 2.0
    })
    .await;
}

#[tokio::test]
async fn b3_goes_on_as_it_came_with_our_span_in_it() {
    let collector = Collector::start().await;
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.grpc))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let waypoint = world.start_with(launch).await;
    let mut http = world.client(&waypoint).http1(&echo.vip).await;
    let trace = "463ac35c9f6413ad48485a3953bb6124";
    let single = format!("{trace}-a2fb4a1d1a96d312-1");
    let reply = http
        .send(get_with("/", &[("b3", &single), ("baggage", "user=ann")]))
        .await;
    let spans = collector.until("the spans", 2, |span| span.trace_id() == trace).await;
    let attempt = spans.iter().find(|span| span.span.kind == 3).unwrap();
    let id = attempt.span_id();
    assert_eq!(reply.seen_header("b3").unwrap(), format!("{trace}-{id}-1"));
    assert_eq!(reply.seen_header("traceparent").unwrap(), format!("00-{trace}-{id}-01"));
    assert_eq!(
        reply.seen_header("baggage").as_deref(),
        Some("user=ann"),
        "the application's baggage stays"
    );
}

#[tokio::test]
async fn what_happened_on_the_way_is_told_as_events() {
    let collector = Collector::start().await;
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let copy = world.echo("copy", "v1", Reach::Hbone).await;
    world.http_route(
        "mirrored",
        "echo",
        json!([{
            "filters": [{ "type": "RequestMirror", "requestMirror": { "backendRef": { "name": "copy", "port": copy.vip.port } } }],
            "backendRefs": [{ "name": "echo", "port": echo.vip.port }],
        }]),
    );
    world.policy(
        "no",
        "echo",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/secret"] } }] }]),
    );
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.grpc))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let waypoint = world.start_with(launch).await;
    let mut http = world.client(&waypoint).http1(&echo.vip).await;
    assert_eq!(http.send(get_with("/", &[("traceparent", PARENT)])).await.status, 200);
    assert_eq!(
        http.send(get_with("/secret", &[("traceparent", PARENT)])).await.status,
        403
    );
    let servers = collector
        .until("both server spans", 2, |span| span.span.kind == 2)
        .await;
    let events: Vec<_> = servers.iter().flat_map(|span| &span.span.events).collect();
    let told = |name: &str| {
        let event = events.iter().find(|event| event.name == name);
        format!(
            "{:?}",
            event.unwrap_or_else(|| panic!("no {name}: {events:?}")).attributes
        )
    };
    assert!(
        told("mirror").contains("copy.demo.svc.cluster.local"),
        "{}",
        told("mirror")
    );
    assert!(told("denied").contains("policy[no]"), "{}", told("denied"));
}

#[tokio::test]
async fn a_collector_that_hangs_costs_spans_and_nothing_else() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let launch = Launch::default()
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{}", hanging.local_addr().unwrap()),
        )
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "500")
        .env("WAYPOINT_TRACE_SAMPLING", "1");
    let waypoint = world.start_with(launch).await;
    let mut http = world.client(&waypoint).http1(&echo.vip).await;
    let mut send = async |count: usize| {
        for _ in 0..count {
            assert_eq!(http.get("/").await.status, 200);
        }
    };
    send(200).await;
    let before = waypoint.peak_resident_bytes();
    send(2_800).await;
    until("spans are dropped", async || {
        waypoint.scrape().await.sum("waypoint_spans_dropped_total", &[]) > 0.0
    })
    .await;
    let grown = waypoint.peak_resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    drop(hanging);
}

#[tokio::test]
async fn metrics_are_pushed_by_the_names_they_are_scraped_by() {
    let collector = Collector::start().await;
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    for (protocol, endpoint) in [("grpc", collector.grpc), ("http/protobuf", collector.http)] {
        let launch = Launch::default()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_METRICS_EXPORTER", "otlp")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
            .env("OTEL_SERVICE_NAME", protocol);
        let waypoint = world.start_with(launch).await;
        assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
        until("the collector has the request", async || {
            collector.metric(protocol, "istio_requests_total") == Some(1.0)
        })
        .await;
    }
}
