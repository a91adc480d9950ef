//! Promise: the CORS filter speaks for the backend: preflights never reach it, and browsers are told what the route says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::Request;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{ClientBody, HttpClient, Reply, empty, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, backend};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::{Value, json};

const SHOP: &str = "https://www.shop.com";

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    async fn start(rules: Value) -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        world.http_route("echo", "echo", rules);
        let waypoint = world.start().await;
        Self { world, waypoint, echo }
    }

    async fn clients(&self) -> [HttpClient; 2] {
        let client = self.world.client(&self.waypoint);
        [client.http1(&self.echo.vip).await, client.http2(&self.echo.vip).await]
    }
}

fn cors(more: Value) -> Value {
    let mut cors = json!({ "allowOrigins": [SHOP], "allowMethods": ["PUT"], "allowHeaders": ["x-token"] });
    cors.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "type": "CORS", "cors": cors })
}

fn set_headers(headers: &[(&str, &str)]) -> Value {
    let set: Vec<Value> = headers
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    json!({ "type": "ResponseHeaderModifier", "responseHeaderModifier": { "set": set } })
}

fn preflight(path: &str, origin: &str) -> Request<ClientBody> {
    Request::options(path)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "x-token")
        .body(empty())
        .unwrap()
}

fn told(reply: &Reply) -> Vec<&str> {
    ["origin", "methods", "headers", "credentials"]
        .map(|what| reply.header(&format!("access-control-allow-{what}")))
        .into()
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_backend() {
    // Weight 0: there is no backend that could be asked.
    let rules = json!([{ "filters": [cors(json!({ "allowCredentials": true, "maxAge": 60 }))], "backendRefs": [backend("echo", 0)] }]);
    let mesh = Mesh::start(rules).await;
    for mut client in mesh.clients().await {
        let reply = client.send(preflight("/x", SHOP)).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, ""), "{reply:?}");
        assert_eq!(told(&reply), [SHOP, "PUT", "x-token", "true"]);
        assert_eq!(
            (reply.header("access-control-max-age"), reply.header("vary")),
            ("60", "Origin")
        );
        let reply = client.send(preflight("/x", "https://evil.com")).await;
        assert_eq!((reply.status.as_u16(), told(&reply)), (200, vec![""; 4]), "{reply:?}");
    }
    assert_eq!(mesh.echo.app.counts().requests, 0);
}

#[tokio::test]
async fn an_answer_carries_the_routes_headers_and_not_the_backends() {
    // The backend's filter stands for a backend that speaks CORS itself.
    let mut target = backend("echo", 1);
    target["filters"] = json!([set_headers(&[("access-control-allow-origin", "*"), ("x-mine", "1")])]);
    let rules = json!([{ "filters": [cors(json!({ "exposeHeaders": ["x-mine"] }))], "backendRefs": [target] }]);
    let mesh = Mesh::start(rules).await;
    for mut client in mesh.clients().await {
        let reply = client.send(get_with("/x", &[("origin", SHOP)])).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-mine")), (200, "1"));
        assert_eq!(told(&reply), [SHOP, "", "", ""]);
        assert_eq!(reply.header("access-control-expose-headers"), "x-mine");
        assert_eq!(reply.seen_header("origin").as_deref(), Some(SHOP));
        let reply = client.send(get_with("/x", &[("origin", "https://evil.com")])).await;
        assert_eq!((reply.status.as_u16(), told(&reply)), (200, vec![""; 4]));
    }
}

#[tokio::test]
async fn a_page_can_read_refusals_and_follow_redirects() {
    let redirect = json!({ "type": "RequestRedirect", "requestRedirect": { "hostname": "a.com" } });
    let moved = json!({ "matches": [{ "path": { "value": "/moved" } }], "filters": [cors(json!({})), redirect] });
    let broken = json!({ "filters": [cors(json!({}))], "backendRefs": [backend("gone", 1)] });
    let mesh = Mesh::start(json!([moved, broken])).await;
    for mut client in mesh.clients().await {
        for (path, status) in [("/moved", 302), ("/x", 500)] {
            let reply = client.send(get_with(path, &[("origin", SHOP)])).await;
            assert_eq!((reply.status.as_u16(), told(&reply)[0]), (status, SHOP), "{path}");
        }
    }
}

#[tokio::test]
async fn a_backend_may_have_a_filter_of_its_own() {
    let mut open = backend("echo", 1);
    open["filters"] = json!([cors(json!({ "allowOrigins": ["*"] }))]);
    let mesh = Mesh::start(json!([{ "backendRefs": [open] }])).await;
    for mut client in mesh.clients().await {
        let reply = client.send(preflight("/x", SHOP)).await;
        assert_eq!((reply.status.as_u16(), told(&reply)[0]), (200, "*"), "{reply:?}");
        let reply = client.send(get_with("/x", &[("origin", SHOP)])).await;
        assert_eq!((reply.status.as_u16(), told(&reply)[0]), (200, "*"), "{reply:?}");
    }
    assert_eq!(mesh.echo.app.counts().requests, 2);
}

/// Policies go before filters, as in Istio: a preflight is a request like any other.
#[tokio::test]
async fn a_preflight_that_a_policy_denies_is_denied() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    world.http_route(
        "echo",
        "echo",
        json!([{ "filters": [cors(json!({}))], "backendRefs": [backend("echo", 1)] }]),
    );
    let rules = json!([{ "to": [{ "operation": { "methods": ["OPTIONS"] } }] }]);
    world.policy("no-options", "echo", "DENY", rules);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let reply = client.send(preflight("/x", SHOP)).await;
    assert_eq!((reply.status.as_u16(), told(&reply)), (403, vec![""; 4]));
}

#[tokio::test]
async fn a_backends_redirect_is_for_its_share() {
    let mut moved = backend("echo", 1);
    moved["filters"] = json!([
        { "type": "RequestRedirect", "requestRedirect": { "statusCode": 307,
            "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/new" } } },
    ]);
    let rules = json!([{ "matches": [{ "path": { "type": "PathPrefix", "value": "/old" } }],
        "filters": [set_headers(&[("x-rule", "1")])], "backendRefs": [moved, backend("echo", 1)] }]);
    let mesh = Mesh::start(rules).await;
    let mut seen = [0, 0];
    for mut client in mesh.clients().await {
        for _ in 0..50 {
            let reply = client.send(get_with("/old/x?y=1", &[("host", "echo")])).await;
            assert_eq!(reply.header("x-rule"), "1");
            match reply.status.as_u16() {
                307 => assert_eq!(reply.header("location"), "http://echo/new/x?y=1"),
                status => assert_eq!((status, reply.field("path")), (200, "/old/x".to_owned())),
            }
            seen[usize::from(reply.status == 200)] += 1;
        }
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
    assert_eq!(mesh.echo.app.counts().requests, seen[1]);
}
