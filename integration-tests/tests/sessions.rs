//! Promise: a client with a session token comes back to its endpoint for as long as that is there, whatever the weights
//! say; a token that is not ours, or not for this rule, or of an endpoint that has gone, is as good as none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderValue;
use integration_tests::peers::echo::{Echo, EchoMessage, framed};
use integration_tests::peers::http_client::{HttpClient, Reply, get_with, post};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Pod, Reach, backend, put};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::{Launch, binary};
use serde_json::{Value, json};

/// Two versions behind a Service each, and a Service over both.
struct Shop {
    world: MeshWorld,
    pods: [Pod<Echo>; 2],
}

impl Shop {
    async fn new() -> Self {
        let mut world = MeshWorld::new();
        let pods = [
            world.echo("one", "v1", Reach::Clear).await,
            world.echo("two", "v2", Reach::Hbone).await,
        ];
        world.service("shop", "http", &[pods[0].ip, pods[1].ip]);
        Self { world, pods }
    }

    fn route(&mut self, rules: Value) {
        self.world.http_route("shop", "shop", rules);
    }

    async fn client(&self, waypoint: &integration_tests::peers::waypoint_process::Waypoint) -> HttpClient {
        let vip = self.world.vip("shop");
        self.world.client(waypoint).http1(&vip).await
    }
}

/// A rule over both versions, half and half.
fn split(path: &str, session: Value) -> Value {
    json!({ "matches": [{ "path": { "type": "PathPrefix", "value": path } }], "sessionPersistence": session,
        "backendRefs": [backend("one", 1), backend("two", 1)] })
}

fn version(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("x-backend").to_owned()
}

/// The cookie as a browser would send it back, and its attributes.
fn cookie(reply: &Reply) -> (String, String) {
    let set = reply.header("set-cookie");
    let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
    (pair.to_owned(), attributes.trim().to_owned())
}

#[tokio::test]
async fn a_cookie_leads_back_whatever_the_weights() {
    let mut shop = Shop::new().await;
    shop.route(json!([
        split("/cart", json!({ "sessionName": "sid" })),
        split("/other", json!({ "sessionName": "sid" })),
        split("/plain", Value::Null),
    ]));
    let waypoint = shop.world.start().await;
    let mut client = shop.client(&waypoint).await;
    let mut cookies = Vec::new();
    for wanted in ["v1", "v2"] {
        let mut found = None;
        for _ in 0..100 {
            let reply = client.get("/cart/1").await;
            let (pair, attributes) = cookie(&reply);
            assert!(pair.starts_with("sid="), "{reply:?}");
            assert_eq!(attributes, "Path=/cart; HttpOnly; SameSite=Strict");
            if version(&reply) == wanted {
                found = Some(pair);
                break;
            }
        }
        cookies.push((wanted, found.expect("half of the sessions")));
    }
    for (wanted, pair) in &cookies {
        for _ in 0..10 {
            let sent = format!("other=1; sid=nonsense; {pair}");
            let reply = client.send(get_with("/cart/2", &[("cookie", &sent)])).await;
            assert_eq!(version(&reply), *wanted);
            assert_eq!(reply.header("set-cookie"), "", "a good token is kept");
        }
    }
    assert_eq!(client.get("/plain").await.header("set-cookie"), "");

    // Another rule's token, a touched one: a new session.
    let mut touched = cookies[0].1.clone();
    let last = if touched.pop() == Some('A') { 'Q' } else { 'A' };
    touched.push(last);
    for (path, pair) in [("/other", &cookies[0].1), ("/cart", &touched)] {
        let reply = client.send(get_with(path, &[("cookie", pair)])).await;
        assert!(cookie(&reply).0.starts_with("sid="), "{reply:?}");
        assert_ne!(&cookie(&reply).0, pair);
    }

    // At weight 0 nobody new comes, and who is there stays.
    let mut rule = split("/cart", json!({ "sessionName": "sid" }));
    rule["backendRefs"] = json!([backend("one", 0), backend("two", 1)]);
    shop.route(json!([rule]));
    let mut streak = 0;
    until("all new ones go to v2", async || {
        streak = if version(&client.get("/cart").await) == "v2" {
            streak + 1
        } else {
            0
        };
        streak == 30
    })
    .await;
    let reply = client.send(get_with("/cart", &[("cookie", &cookies[0].1)])).await;
    assert_eq!((version(&reply).as_str(), reply.header("set-cookie")), ("v1", ""));
}

