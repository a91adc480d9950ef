//! Promise: a VirtualService shapes its Service as it does at Istio's waypoint: rules in order, prefixes by character,
//! faults on purpose, answers without a backend.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderMap;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::grpc_client::{call, status};
use integration_tests::peers::http_client::{HttpClient, get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Pod, Reach, Vip};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Writes a VirtualService for the Service `shop`.
fn virtual_service(world: &MeshWorld, http: Value) {
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "shop", "namespace": NAMESPACE },
        "spec": { "hosts": ["shop"], "http": http },
    });
    world.apply("virtual-service.yaml", object);
}

fn to(host: &str) -> Value {
    json!([{ "destination": { "host": host } }])
}

/// The Service `shop` in front of `v1` and `v2`, shaped by these rules.
async fn shop(http: Value) -> (MeshWorld, Vip, [Pod<Echo>; 2]) {
    let mut world = MeshWorld::new();
    let v1 = world.echo("v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("v2", "v2", Reach::Hbone).await;
    let vip = world.service("shop", "http", &[]);
    virtual_service(&world, http);
    (world, vip, [v1, v2])
}

async fn clients(world: &MeshWorld, waypoint: &Waypoint, vip: &Vip) -> [HttpClient; 2] {
    let client = world.client(waypoint);
    [client.http1(vip).await, client.http2(vip).await]
}

#[tokio::test]
async fn rules_are_tried_in_order_and_prefixes_are_of_characters() {
    let (world, vip, _pods) = shop(json!([
        { "match": [{ "headers": { "x-user": { "prefix": "j" } }, "withoutHeaders": { "x-bot": {} } }], "route": to("v2") },
        { "match": [{ "uri": { "prefix": "/api" } }], "route": to("v1") },
        { "match": [{ "uri": { "exact": "/apis" } }], "route": to("v2") },
        { "match": [{ "uri": { "exact": "/CASE" }, "ignoreUriCase": true, "queryParams": { "q": { "regex": "[0-9]+" } } }],
          "route": to("v2") },
    ]))
    .await;
    let waypoint = world.start().await;
    for mut client in clients(&world, &waypoint, &vip).await {
        for (path, headers, status, backend) in [
            ("/api/a", &[][..], 200, "v1"),
            ("/apis", &[], 200, "v1"),
            ("/case?q=1", &[], 200, "v2"),
            ("/case?q=x", &[], 404, ""),
            ("/apis", &[("x-user", "jason")], 200, "v2"),
            ("/apis", &[("x-user", "jason"), ("x-bot", "1")], 200, "v1"),
            ("/other", &[("x-user", "anna")], 404, ""),
        ] {
            let reply = client.send(get_with(path, headers)).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("x-backend")),
                (status, backend),
                "{path} {headers:?}"
            );
        }
    }
}

#[tokio::test]
async fn weights_rewrites_and_headers() {
    let (world, vip, pods) = shop(json!([
        { "match": [{ "uri": { "prefix": "/old/" } }], "rewrite": { "uri": "/new/", "authority": "inner:8080" },
          "headers": { "request": { "set": { "x-mine": "100%%" }, "remove": ["x-secret"] },
                       "response": { "add": { "x-rule": "old" } } },
          "route": [{ "destination": { "host": "v1" }, "headers": { "response": { "set": { "x-dest": "v1" } } } }] },
        { "match": [{ "uri": { "regex": "/users/[^/]+" } }],
          "rewrite": { "uriRegexRewrite": { "match": "^/users/(.*)$", "rewrite": "/by-name/\\1" } }, "route": to("v1") },
        { "route": [{ "destination": { "host": "v1" }, "weight": 0 }, { "destination": { "host": "v2" }, "weight": 7 }] },
    ]))
    .await;
    let waypoint = world.start().await;
    for mut client in clients(&world, &waypoint, &vip).await {
        let reply = client.send(get_with("/old/a", &[("x-secret", "hush")])).await;
        assert_eq!(reply.field("path"), "/new/a");
        assert_eq!((reply.header("x-rule"), reply.header("x-dest")), ("old", "v1"));
        let seen = ["host", "x-mine", "x-secret"].map(|name| reply.seen_header(name));
        assert_eq!(seen, [Some("inner:8080".into()), Some("100%".into()), None]);
        let reply = client.get("/users/anna").await;
        assert_eq!(reply.field("path"), "/by-name/anna");
        for _ in 0..5 {
            assert_eq!(client.get("/").await.header("x-backend"), "v2");
        }
    }
    assert_eq!(pods[1].app.counts().requests, 10);
}

