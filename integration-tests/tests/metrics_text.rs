//! Promise: what Prometheus scrapes after a fixed mix of traffic is this very text, Kiali's graph finds its labels in it,
//! and a scrape of 50,000 series neither disturbs requests nor lies in memory whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::grpc_client::call;
use integration_tests::peers::http_client::{HttpClient, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Reach, backend};
use integration_tests::peers::prometheus_text::Samples;
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::json;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What Kiali groups `istio_requests_total` by for its graph.
const KIALI: [&str; 17] = [
    "source_cluster",
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_cluster",
    "destination_service_namespace",
    "destination_service",
    "destination_service_name",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
];

async fn scrape(waypoint: &Waypoint, accept: &str) -> (String, String) {
    let socket = TcpStream::connect(waypoint.metrics).await.unwrap();
    let mut client = HttpClient::http1(socket, "metrics").await.unwrap();
    let reply = client.send(get_with("/stats/prometheus", &[("accept", accept)])).await;
    assert_eq!(reply.status, 200);
    (reply.header("content-type").to_owned(), reply.text().to_owned())
}

/// Lines that are the same in every run: without times, sizes that depend on ports, and what /proc tells.
fn normalised(text: &str) -> String {
    let varying = [
        "process_",
        "waypoint_tunnels ",
        "waypoint_connections ",
        "waypoint_upstream_",
    ];
    let mut out = String::new();
    for line in text.lines() {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let is_sized = name.ends_with("_bucket") || name.ends_with("_sum");
        let is_request_size = name.starts_with("istio_request_bytes");
        if varying.iter().any(|start| line.starts_with(start)) || (is_sized && !is_request_size) {
            continue;
        }
        // Of our own metrics those that counted something: a new one that counts something else is no change.
        let is_own = line.contains("waypoint_") && !line.starts_with("istio_");
        if line.contains(" process_") || (is_own && (line.starts_with('#') || line.ends_with(" 0"))) {
            continue;
        }
        let line = line.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        match line.rsplit_once(' ') {
            Some((series, _)) if name.contains("_timestamp_seconds") && !line.starts_with('#') => {
                out.push_str(series);
                out.push_str(" N");
            }
            _ => out.push_str(&line),
        }
        out.push('\n');
    }
    out
}

fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    for (number, (wanted, found)) in wanted.lines().zip(found.lines()).enumerate() {
        assert_eq!(wanted, found, "{}:{}", path.display(), number + 1);
    }
    assert_eq!(wanted.lines().count(), found.lines().count(), "lines");
}

#[tokio::test]
async fn a_fixed_mix_reads_as_it_always_did() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let grpc = world.echo_as("greeter", "grpc", Reach::Hbone).await;
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip]);
    world.service("empty", "http", &[]);
    world.http_route(
        "reviews",
        "reviews",
        json!([
            { "matches": [{ "path": { "value": "/reviews" } }], "backendRefs": [backend("reviews-v1", 1)] },
            { "matches": [{ "path": { "value": "/empty" } }], "backendRefs": [backend("empty", 1)] },
        ]),
    );
    world.policy(
        "no-secrets",
        "reviews",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/reviews/secret"] } }] }]),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);

    let mut http = client.http1(&reviews).await;
    for (path, status) in [
        ("/reviews/1", 200),
        ("/reviews/2", 200),
        ("/nowhere", 404),
        ("/empty", 503),
        ("/reviews/secret", 403),
    ] {
        assert_eq!(http.get(path).await.status, status, "{path}");
    }
    let mut http2 = client.http2(&grpc.vip).await;
    call(&mut http2, "ServerStream", "x", 3).await;
    call(&mut http2, "Fail", "no", 9).await;
    let mut tunnel = client.raw(&db.vip).await;
    tunnel.write_all(b"12345").await.unwrap();
    tunnel.shutdown().await.unwrap();
    soon("the echo", tunnel.read_to_end(&mut Vec::new())).await.unwrap();
    drop(tunnel);
    until("all is counted", async || {
        let samples = waypoint.scrape().await;
        samples.sum("istio_requests_total", &[]) == 7.0
            && samples.sum("istio_tcp_connections_closed_total", &[]) == 1.0
            && samples.sum("waypoint_requests_in_flight", &[]) == 0.0
    })
    .await;

    let (content_type, text) = scrape(&waypoint, "*/*").await;
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    golden("stats-prometheus.txt", &normalised(&text));
    let samples = Samples::parse(&text);
    let mut rows = Vec::new();
    for sample in samples.find("istio_requests_total", &[]) {
        let row = KIALI.map(|label| sample.label(label).unwrap_or_else(|| panic!("no {label}")).to_owned());
        assert!(!rows.contains(&row), "{row:?} comes twice");
        rows.push(row);
    }
    assert_eq!(rows.len(), 6, "{rows:#?}");
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(samples.sum(name, &[]) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn who_asks_for_openmetrics_gets_exemplars_with_trace_ids() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    // Nobody takes the spans; they are sampled all the same.
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .env("WAYPOINT_TRACE_SAMPLING", "0");
    let waypoint = world.start_with(launch).await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    client.send(get_with("/", &[("traceparent", &parent)])).await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let exemplar = format!(" # {{trace_id=\"{trace}\"}} ");
    until("the request left an exemplar", async || {
        let (content_type, text) = scrape(&waypoint, accept).await;
        assert_eq!(
            content_type,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        assert!(text.ends_with("# EOF\n"));
        text.lines()
            .any(|line| line.contains(&exemplar) && line.starts_with("istio_request_duration_milliseconds_bucket"))
    })
    .await;
}

#[tokio::test]
async fn a_scrape_of_50_000_series_is_streamed_while_requests_go_on() {
    let mut world = MeshWorld::new();
    let one = world.echo("one", "v1", Reach::Hbone).await;
    let two = world.echo("two", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for pod in [&one, &two] {
        let mut http = client.http1(&pod.vip).await;
        for status in 200..600 {
            if status != 204 && status != 304 && status != 205 {
                assert_eq!(http.get(&format!("/do/status/{status}")).await.status, status);
            }
        }
    }
    let before = waypoint.peak_resident_bytes();
    until("all is counted", async || {
        waypoint.scrape().await.sum("istio_requests_total", &[]) == 794.0
    })
    .await;
    let scraping = async {
        for _ in 0..3 {
            let (_, text) = scrape(&waypoint, "*/*").await;
            let samples = text.lines().filter(|line| !line.starts_with('#')).count();
            assert!(samples > 50_000, "{samples}");
            assert!(text.ends_with("# EOF\n"));
        }
    };
    let mut http = client.http1(&one.vip).await;
    let mut served = 0;
    tokio::pin!(scraping);
    loop {
        tokio::select! {
            () = &mut scraping => break,
            reply = http.get("/meanwhile") => {
                assert_eq!(reply.status, 200);
                served += 1;
            }
        }
    }
    assert!(served > 0, "requests go on");
    let grown = waypoint.peak_resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "three scrapes of 50 MB cost {grown} bytes");
}