#[tokio::test]
async fn when_the_endpoint_has_gone_or_fails_there_is_another_session() {
    let mut shop = Shop::new().await;
    let all = [shop.pods[0].ip, shop.pods[1].ip];
    shop.route(json!([{ "sessionPersistence": {}, "backendRefs": [backend("shop", 1)] }]));
    let waypoint = shop.world.start().await;
    let mut client = shop.client(&waypoint).await;
    let mut first = client.get("/").await;
    while version(&first) != "v1" {
        first = client.get("/").await;
    }
    let (pair, _) = cookie(&first);
    assert!(pair.starts_with("waypoint-session-"), "{pair}");
    let mine = [("cookie", pair.as_str())];

    // It fails: the request goes elsewhere, and so does the session.
    shop.pods[0].app = Echo::start([127, 0, 0, 1].into(), 0, "stand-in", "v0").await;
    let mut client = shop.client(&waypoint).await;
    let reply = client.send(get_with("/", &mine)).await;
    assert_eq!(version(&reply), "v2");
    let (moved, _) = cookie(&reply);
    assert_ne!(moved, pair);

    // It is no endpoint any more: no need to find out.
    shop.world.endpoints("shop", "http", &all[1..]);
    let retries = async || waypoint.scrape().await.sum("waypoint_retries_total", &[]);
    let before = retries().await;
    until("the endpoint has gone", async || {
        let tried = retries().await;
        let reply = client.send(get_with("/", &mine)).await;
        assert_eq!(version(&reply), "v2");
        retries().await == tried
    })
    .await;
    assert!(before >= 1.0);
    let reply = client.send(get_with("/", &[("cookie", &moved)])).await;
    assert_eq!((version(&reply).as_str(), reply.header("set-cookie")), ("v2", ""));
}

#[tokio::test]
async fn a_header_carries_it_too_and_a_secret_is_shared() {
    let mut shop = Shop::new().await;
    shop.route(json!([split(
        "/",
        json!({ "type": "Header", "sessionName": "x-session", "idleTimeout": "1h" })
    )]));
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "secret", "a secret of many bytes");
    let launch = || Launch::default().arg("--session-secret", folder.path().join("secret").display());
    let (one, two) = (
        shop.world.start_with(launch()).await,
        shop.world.start_with(launch()).await,
    );
    let stranger = shop.world.start().await;
    let first = shop.client(&one).await.get("/").await;
    let mut token = first.header("x-session").to_owned();
    assert!(!token.is_empty(), "{first:?}");
    for waypoint in [&two, &one, &two, &one] {
        let mut client = shop.client(waypoint).await;
        for _ in 0..5 {
            let reply = client.send(get_with("/", &[("x-session", &token)])).await;
            assert_eq!(version(&reply), version(&first));
            assert_ne!(reply.header("x-session"), "", "it tells when it was used");
            token = reply.header("x-session").to_owned();
        }
    }
    let mut seen = [false; 2];
    let mut client = shop.client(&stranger).await;
    for _ in 0..100 {
        let reply = client.send(get_with("/", &[("x-session", &token)])).await;
        seen[usize::from(version(&reply) == "v1")] = true;
    }
    assert_eq!(seen, [true; 2], "without the secret it is nothing");
}

#[tokio::test]
async fn a_services_policy_holds_with_and_without_a_route() {
    let mut shop = Shop::new().await;
    let traffic = json!({ "sessionPersistence": { "sessionName": "sid", "absoluteTimeout": "1h",
        "cookieConfig": { "lifetimeType": "Permanent" } } });
    shop.world.attach(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XBackendTrafficPolicy",
        "shop",
        "shop",
        traffic,
    );
    let waypoint = shop.world.start().await;
    let mut client = shop.client(&waypoint).await;
    let first = client.get("/").await;
    let (pair, attributes) = cookie(&first);
    assert_eq!(attributes, "Max-Age=3600; HttpOnly; SameSite=Strict");
    for _ in 0..20 {
        let reply = client.send(get_with("/", &[("cookie", &pair)])).await;
        assert_eq!(version(&reply), version(&first));
    }
    shop.route(json!([
        { "matches": [{ "path": { "type": "PathPrefix", "value": "/a" } }], "backendRefs": [backend("shop", 1)] },
        { "backendRefs": [backend("shop", 1)] },
    ]));
    let mut names = [String::new(), String::new()];
    until("the route is in force", async || {
        for (path, name) in ["/a", "/b"].iter().zip(&mut names) {
            let reply = client.send(get_with(path, &[("cookie", &pair)])).await;
            *name = cookie(&reply).0.split('=').next().unwrap_or_default().to_owned();
        }
        names.iter().all(|name| name.starts_with("sid-"))
    })
    .await;
    assert_ne!(names[0], names[1], "rules share no sessions");
}

