//! Promise: metrics and spans say to which Service a request was routed, as Istio's waypoint has it: the backend's, and
//! the one that it would have been routed to where it was refused before; `unknown` where no route leads anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::mesh_world::{MeshWorld, Reach, backend};
use integration_tests::peers::prometheus_text::Samples;
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::io::AsyncReadExt;

/// Requests (or ended connections) of each Service and status: `name status flags`.
fn counted(samples: &Samples, metric: &str) -> BTreeMap<String, f64> {
    let mut counted = BTreeMap::new();
    for sample in samples.find(metric, &[("reporter", "waypoint")]) {
        let label = |name: &str| sample.label(name).unwrap_or_default();
        let name = label("destination_service_name");
        let host = match name {
            "unknown" => "unknown".to_owned(),
            name => format!("{name}.{}.svc.cluster.local", label("destination_service_namespace")),
        };
        assert_eq!(label("destination_service"), host);
        let told = format!("{name} {} {}", label("response_code"), label("response_flags"));
        *counted.entry(told).or_default() += sample.value;
    }
    counted
}

async fn until_counted(waypoint: &Waypoint, metric: &str, total: f64) -> BTreeMap<String, f64> {
    let total_now = async || waypoint.scrape().await.sum(metric, &[("reporter", "waypoint")]);
    until("everything is counted", async || total_now().await == total).await;
    counted(&waypoint.scrape().await, metric)
}

fn rule(path: &str, more: Value) -> Value {
    let mut rule = json!({ "matches": [{ "path": { "type": "PathPrefix", "value": path } }] });
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

#[tokio::test]
async fn a_split_is_counted_at_each_of_its_services() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Hbone).await;
    let split = rule(
        "/split",
        json!({ "backendRefs": [backend("reviews-v1", 1), backend("reviews-v2", 1)] }),
    );
    world.http_route(
        "reviews",
        "reviews",
        json!([split, rule("/own", json!({ "backendRefs": [backend("reviews", 1)] }))]),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    let (mut first, mut second) = (0.0, 0.0);
    for _ in 0..40 {
        match client.get("/split").await.header("x-backend") {
            "v1" => first += 1.0,
            _ => second += 1.0,
        }
    }
    client.get("/own").await;
    let wanted = [("reviews", 1.0), ("reviews-v1", first), ("reviews-v2", second)];
    let wanted = BTreeMap::from(wanted.map(|(name, count)| (format!("{name} 200 -"), count)));
    assert_eq!(until_counted(&waypoint, "istio_requests_total", 41.0).await, wanted);
}

#[tokio::test]
async fn what_is_refused_is_counted_where_it_would_have_gone() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip]);
    world.service("reviews-empty", "http", &[]);
    let to = |name: &str| json!({ "backendRefs": [backend(name, 1)] });
    let redirect = json!({ "type": "RequestRedirect", "requestRedirect": { "path": { "type": "ReplaceFullPath", "replaceFullPath": "/" } } });
    world.http_route(
        "reviews",
        "reviews",
        json!([
            rule("/v1", to("reviews-v1")),
            rule("/empty", to("reviews-empty")),
            rule("/gone", to("no-such-service")),
            rule("/moved", json!({ "filters": [redirect] })),
        ]),
    );
    let paths = json!([{ "to": [{ "operation": { "paths": ["*/secret"] } }] }]);
    world.policy("secret", "reviews", "DENY", paths);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&reviews).await;
    let asked = [
        ("/v1", 200),
        ("/v1/secret", 403),
        ("/empty", 503),
        ("/empty/secret", 403),
        ("/gone", 500),
        ("/gone/secret", 403),
        ("/moved", 302),
        ("/moved/secret", 403),
        ("/elsewhere", 404),
    ];
    for (path, status) in asked {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
    let wanted = [
        ("reviews-empty 403 -", 1.0),
        ("reviews-empty 503 UH", 1.0),
        ("reviews-v1 200 -", 1.0),
        ("reviews-v1 403 -", 1.0),
        ("unknown 302 -", 1.0),
        ("unknown 403 -", 2.0),
        ("unknown 404 NR", 1.0),
        ("unknown 500 NC", 1.0),
    ];
    let wanted = BTreeMap::from(wanted.map(|(told, count)| (told.to_owned(), count)));
    assert_eq!(until_counted(&waypoint, "istio_requests_total", 9.0).await, wanted);
}

#[tokio::test]
async fn connections_are_counted_at_the_service_of_their_backend() {
    let mut world = MeshWorld::new();
    let front = world.tcp("front", "tcp", Manner::Echo, Reach::Hbone).await;
    let _behind = world.greeter("behind", "tcp").await;
    world.route(
        "TCPRoute",
        "front",
        "front",
        json!([{ "backendRefs": [backend("behind", 1)] }]),
    );
    let friends = json!([{ "from": [{ "source": { "namespaces": ["ops"] } }] }]);
    world.policy("no-ops", "front", "DENY", friends);
    let waypoint = world.start().await;
    for (namespace, answer) in [("demo", "behind"), ("ops", "")] {
        let mut seen = String::new();
        let mut tunnel = world.client_as(&waypoint, namespace, "client").raw(&front.vip).await;
        let read = soon("a greeting or the end", tunnel.read_to_string(&mut seen)).await;
        assert_eq!(seen, answer, "{namespace}: {read:?}");
    }
    let wanted = BTreeMap::from([("behind  -".to_owned(), 2.0)]);
    let closed = "istio_tcp_connections_closed_total";
    assert_eq!(until_counted(&waypoint, closed, 2.0).await, wanted);
}
