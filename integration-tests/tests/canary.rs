//! Promise: weights are what is measured, and a share without a backend fails only for its share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get_with;
use integration_tests::peers::mesh_world::{MeshWorld, Reach, backend};
use serde_json::json;
use std::collections::BTreeMap;

/// Answers by `x-backend` (or status when not 200), over one keep-alive connection.
async fn measure(
    world: &MeshWorld,
    vip: &integration_tests::peers::mesh_world::Vip,
    requests: u32,
) -> BTreeMap<String, u32> {
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut connection = client.http1(vip).await;
    let mut seen = BTreeMap::new();
    for i in 0..requests {
        let reply = connection.get(&format!("/reviews/{i}")).await;
        let who = if reply.status == 200 {
            reply.header("x-backend").to_owned()
        } else {
            reply.status.as_str().to_owned()
        };
        *seen.entry(who).or_default() += 1;
    }
    seen
}

/// Five standard deviations of a binomial share: wrong once in two million runs.
fn assert_share(seen: &BTreeMap<String, u32>, who: &str, share: f64) {
    let n = f64::from(seen.values().sum::<u32>());
    let got = f64::from(seen.get(who).copied().unwrap_or(0));
    let (mean, deviation) = (n * share, (n * share * (1.0 - share)).sqrt());
    assert!(
        (got - mean).abs() <= 5.0 * deviation,
        "{who}: {got} of {n}, wanted {mean:.0} ± {:.0}: {seen:?}",
        5.0 * deviation
    );
}

#[tokio::test]
async fn ninety_to_ten_through_tunnels() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip, v2.ip]);
    let rules = json!([{ "backendRefs": [backend("reviews-v1", 90), backend("reviews-v2", 10)] }]);
    world.http_route("reviews", "reviews", rules);
    let seen = measure(&world, &reviews, 2000).await;
    assert_share(&seen, "v1", 0.9);
    assert_share(&seen, "v2", 0.1);
    assert_eq!(seen.len(), 2, "{seen:?}");
    for pod in [v1, v2] {
        assert_eq!(pod.tunnel.unwrap().refusals(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn weight_zero_gets_nothing() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Clear).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Clear).await;
    let reviews = world.service("reviews", "http", &[v1.ip, v2.ip]);
    let rules = json!([{ "backendRefs": [backend("reviews-v1", 1), backend("reviews-v2", 0)] }]);
    world.http_route("reviews", "reviews", rules);
    let seen = measure(&world, &reviews, 200).await;
    assert_eq!(seen, BTreeMap::from([("v1".to_owned(), 200)]));
    assert_eq!(v2.app.counts().requests, 0);
}

#[tokio::test]
async fn an_invalid_backend_fails_its_share_with_500_and_an_empty_one_with_503() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Clear).await;
    let reviews = world.service("reviews", "http", &[v1.ip]);
    world.service("reviews-empty", "http", &[]);
    let backends = [
        backend("reviews-v1", 50),
        backend("no-such-service", 30),
        backend("reviews-empty", 20),
    ];
    world.http_route("reviews", "reviews", json!([{ "backendRefs": backends }]));
    let seen = measure(&world, &reviews, 600).await;
    assert_share(&seen, "v1", 0.5);
    assert_share(&seen, "500", 0.3);
    assert_share(&seen, "503", 0.2);
}

#[tokio::test]
async fn a_header_picks_the_version_before_weights_do() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Clear).await;
    world.http_route("reviews", "reviews", json!([
        { "backendRefs": [backend("reviews-v1", 1)] },
        { "matches": [{ "headers": [{ "name": "x-tester", "value": "yes" }] }], "backendRefs": [backend("reviews-v2", 1)] },
    ]));
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    for _ in 0..5 {
        assert_eq!(client.get("/a").await.header("x-backend"), "v1");
        assert_eq!(
            client
                .send(get_with("/a", &[("x-tester", "yes")]))
                .await
                .header("x-backend"),
            "v2"
        );
        assert_eq!(
            client
                .send(get_with("/a", &[("x-tester", "no")]))
                .await
                .header("x-backend"),
            "v1"
        );
    }
}

#[tokio::test]
async fn pods_of_one_service_share_its_load() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Clear).await;
    let reviews = world.service("reviews", "http", &[v1.ip, v2.ip]);
    let seen = measure(&world, &reviews, 200).await;
    // LEAST_REQUEST with one request at a time is a coin toss; no pod may be left out.
    assert_share(&seen, "v1", 0.5);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["v1", "v2"]);
}