#[tokio::test]
async fn redirects_and_direct_responses_need_no_backend() {
    let (world, vip, pods) = shop(json!([
        { "match": [{ "uri": { "exact": "/moved" } }], "redirect": { "uri": "/here", "authority": "new.example:81" } },
        { "match": [{ "uri": { "exact": "/teapot" } }],
          "directResponse": { "status": 418, "body": { "string": "short and stout" } },
          "headers": { "response": { "set": { "x-tea": "1" } } } },
        { "directResponse": { "status": 503 } },
    ]))
    .await;
    let waypoint = world.start().await;
    for mut client in clients(&world, &waypoint, &vip).await {
        let reply = client.get("/moved?a").await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("location")),
            (301, "http://new.example:81/here?a")
        );
        let reply = client.get("/teapot").await;
        assert_eq!((reply.status.as_u16(), reply.header("x-tea")), (418, "1"));
        assert_eq!(
            (reply.header("content-type"), reply.text()),
            ("text/plain", "short and stout")
        );
        let reply = client.get("/").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (503, ""));
    }
    let (messages, trailers) = call(&mut world.client(&waypoint).http2(&vip).await, "Unary", "x", 1).await;
    assert_eq!((messages.len(), status(&trailers)), (0, 14));
    assert!(pods.iter().all(|pod| pod.app.counts().requests == 0));
}

#[tokio::test]
async fn faults_are_injected_and_told_by_their_flags() {
    let all = json!({ "value": 100 });
    let abort = json!({ "abort": { "percentage": all, "httpStatus": 418 } });
    let both = json!({ "delay": { "percentage": all, "fixedDelay": "20ms" },
        "abort": { "percentage": all, "grpcStatus": "RESOURCE_EXHAUSTED" } });
    let (world, vip, pods) = shop(json!([
        { "match": [{ "uri": { "prefix": "/abort" } }], "fault": abort, "route": to("v1") },
        { "match": [{ "uri": { "prefix": "/delay" } }], "route": to("v1"),
          "fault": { "delay": { "percentage": all, "fixedDelay": "20ms" } }, "timeout": "10s" },
        { "match": [{ "uri": { "prefix": "/never" } }], "route": to("v1"),
          "fault": { "delay": { "percentage": { "value": 0 }, "fixedDelay": "1h" } } },
        { "match": [{ "uri": { "prefix": "/long" } }], "route": to("v1"),
          "fault": { "delay": { "percentage": all, "fixedDelay": "1h" } } },
        { "fault": both, "route": to("v1") },
    ]))
    .await;
    let waypoint = world.start_with(Launch::default().access_log()).await;
    for (n, mut client) in clients(&world, &waypoint, &vip).await.into_iter().enumerate() {
        let reply = client.get(&format!("/abort?{n}")).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (418, "fault filter abort"));
        assert_eq!(
            waypoint.logged_field(&format!("/abort?{n}"), "response_flags").await,
            "FI"
        );
        assert_eq!(client.get(&format!("/delay?{n}")).await.status, 200);
        assert_eq!(
            waypoint.logged_field(&format!("/delay?{n}"), "response_flags").await,
            "DI"
        );
        assert_eq!(client.get(&format!("/never?{n}")).await.status, 200);
        assert_eq!(
            waypoint.logged_field(&format!("/never?{n}"), "response_flags").await,
            "-"
        );
        // A client that goes is not waited for.
        let path = format!("/long?{n}");
        let left = tokio::time::timeout(std::time::Duration::from_millis(200), client.begin(get(&path))).await;
        assert!(left.is_err());
        drop(client);
        assert_eq!(waypoint.logged_field(&path, "response_flags").await, "DI,DC");
    }
    let (messages, trailers) = call(&mut world.client(&waypoint).http2(&vip).await, "Unary", "x", 1).await;
    assert_eq!((messages.len(), status(&trailers)), (0, 8));
    assert_eq!(
        waypoint.logged_field("/echo.Echo/Unary", "response_flags").await,
        "DI,FI"
    );
    assert_eq!(pods[0].app.counts().requests, 4);
}

