//! Promise: Telemetry resources decide what is told of which Service, at once and while requests go on: spans, labels,
//! the access log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get_with;
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::otlp::Collector;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use serde_json::{Value, json};

fn telemetry(world: &MeshWorld, name: &str, service: &str, mut spec: Value) {
    spec["targetRefs"] = json!([{ "group": "", "kind": "Service", "name": service }]);
    world.apply(
        &format!("telemetry-{name}.yaml"),
        json!({
            "apiVersion": "telemetry.istio.io/v1",
            "kind": "Telemetry",
            "metadata": { "name": name, "namespace": "demo" },
            "spec": spec,
        }),
    );
}

#[tokio::test]
async fn labels_change_on_a_running_waypoint_and_make_new_series() {
    let mut world = MeshWorld::new();
    let one = world.echo("one", "v1", Reach::Hbone).await;
    let two = world.echo("two", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut http = client.http1(&one.vip).await;
    assert_eq!(http.get("/").await.status, 200);
    telemetry(
        &world,
        "labels",
        "one",
        json!({ "metrics": [{ "overrides": [
            { "match": { "metric": "REQUEST_COUNT" }, "tagOverrides": {
                "source_principal": { "operation": "REMOVE" },
                "team": { "value": "'blue'" },
                "user": { "value": "has(request.headers['x-user']) ? request.headers['x-user'] : 'nobody'" },
            }},
            { "match": { "metric": "REQUEST_SIZE" }, "disabled": true },
        ]}]}),
    );
    // On the open connection, as soon as the change is in force.
    until("a series has the new labels", async || {
        http.send(get_with("/", &[("x-user", "ann")])).await;
        let labels = [("destination_service_name", "one"), ("team", "blue"), ("user", "ann")];
        let samples = waypoint.scrape().await;
        let found = samples.find("istio_requests_total", &labels).next().cloned();
        found.is_some_and(|sample| sample.label("source_principal").is_none())
    })
    .await;
    let sizes = waypoint
        .scrape()
        .await
        .sum("istio_request_bytes_count", &[("destination_service_name", "one")]);
    http.get("/").await;
    assert_eq!(client.get(&two.vip, "/").await.status, 200);
    until("the other Service is told of as ever", async || {
        let samples = waypoint.scrape().await;
        let two = [("destination_service_name", "two")];
        samples.sum(
            "istio_requests_total",
            &[("destination_service_name", "one"), ("user", "nobody")],
        ) >= 1.0
            && samples.sum("istio_request_bytes_count", &two) == 1.0
            && samples
                .find("istio_requests_total", &two)
                .all(|sample| sample.label("team").is_none())
    })
    .await;
    let after = waypoint
        .scrape()
        .await
        .sum("istio_request_bytes_count", &[("destination_service_name", "one")]);
    assert_eq!(after, sizes, "a disabled metric does not grow");
}

#[tokio::test]
async fn a_provider_of_mesh_config_gets_the_spans_of_one_service() {
    let collector = Collector::start().await;
    let mut world = MeshWorld::new();
    let traced = world.echo("traced", "v1", Reach::Hbone).await;
    let silent = world.echo("silent", "v1", Reach::Hbone).await;
    world.mesh_config(json!({ "extensionProviders": [{
        "name": "otel",
        "opentelemetry": { "service": "127.0.0.1", "port": collector.http.port(), "http": { "path": "/v1/traces" } },
    }]}));
    telemetry(
        &world,
        "spans",
        "traced",
        json!({ "tracing": [{
            "providers": [{ "name": "otel" }],
            "randomSamplingPercentage": 100,
            "customTags": {
                "team": { "literal": { "value": "blue" } },
                "user": { "header": { "name": "x-user", "defaultValue": "nobody" } },
            },
        }]}),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut http = client.http1(&silent.vip).await;
    let untouched = http.send(get_with("/", &[("traceparent", parent)])).await;
    assert_eq!(
        untouched.seen_header("traceparent").as_deref(),
        Some(parent),
        "nobody traces here"
    );
    let mut http = client.http1(&traced.vip).await;
    http.send(get_with("/", &[("x-user", "ann")])).await;
    let spans = collector.until("the spans", 2, |_| true).await;
    for span in &spans {
        assert_eq!(span.attribute("team").as_deref(), Some("blue"));
        assert_eq!(span.attribute("user").as_deref(), Some("ann"));
    }
    let service = |span: &integration_tests::peers::otlp::SeenSpan| span.attribute("istio.destination_service_name");
    assert!(spans.iter().filter_map(service).all(|name| name == "traced"));
    // And now no longer.
    telemetry(
        &world,
        "spans",
        "traced",
        json!({ "tracing": [{ "disableSpanReporting": true }] }),
    );
    until("spans are not reported any more", async || {
        let reply = http.send(get_with("/", &[("traceparent", parent)])).await;
        reply.seen_header("traceparent").as_deref() == Some(parent)
    })
    .await;
}

#[tokio::test]
async fn the_access_log_has_a_format_and_a_filter_of_its_own() {
    let mut world = MeshWorld::new();
    let logged = world.echo("logged", "v1", Reach::Hbone).await;
    let quiet = world.echo("quiet", "v1", Reach::Hbone).await;
    world.mesh_config(json!({ "extensionProviders": [{
        "name": "mine",
        "envoyFileAccessLog": { "path": "/dev/stdout", "logFormat": { "labels": {
            "status": "%RESPONSE_CODE%", "who": "%REQ(X-USER)%", "where": "%REQ(:PATH)%", "server": "%RESP(X-ECHO)%",
        }}},
    }]}));
    telemetry(
        &world,
        "log",
        "logged",
        json!({ "accessLogging": [{
            "providers": [{ "name": "mine" }],
            "filter": { "expression": "response.code >= 400 && request.url_path.startsWith('/do')" },
        }]}),
    );
    let waypoint = world.start_with(Launch::default()).await;
    let client = world.client(&waypoint);
    assert_eq!(client.get(&quiet.vip, "/do/status/418").await.status, 418);
    let mut http = client.http1(&logged.vip).await;
    assert_eq!(http.get("/fine").await.status, 200);
    assert_eq!(
        http.send(get_with("/do/status/404", &[("x-user", "ann")])).await.status,
        404
    );
    let line = waypoint
        .until_logged("the line", |line| line.contains("\"who\":\"ann\""))
        .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        line,
        json!({ "status": 404, "who": "ann", "where": "/do/status/404", "server": null })
    );
    let lines = waypoint
        .stdout()
        .iter()
        .filter(|line| line.contains("\"where\""))
        .count();
    assert_eq!(lines, 1, "{}", waypoint.log());
}
