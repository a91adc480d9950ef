//! Promise: a real OpenTelemetry collector understands our spans, over gRPC and over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get_with;
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::rotel::Rotel;
use integration_tests::peers::waypoint_process::Launch;

async fn spans_arrive(protocol: &str, trace: &str) {
    let Some(rotel) = Rotel::start().await else { return };
    let endpoint = if protocol == "grpc" { rotel.grpc } else { rotel.http };
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("WAYPOINT_TRACE_SAMPLING", "1.0");
    let waypoint = world.start_with(launch).await;
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    assert_eq!(
        client
            .send(get_with("/", &[("traceparent", &traceparent)]))
            .await
            .status,
        200
    );
    rotel.until_printed(trace).await;
}

#[tokio::test]
async fn over_grpc() {
    spans_arrive("grpc", "11111111111111111111111111111111").await;
}

#[tokio::test]
async fn over_http() {
    spans_arrive("http/protobuf", "22222222222222222222222222222222").await;
}