#[tokio::test]
async fn a_services_policy_holds_for_a_virtual_service_too() {
    let mut shop = Shop::new().await;
    let traffic = json!({ "sessionPersistence": { "type": "Header", "sessionName": "x-session" } });
    shop.world.attach(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XBackendTrafficPolicy",
        "shop",
        "shop",
        traffic,
    );
    let subset = |version: &str| json!({ "name": version, "labels": { "version": version } });
    let subsets = json!({ "subsets": [subset("v1"), subset("v2")] });
    shop.world.destination_rule("shop", subsets);
    let to = |version: &str| json!({ "destination": { "host": "shop", "subset": version }, "weight": 50 });
    let object = json!({ "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "shop", "namespace": NAMESPACE },
        "spec": { "hosts": ["shop"], "http": [{ "route": [to("v1"), to("v2")] }] } });
    shop.world.apply("virtual-service.yaml", object);
    let waypoint = shop.world.start().await;
    let mut client = shop.client(&waypoint).await;
    let first = client.get("/").await;
    let token = first.header("x-session").to_owned();
    assert_ne!(token, "");
    for _ in 0..20 {
        let reply = client.send(get_with("/", &[("x-session", &token)])).await;
        assert_eq!(version(&reply), version(&first));
        assert_eq!(reply.header("x-session"), "", "a good token is kept");
    }
}

#[tokio::test]
async fn a_grpc_route_has_sessions_too() {
    let mut world = MeshWorld::new();
    let one = world.echo_as("one", "grpc", Reach::Hbone).await;
    let two = world.echo_as("two", "grpc", Reach::Clear).await;
    world.service("shop", "grpc", &[one.ip, two.ip]);
    let rules = json!([{ "matches": [{ "method": { "service": "echo.Echo" } }],
        "sessionPersistence": { "sessionName": "sid" }, "backendRefs": [backend("one", 1), backend("two", 1)] }]);
    world.route("GRPCRoute", "shop", "shop", rules);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&world.vip("shop")).await;
    let call = |cookie: &str| {
        let message = framed(&EchoMessage {
            text: "hi".into(),
            count: 1,
        });
        let mut call = post("/echo.Echo/Unary", message);
        let headers = call.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("cookie", HeaderValue::try_from(cookie).unwrap());
        call
    };
    let counts = || [&one, &two].map(|pod| pod.app.counts().requests);
    let reply = client.send(call("none=1")).await;
    assert_eq!(reply.trailers["grpc-status"], "0", "{reply:?}");
    let (pair, attributes) = cookie(&reply);
    assert!(pair.starts_with("sid="), "{reply:?}");
    // A gRPC service is no path that a browser would know.
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
    let first = counts();
    for _ in 0..20 {
        let reply = client.send(call(&pair)).await;
        assert_eq!(reply.trailers["grpc-status"], "0", "{reply:?}");
    }
    assert_eq!(
        counts(),
        first.map(|count| count * 21),
        "all at the endpoint of the first"
    );
}

#[test]
fn a_short_secret_is_refused_at_the_start() {
    let world = MeshWorld::new();
    put(world.config(), "secret", "fifteen bytes..");
    let run = std::process::Command::new(binary())
        .arg("run")
        .arg("--config")
        .arg(world.config())
        .arg("--certs")
        .arg(world.certs().path())
        .args(["--namespace", NAMESPACE, "--session-secret"])
        .arg(world.config().join("secret"))
        .args(["--hbone", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--metrics", "127.0.0.1:0", "--ready", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success(), "{said}");
    assert!(
        said.contains("session secret: expected at least 16 bytes, found 15"),
        "{said}"
    );
    assert!(!said.contains("fifteen"), "{said}");
}
