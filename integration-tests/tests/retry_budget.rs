//! Promise: a Service whose traffic policy limits retries gets no more of them, and changes of the config don't forget
//! what was spent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::mesh_world::{MeshWorld, Reach, backend};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Launch;
use serde_json::json;

#[tokio::test]
async fn when_the_budget_is_spent_a_retry_is_a_503() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let rule = |attempts: u32| {
        json!([{ "retry": { "codes": [500], "attempts": attempts, "backoff": "1ms" },
            "backendRefs": [backend("echo", 1)] }])
    };
    world.http_route("echo", "echo", rule(2));
    let limits = json!({ "retryConstraint": { "budget": { "percent": 0, "interval": "1h" },
        "minRetryRate": { "count": 3, "interval": "1h" } } });
    world.attach(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XBackendTrafficPolicy",
        "echo",
        "echo",
        limits,
    );
    let waypoint = world.start_with(Launch::default().access_log()).await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    // 1 + 2 tries, then 1 + 1.
    assert_eq!(client.get("/do/status/500").await.status, 500);
    let reply = client.get("/do/status/500?2").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "retry budget exceeded"));
    assert_eq!(echo.app.counts().requests, 5);
    assert_eq!(waypoint.logged_field("/do/status/500?2", "response_flags").await, "URX");
    assert_eq!(client.get("/fine").await.status, 200, "only retries are limited");
    // Another config, the same budget.
    world.http_route("echo", "echo", rule(1));
    until("the route has changed", async || {
        waypoint.scrape().await.sum("waypoint_config_updates_total", &[]) >= 2.0
    })
    .await;
    assert_eq!(client.get("/do/status/500").await.status, 503);
    assert_eq!(echo.app.counts().requests, 7);
    let hits = waypoint
        .scrape()
        .await
        .sum("waypoint_limits_hit_total", &[("limit", "retry_budget")]);
    assert_eq!(hits, 2.0);
}
