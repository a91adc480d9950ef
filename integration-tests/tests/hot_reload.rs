//! Promise: edited manifests count from the next request, on open tunnels too, without a failed request; broken ones
//! change nothing and are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get;
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, Reach, backend};
use integration_tests::peers::waiting::until;
use serde_json::json;

#[tokio::test]
async fn a_shift_of_weights_under_load_loses_nothing() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip, v2.ip]);
    let weights = |a, b| json!([{ "backendRefs": [backend("reviews-v1", a), backend("reviews-v2", b)] }]);
    world.http_route("reviews", "reviews", weights(100, 0));
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut old = client.http1(&reviews).await;
    assert_eq!(old.get("/").await.header("x-backend"), "v1");
    let mut load = Load::start(&client, &reviews, 4);
    load.more(50).await;
    for step in [90, 50, 10] {
        world.http_route("reviews", "reviews", weights(step, 100 - step));
        load.more(50).await;
    }
    world.http_route("reviews", "reviews", weights(0, 100));
    // The connection that was opened under the first route sees the last one.
    let mut streak = 0;
    until("only v2 answers on the old connection", async || {
        streak = if old.get("/").await.header("x-backend") == "v2" {
            streak + 1
        } else {
            0
        };
        streak == 30
    })
    .await;
    assert!(!old.is_closed());
    let before = v1.app.counts().requests;
    load.more(50).await;
    assert_eq!(v1.app.counts().requests, before, "v1 has weight 0");
    let tally = load.stop().await;
    assert!(tally.all_good() >= 200);
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_state_and_is_told() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Clear).await;
    world.route_reviews_to("reviews-v2");
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    assert_eq!(
        waypoint.scrape().await.sum("waypoint_config_findings_errors", &[]),
        0.0,
        "{}",
        waypoint.log()
    );
    let head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n";
    let wrong_type = format!("{head}metadata: {{name: reviews, namespace: demo}}\nspec: 7\n");
    let unnamed = format!("{head}spec: {{}}\n");
    for broken in ["kind: HTTPRoute\nspec: [", "\u{0}\u{1}", &wrong_type, &unnamed] {
        world.apply("route-reviews.yaml", broken);
        until("the error is counted", async || {
            waypoint.scrape().await.sum("waypoint_config_findings_errors", &[]) >= 1.0
        })
        .await;
        for _ in 0..20 {
            assert_eq!(
                client.get("/").await.header("x-backend"),
                "v2",
                "the last good route stays after {broken:?}"
            );
        }
        waypoint
            .until_logged("the file's name", |line| line.contains("route-reviews.yaml"))
            .await;
        world.route_reviews_to("reviews-v1");
        until("the mended file counts", async || {
            client.get("/").await.header("x-backend") == "v1"
        })
        .await;
        world.route_reviews_to("reviews-v2");
        until("and the next", async || {
            client.get("/").await.header("x-backend") == "v2"
        })
        .await;
    }
    assert!(waypoint.scrape().await.sum("waypoint_config_rejected_total", &[]) >= 4.0);
}

/// The edit that a typo makes must not open what was closed.
#[tokio::test]
async fn a_broken_policy_does_not_open_the_door() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let no_admin = || json!([{ "to": [{ "operation": { "paths": ["/admin"] } }] }]);
    world.policy("no-admin", "echo", "DENY", no_admin());
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    assert_eq!(
        (
            client.get("/admin").await.status.as_u16(),
            client.get("/").await.status.as_u16()
        ),
        (403, 200)
    );
    type Edit = fn(&mut MeshWorld);
    let broken: [(&str, Edit); 4] = [
        ("text that is no YAML", |w| {
            w.apply("authorizationpolicy-no-admin.yaml", "kind: [")
        }),
        ("rules that are no list", |w| {
            w.policy("no-admin", "echo", "DENY", json!("all"))
        }),
        ("an unknown action", |w| {
            w.policy("no-admin", "echo", "DENNY", json!([{}]))
        }),
        ("an unknown field", |w| {
            w.policy(
                "no-admin",
                "echo",
                "DENY",
                json!([{ "to": [{ "operation": { "path": ["/admin"] } }] }]),
            )
        }),
    ];
    for (what, apply) in broken {
        apply(&mut world);
        until("it is told", async || {
            let samples = waypoint.scrape().await;
            let findings = ["errors", "warnings"].map(|k| samples.sum(&format!("waypoint_config_findings_{k}"), &[]));
            findings.iter().sum::<f64>() >= 1.0
        })
        .await;
        for _ in 0..5 {
            assert_eq!(client.get("/admin").await.status, 403, "{what}");
        }
        world.policy("no-admin", "echo", "DENY", no_admin());
        until("the mended policy counts", async || {
            let samples = waypoint.scrape().await;
            let clean = ["errors", "warnings"].map(|k| samples.sum(&format!("waypoint_config_findings_{k}"), &[]));
            clean[0] == 0.0 && client.get("/admin").await.status == 403 && client.get("/").await.status == 200
        })
        .await;
    }
}

#[tokio::test]
async fn endpoints_come_and_go() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Hbone).await;
    let reviews = world.service("reviews", "http", &[v1.ip]);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&reviews).await;
    assert_eq!(client.get("/").await.header("x-backend"), "v1");
    world.endpoints("reviews", "http", &[v2.ip]);
    until("v2 has taken over", async || {
        client.get("/").await.header("x-backend") == "v2"
    })
    .await;
    world.endpoints("reviews", "http", &[]);
    until("nobody is left", async || client.get("/").await.status == 503).await;
    world.endpoints("reviews", "http", &[v1.ip]);
    until("v1 is back", async || client.get("/").await.header("x-backend") == "v1").await;
}

#[tokio::test]
async fn a_new_service_and_its_route_appear_without_a_restart() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let late = world.service("late", "http", &[echo.ip]);
    until("the new Service is served", async || {
        let Ok(tunnel) = client.dial(&late.authority(), http::HeaderMap::new()).await else {
            return false;
        };
        let mut client = integration_tests::peers::http_client::HttpClient::http1(tunnel, "late")
            .await
            .unwrap();
        client.try_send(get("/")).await.is_ok_and(|r| r.status == 200)
    })
    .await;
    let generation = waypoint.scrape().await.sum("waypoint_config_generation", &[]);
    assert!(generation >= 2.0, "generation {generation}");
}