#[tokio::test]
async fn mirrors_get_copies() {
    let (world, vip, pods) = shop(json!([
        { "match": [{ "uri": { "prefix": "/some" } }], "route": to("v1"),
          "mirror": { "host": "v2" }, "mirrorPercentage": { "value": 0 } },
        { "route": to("v1"), "mirrors": [{ "destination": { "host": "v2" }, "percentage": { "value": 100 } }] },
    ]))
    .await;
    let waypoint = world.start().await;
    for mut client in clients(&world, &waypoint, &vip).await {
        assert_eq!(client.get("/some").await.header("x-backend"), "v1");
        assert_eq!(client.get("/all").await.header("x-backend"), "v1");
    }
    let counts = pods[1].app.until("the copies", |counts| counts.requests >= 2).await;
    assert_eq!((counts.requests, pods[0].app.counts().requests), (2, 4));
}

/// `retryOn` alone decides: a status that is not in it is the client's answer.
#[tokio::test]
async fn retries_are_made_on_what_the_rule_names() {
    let mut world = MeshWorld::new();
    let seen = Arc::<AtomicU32>::default();
    let counted = seen.clone();
    let script = move |mut connection: RawHttp<TcpStream>| {
        let seen = counted.clone();
        async move {
            while connection.head().await.is_ok() {
                let is_refused = seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
                let status = if is_refused { 429 } else { 200 };
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                connection.send(answer).await.unwrap();
            }
        }
    };
    let _pod = world.script("moody", script).await;
    let vip = world.service("shop", "http", &[]);
    let retries = |on: &str| json!({ "attempts": 3, "perTryTimeout": "20s", "retryOn": on, "backoff": "1ms" });
    virtual_service(
        &world,
        json!([
            { "match": [{ "uri": { "exact": "/429" } }], "retries": retries("503,429"), "route": to("moody") },
            { "match": [{ "uri": { "exact": "/5xx" } }], "retries": retries("5xx"), "route": to("moody") },
            { "retries": { "attempts": 0 }, "route": to("moody") },
        ]),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    for (path, status, tries) in [("/429", 200, 2), ("/5xx", 429, 1), ("/5xx", 200, 1), ("/", 429, 1)] {
        let before = seen.load(Ordering::SeqCst);
        assert_eq!(
            soon("the answer", client.get(path)).await.status.as_u16(),
            status,
            "{path}"
        );
        assert_eq!(seen.load(Ordering::SeqCst) - before, tries, "{path}");
    }
}

#[tokio::test]
async fn connections_go_where_tcp_says() {
    let mut world = MeshWorld::new();
    let front = world.greeter("front", "tcp").await;
    let _v2 = world.greeter("v2", "tcp").await;
    let rules = json!([{ "match": [{ "port": 9 }], "route": to("front") }, { "route": to("v2") }]);
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "front", "namespace": NAMESPACE }, "spec": { "hosts": ["front"], "tcp": rules },
    });
    world.apply("virtual-service.yaml", object);
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut tunnel = client.dial(&front.vip.authority(), HeaderMap::new()).await.unwrap();
    let mut name = [0; 2];
    soon("a greeting", tunnel.read_exact(&mut name)).await.unwrap();
    assert_eq!(&name, b"v2");
}
