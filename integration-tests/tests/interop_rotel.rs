//! Promise: a real OpenTelemetry collector understands our spans, over gRPC and over HTTP, and shows one trace from the
//! client through the waypoint to the destination.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get_with;
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::rotel::Rotel;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use opentelemetry_proto::tonic::trace::v1::Span;

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn span(trace: &str, id: &str, parent: &str, name: &str) -> Span {
    Span {
        trace_id: bytes(trace),
        span_id: bytes(id),
        parent_span_id: bytes(parent),
        name: name.to_owned(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    }
}

/// The client and the destination are applications that tell their own spans: the waypoint's stand between them.
async fn one_trace(protocol: &str, trace: &str) {
    let Some(rotel) = Rotel::start().await else { return };
    let endpoint = if protocol == "grpc" { rotel.grpc } else { rotel.http };
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}"))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("WAYPOINT_TRACE_SAMPLING", "0");
    let waypoint = world.start_with(launch).await;
    let (client, destination) = ("b7ad6b7169203331", "00f067aa0ba902b7");
    rotel.take(span(trace, client, "", "client")).await;
    let traceparent = format!("00-{trace}-{client}-01");
    let mut http = world.client(&waypoint).http1(&echo.vip).await;
    let reply = http.send(get_with("/", &[("traceparent", &traceparent)])).await;
    assert_eq!(reply.status, 200);
    let seen = reply.seen_header("traceparent").unwrap();
    let above = seen.split('-').nth(2).unwrap();
    rotel.take(span(trace, destination, above, "destination")).await;
    until("the collector has all four spans", async || {
        rotel.spans(trace).len() >= 4
    })
    .await;
    let spans = rotel.spans(trace);
    let parent = |id: &str| {
        let found = spans.iter().find(|(known, _)| known == id);
        found.unwrap_or_else(|| panic!("no span {id}: {spans:?}")).1.clone()
    };
    let attempt = parent(destination);
    assert_eq!(attempt, above, "the destination's parent is the waypoint's attempt");
    assert_eq!(
        parent(&parent(&attempt)),
        client,
        "which is below the waypoint's server span, below the client's"
    );
}

#[tokio::test]
async fn over_grpc() {
    one_trace("grpc", "11111111111111111111111111111111").await;
}

#[tokio::test]
async fn over_http() {
    one_trace("http/protobuf", "22222222222222222222222222222222").await;
}
