//! Promise: an external authoriser decides where a CUSTOM policy or an ExternalAuth filter asks for it, sees what it may
//! see, changes what it may change, and when it cannot be asked the request is refused unless it fails open.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Frame;
use integration_tests::peers::authoriser::{Authoriser, Says};
use integration_tests::peers::echo::Echo;
use integration_tests::peers::grpc_client::{call, status};
use integration_tests::peers::http_client::{HttpClient, frames, full, get_with, post};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Pod, Reach, SERVICE_PORT, backend};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::tokens::TokenIssuer;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A provider `name` whose Service has the same name.
fn provider(kind: &str, name: &str, more: Value) -> Value {
    let mut settings = json!({
        "service": format!("{name}.{NAMESPACE}.svc.cluster.local"), "port": SERVICE_PORT, "timeout": "20s",
    });
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "name": name, kind: settings })
}

fn grpc(name: &str, more: Value) -> Value {
    provider("envoyExtAuthzGrpc", name, more)
}

fn http(name: &str, more: Value) -> Value {
    provider("envoyExtAuthzHttp", name, more)
}

/// A CUSTOM policy on a Service, for these paths.
fn custom(world: &mut MeshWorld, policy: &str, service: &str, provider: &str, paths: &[&str]) {
    let rules = json!([{ "to": [{ "operation": { "paths": paths } }] }]);
    let spec = json!({ "action": "CUSTOM", "provider": { "name": provider }, "rules": rules });
    world.attach("security.istio.io/v1", "AuthorizationPolicy", policy, service, spec);
}

/// An echo Service of which `/a*` is asked about.
struct Mesh {
    world: MeshWorld,
    echo: Pod<Echo>,
}

impl Mesh {
    async fn new() -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Clear).await;
        Self { world, echo }
    }

    fn ask(&mut self, provider: Value) {
        self.world
            .mesh_config(json!({ "extensionProviders": [provider.clone()] }));
        custom(
            &mut self.world,
            "ask",
            "echo",
            provider["name"].as_str().unwrap(),
            &["/a*"],
        );
    }

    async fn start(&self) -> (Waypoint, HttpClient) {
        let waypoint = self.world.start_with(Launch::default().access_log()).await;
        let client = self.world.client(&waypoint).http1(&self.echo.vip).await;
        (waypoint, client)
    }
}

#[tokio::test]
async fn over_http_it_sees_the_request_and_its_answer_counts() {
    let mut mesh = Mesh::new().await;
    let authz = mesh.world.authoriser("authz", "http", Reach::Hbone, |asked| {
        let known = [("x-user", "alice"), ("x-other", "no"), ("x-told", "yes")];
        match asked.headers.get("authorization").map(String::as_str) {
            Some("Bearer good") => Says::Yes {
                upstream: known.to_vec(),
                client: vec![("x-session", "7"), ("set-cookie", "a=b")],
            },
            Some(_) => Says::No(
                302,
                vec![("location", "/login"), ("x-why", "expired"), ("x-hid", "1")],
                "log in",
            ),
            None => Says::No(401, vec![("www-authenticate", "Bearer")], "who are you?"),
        }
    });
    let authz = authz.await;
    mesh.ask(http(
        "authz",
        json!({
            "pathPrefix": "/check", "includeRequestHeadersInCheck": ["x-ask-*", "*-token"],
            "includeAdditionalHeadersInCheck": { "x-from": "waypoint" },
            "headersToUpstreamOnAllow": ["x-user", "*-told"], "headersToDownstreamOnAllow": ["x-session", "set-*"],
            "headersToDownstreamOnDeny": ["x-why"],
        }),
    ));
    let (waypoint, mut client) = mesh.start().await;

    let sent = [
        ("authorization", "Bearer good"),
        ("x-ask-me", "1"),
        ("csrf-token", "t"),
        ("x-secret", "s"),
        ("x-user", "mallory"),
        ("x-from", "client"),
    ];
    let reply = client.send(get_with("/x/../a/b?q=1", &sent)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!((reply.header("x-session"), reply.header("set-cookie")), ("7", "a=b"));
    let seen = |name| reply.seen_header(name);
    assert_eq!(
        (seen("x-user").as_deref(), seen("x-told").as_deref()),
        (Some("alice"), Some("yes"))
    );
    assert_eq!((seen("x-other"), seen("x-secret").as_deref()), (None, Some("s")));
    let asked = authz.app.last();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str(), asked.host.as_str()),
        ("GET", "/check/a/b?q=1", "echo")
    );
    for (name, wanted) in [
        ("x-ask-me", Some("1")),
        ("csrf-token", Some("t")),
        ("x-from", Some("waypoint")),
        ("content-length", Some("0")),
        ("x-secret", None),
        ("x-user", None),
    ] {
        assert_eq!(asked.headers.get(name).map(String::as_str), wanted, "{name}");
    }

    let reply = client.send(get_with("/a", &[("authorization", "Bearer old")])).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (302, "log in"));
    assert_eq!(
        (reply.header("location"), reply.header("x-why"), reply.header("x-hid")),
        ("/login", "expired", "")
    );
    let reply = client.get("/a/anonymous").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (401, "who are you?"));
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    assert_eq!(waypoint.logged_field("/a/anonymous", "response_flags").await, "UAEX");
    assert_eq!(
        waypoint.logged_field("/a/anonymous", "response_code_details").await,
        "ext_authz_denied"
    );

    assert_eq!(client.get("/b").await.status, 200, "nobody is asked about other paths");
    assert_eq!(
        (authz.app.asked().len(), authz.app.connections()),
        (3, 1),
        "one connection serves them all"
    );
    let metrics = waypoint.scrape().await;
    let calls = |result| {
        metrics.sum(
            "waypoint_external_authorization_total",
            &[("provider", "authz"), ("result", result)],
        )
    };
    assert_eq!((calls("allowed"), calls("denied")), (1.0, 2.0));
    let timed = metrics.sum("waypoint_external_authorization_duration_milliseconds_count", &[]);
    assert_eq!(timed, 3.0);
    assert_eq!(mesh.echo.app.counts().requests, 2);
}

#[tokio::test]
async fn over_grpc_it_is_told_who_asks_whom_for_what() {
    let mut mesh = Mesh::new().await;
    let authz = mesh
        .world
        .authoriser("authz", "grpc", Reach::Hbone, |asked| match asked.path.as_str() {
            "/a/no" => Says::No(418, vec![("x-why", "teapot")], "no tea"),
            "/a/plain" => Says::No(0, vec![], ""),
            _ => Says::Yes {
                upstream: vec![
                    ("x-user", "alice"),
                    ("x-secret", ""),
                    ("host", "evil"),
                    ("content-length", "9"),
                ],
                client: vec![("x-session", "7")],
            },
        });
    let authz = authz.await;
    mesh.ask(grpc("authz", json!({})));
    let (waypoint, mut client) = mesh.start().await;

    let sent = [
        ("x-secret", "s"),
        ("x-user", "mallory"),
        ("x-request-id", "id-1"),
        ("x-list", "1"),
    ];
    let mut request = get_with("/a/b?q=1", &sent);
    request.headers_mut().append("x-list", HeaderValue::from_static("2"));
    let reply = client.send(request).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("x-session")),
        (200, "7"),
        "{reply:?}"
    );
    assert_eq!(reply.seen_header("x-user").as_deref(), Some("alice"));
    assert_eq!(reply.seen_header("x-secret"), None);
    assert_eq!(
        reply.seen_header("host").as_deref(),
        Some("echo"),
        "not an authoriser's to change"
    );
    let asked = authz.app.last();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str(), asked.host.as_str()),
        ("GET", "/a/b?q=1", "echo")
    );
    assert_eq!(
        (asked.id.as_str(), asked.size, asked.protocol.as_str()),
        ("id-1", 0, "HTTP/1.1")
    );
    let id = |account: &str| format!("spiffe://cluster.local/ns/{NAMESPACE}/sa/{account}");
    assert_eq!(asked.source.1, id("client"));
    assert!(asked.source.0.starts_with("127."), "{:?}", asked.source);
    assert_eq!(asked.destination, (mesh.echo.vip.authority(), id("waypoint")));
    let header = |name: &str| asked.headers.get(name).map(String::as_str);
    assert_eq!((header("x-secret"), header("x-list")), (Some("s"), Some("1,2")));
    assert_eq!(
        (header(":path"), header(":authority")),
        (Some("/a/b?q=1"), Some("echo"))
    );

    let reply = client.get("/a/no").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text(), reply.header("x-why")),
        (418, "no tea", "teapot")
    );
    let reply = client.get("/a/plain").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, ""));
    let denied = waypoint.scrape().await;
    let policy = format!("ns[{NAMESPACE}]-policy[ask]-rule[0]");
    assert_eq!(denied.sum("waypoint_policy_denials_total", &[("policy", &policy)]), 2.0);
    assert_eq!((mesh.echo.app.counts().requests, authz.app.connections()), (1, 1));
}

#[tokio::test]
async fn a_grpc_client_is_told_in_its_own_words() {
    let mut world = MeshWorld::new();
    let echo = world.echo_as("echo", "grpc", Reach::Clear).await;
    let _authz = world
        .authoriser("authz", "http", Reach::Clear, |_| {
            Says::No(403, vec![("x-why", "ü")], "not you: 100 %")
        })
        .await;
    world.mesh_config(json!({ "extensionProviders": [http("authz", json!({}))] }));
    custom(&mut world, "ask", "echo", "authz", &["/*"]);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http2(&echo.vip).await;
    let (messages, trailers) = call(&mut client, "Unary", "hi", 1).await;
    assert_eq!((messages.len(), status(&trailers)), (0, 7));
    assert_eq!(trailers["grpc-message"], "not you: 100 %25");
}

#[tokio::test]
async fn it_is_asked_before_tokens_and_policies_are_looked_at() {
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let mut mesh = Mesh::new().await;
    let authz = mesh
        .world
        .authoriser("authz", "grpc", Reach::Clear, |asked| match asked.path.as_str() {
            "/a/no" => Says::No(451, vec![], ""),
            "/a/token" => Says::Yes {
                upstream: vec![("authorization", "")],
                client: vec![],
            },
            _ => Says::Yes {
                upstream: vec![("x-role", "admin")],
                client: vec![],
            },
        });
    let authz = authz.await;
    mesh.ask(grpc("authz", json!({})));
    mesh.world.attach(
        "security.istio.io/v1",
        "RequestAuthentication",
        "tokens",
        "echo",
        json!({ "jwtRules": [{ "issuer": issuer.issuer, "jwks": issuer.jwks().to_string() }] }),
    );
    let admins = json!([{ "when": [{ "key": "request.headers[x-role]", "values": ["admin"] }],
        "to": [{ "operation": { "notPaths": ["/a/token"] } }] }]);
    mesh.world.policy("no-admins", "echo", "DENY", admins);
    let (_waypoint, mut client) = mesh.start().await;
    let bad = [("authorization", "Bearer nonsense")];
    assert_eq!(
        client.send(get_with("/a/no", &bad)).await.status,
        451,
        "before the token"
    );
    assert_eq!(
        client.send(get_with("/a/yes", &bad)).await.status,
        401,
        "then the token"
    );
    assert_eq!(
        client.get("/a/yes").await.status,
        403,
        "then policies, which see what it has set"
    );
    assert_eq!(
        client.send(get_with("/a/token", &bad)).await.status,
        200,
        "it may take a token away"
    );
    assert_eq!(authz.app.asked().len(), 4);
}

#[tokio::test]
async fn when_it_cannot_be_asked_the_request_is_refused_or_fails_open() {
    for kind in ["envoyExtAuthzGrpc", "envoyExtAuthzHttp"] {
        let mut mesh = Mesh::new().await;
        let says = [
            ("silent", Says::Nothing),
            ("failing", Says::Fails(if kind.ends_with("Grpc") { 13 } else { 503 })),
            (
                "nonsense",
                if kind.ends_with("Grpc") {
                    Says::Nonsense
                } else {
                    Says::Fails(500)
                },
            ),
        ];
        let mut pods = Vec::new();
        for (name, says) in says {
            let says = move |_: &_| says.clone();
            pods.push(mesh.world.authoriser(name, "http", Reach::Clear, says).await);
        }
        let dead = mesh.world.dead_pod("dead", Reach::Hbone);
        mesh.world.service("dead", "http", &[dead]);
        mesh.world.service("empty", "http", &[]);
        let mut providers = Vec::new();
        for (service, timeout) in [
            ("silent", "0.2s"),
            ("failing", "20s"),
            ("nonsense", "20s"),
            ("dead", "20s"),
            ("empty", "20s"),
        ] {
            for (name, more) in [
                ("closed", json!({ "timeout": timeout })),
                ("told", json!({ "timeout": timeout, "statusOnError": "503" })),
                (
                    "open",
                    json!({ "timeout": timeout, "failOpen": true, "statusOnError": "503" }),
                ),
            ] {
                let mut one = provider(kind, service, more);
                one["name"] = json!(format!("{service}-{name}"));
                custom(
                    &mut mesh.world,
                    &format!("{service}-{name}"),
                    &format!("echo-{service}-{name}"),
                    &format!("{service}-{name}"),
                    &["/*"],
                );
                mesh.world
                    .service(&format!("echo-{service}-{name}"), "http", &[mesh.echo.ip]);
                providers.push(one);
            }
        }
        mesh.world.mesh_config(json!({ "extensionProviders": providers }));
        let waypoint = mesh.world.start_with(Launch::default().access_log()).await;
        let tunnels = mesh.world.client(&waypoint);
        for one in &providers {
            let name = one["name"].as_str().unwrap();
            let vip = mesh.world.vip(&format!("echo-{name}"));
            let wanted = [("closed", 403), ("told", 503), ("open", 200)];
            let wanted = wanted.iter().find(|(end, _)| name.ends_with(end)).unwrap().1;
            let reply = tunnels.get(&vip, &format!("/{name}")).await;
            assert_eq!(reply.status, wanted, "{kind} {name}: {reply:?}");
            if wanted != 200 {
                let details = waypoint
                    .logged_field(&format!("/{name}"), "response_code_details")
                    .await;
                assert_eq!((details.as_str(), reply.text()), ("ext_authz_error", ""));
            }
        }
        let metrics = waypoint.scrape().await;
        let calls = |result| metrics.sum("waypoint_external_authorization_total", &[("result", result)]);
        assert_eq!(
            (calls("timeout"), calls("error"), calls("connect")),
            (3.0, 6.0, 6.0),
            "{kind}"
        );
        assert_eq!(mesh.echo.app.counts().requests, 5);
    }
}

#[tokio::test]
async fn it_sees_as_much_of_the_body_as_it_may_and_the_backend_sees_all() {
    for kind in ["envoyExtAuthzGrpc", "envoyExtAuthzHttp"] {
        let mut mesh = Mesh::new().await;
        let authz = mesh
            .world
            .authoriser("authz", "http", Reach::Clear, |_| Says::yes())
            .await;
        let body = |more: Value| {
            let mut limits = json!({ "maxRequestBytes": 1000 });
            limits
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            provider(kind, "authz", json!({ "includeRequestBodyInCheck": limits }))
        };
        mesh.ask(body(json!({ "allowPartialMessage": true, "packAsBytes": true })));
        let waypoint = mesh.world.start().await;
        let tunnels = mesh.world.client(&waypoint);
        for mut client in [tunnels.http1(&mesh.echo.vip).await, tunnels.http2(&mesh.echo.vip).await] {
            for (length, partial) in [(0, "false"), (999, "false"), (1001, "true"), (300_000, "true")] {
                let reply = client.send(post("/a", vec![0xfe; length])).await;
                assert_eq!(
                    (reply.status.as_u16(), reply.field("body_bytes")),
                    (200, length.to_string())
                );
                let asked = authz.app.last();
                assert_eq!(asked.body, vec![0xfe; length.min(1000)], "{kind} {length}");
                assert_eq!(asked.headers["x-envoy-auth-partial-body"], partial, "{kind} {length}");
                assert!(length == 0 || asked.raw == kind.ends_with("Grpc"));
            }
            // In pieces, with trailers, length unknown.
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("9"));
            let pieces = vec![
                Frame::data(Bytes::from_static(b"one ")),
                Frame::data(Bytes::from_static(b"two")),
                Frame::trailers(trailers),
            ];
            let request = Request::post("/a")
                .header("trailer", "x-sum")
                .body(frames(pieces))
                .unwrap();
            let reply = client.send(request).await;
            assert_eq!(
                (reply.status.as_u16(), reply.field("body_bytes")),
                (200, "7".to_owned()),
                "{reply:?}"
            );
            assert!(reply.text().contains("x-sum"), "the trailers went on: {reply:?}");
            assert_eq!(authz.app.last().body, b"one two");
            // A client that waits before it sends its body is not left waiting.
            let request = Request::post("/a")
                .header("expect", "100-continue")
                .body(full("patience"))
                .unwrap();
            assert_eq!(soon("an answer", client.send(request)).await.status, 200);
            assert_eq!(authz.app.last().body, b"patience");
        }

        let before = mesh.echo.app.counts().requests;
        mesh.ask(body(json!({})));
        let mut client = tunnels.http1(&mesh.echo.vip).await;
        until("the new limit is in force", async || {
            client = tunnels.http1(&mesh.echo.vip).await;
            client.send(post("/a", vec![b'x'; 1001])).await.status == 413
        })
        .await;
        let asked = authz.app.asked().len();
        let mut client = tunnels.http1(&mesh.echo.vip).await;
        let pieces = vec![
            Frame::data(Bytes::from(vec![b'x'; 700])),
            Frame::data(Bytes::from(vec![b'x'; 700])),
        ];
        let request = Request::post("/a").body(frames(pieces)).unwrap();
        assert_eq!(
            client.send(request).await.status,
            413,
            "whatever its length is told to be"
        );
        assert_eq!(authz.app.asked().len(), asked, "it was not asked");
        let mut client = tunnels.http1(&mesh.echo.vip).await;
        assert_eq!(client.send(post("/a", vec![b'x'; 1000])).await.status, 200);
        let asked = authz.app.last();
        assert_eq!((asked.body.len(), asked.raw), (1000, false));
        assert!(mesh.echo.app.counts().requests > before);
    }
}

#[tokio::test]
async fn several_providers_need_a_flag_and_then_all_must_allow() {
    let mut mesh = Mesh::new().await;
    let names = ["p-one", "p-two"];
    let mut pods = Vec::new();
    for name in names {
        let says = move |asked: &integration_tests::peers::authoriser::Asked| {
            if asked.path.ends_with(name) {
                Says::No(403, vec![], name)
            } else {
                Says::yes()
            }
        };
        pods.push(mesh.world.authoriser(name, "grpc", Reach::Clear, says).await);
        custom(&mut mesh.world, name, "echo", name, &["/a*"]);
    }
    mesh.world
        .mesh_config(json!({ "extensionProviders": names.map(|name| grpc(name, json!({}))) }));
    let (_waypoint, mut client) = mesh.start().await;
    let reply = client.get("/a").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "RBAC: access denied"));
    assert_eq!(client.get("/b").await.status, 200);
    assert!(pods.iter().all(|pod| pod.app.asked().is_empty()));

    let launch = Launch::default().env("PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", "true");
    let waypoint = mesh.world.start_with(launch).await;
    let mut client = mesh.world.client(&waypoint).http1(&mesh.echo.vip).await;
    assert_eq!(client.get("/a").await.status, 200);
    assert_eq!(client.get("/a/p-two").await.text(), "p-two");
    assert_eq!(client.get("/a/p-one").await.text(), "p-one");
    let asked: Vec<usize> = pods.iter().map(|pod| pod.app.asked().len()).collect();
    assert_eq!(asked, [3, 2], "the first denial ends it");
}

#[tokio::test]
async fn an_unknown_provider_denies_what_its_policy_matches() {
    let mut mesh = Mesh::new().await;
    custom(&mut mesh.world, "ask", "echo", "nobody", &["/a"]);
    let (waypoint, mut client) = mesh.start().await;
    let reply = client.get("/a").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "RBAC: access denied"));
    assert_eq!(client.get("/b").await.status, 200);
    let wanted = "no usable extension provider \"nobody\"";
    waypoint.until_logged("the finding", |line| line.contains(wanted)).await;
}

#[tokio::test]
async fn on_tcp_grpc_providers_are_asked_and_http_ones_are_not() {
    let mut world = MeshWorld::new();
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Clear).await;
    let no_friend = |asked: &integration_tests::peers::authoriser::Asked| {
        if asked.source.1.ends_with("/sa/friend") {
            Says::yes()
        } else {
            Says::No(403, vec![], "")
        }
    };
    let authz = world.authoriser("authz", "grpc", Reach::Clear, no_friend).await;
    let other = world
        .authoriser("other", "http", Reach::Clear, |_| Says::No(403, vec![], ""))
        .await;
    world.mesh_config(json!({ "extensionProviders": [grpc("authz", json!({})), http("other", json!({}))] }));
    let rules = json!([{ "to": [{ "operation": { "ports": [SERVICE_PORT.to_string()] } }] }]);
    let ask = |provider: &str| json!({ "action": "CUSTOM", "provider": { "name": provider }, "rules": rules.clone() });
    world.attach("security.istio.io/v1", "AuthorizationPolicy", "ask", "db", ask("other"));
    let waypoint = world.start().await;
    let friends = world.client_as(&waypoint, NAMESPACE, "friend");
    let mut friend = friends.raw(&db.vip).await;
    let mut stranger = world.client(&waypoint).raw(&db.vip).await;
    for stream in [&mut friend, &mut stranger] {
        stream.write_all(b"x").await.unwrap();
        soon("the echo", stream.read_exact(&mut [0])).await.unwrap();
    }
    assert_eq!(other.app.asked().len(), 0);

    // What is open is asked about again when policies change.
    world.attach("security.istio.io/v1", "AuthorizationPolicy", "ask", "db", ask("authz"));
    let mut rest = Vec::new();
    let _ = soon("the stranger is cut", stranger.read_to_end(&mut rest)).await;
    authz.app.until_asked(2).await;
    friend.write_all(b"y").await.unwrap();
    soon("the friend's echo", friend.read_exact(&mut [0])).await.unwrap();
    let asked = authz.app.last();
    assert!(asked.tcp && asked.destination.0 == db.vip.authority(), "{asked:?}");
    let mut again = world.client(&waypoint).raw(&db.vip).await;
    let _ = again.write_all(b"z").await;
    let _ = soon("the end", again.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
}

/// An ExternalAuth filter that asks the Service `authz`.
fn filter(protocol: &str, more: Value) -> Value {
    let mut auth = json!({ "protocol": protocol, "backendRef": { "name": "authz", "port": SERVICE_PORT } });
    auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "type": "ExternalAuth", "externalAuth": auth })
}

async fn authz_of(mesh: &mut Mesh) -> Pod<Authoriser> {
    let says = |asked: &integration_tests::peers::authoriser::Asked| {
        if asked.path.contains("/no") {
            return Says::No(401, vec![("x-why", "no")], "no");
        }
        Says::Yes {
            upstream: vec![("x-user", "alice"), ("x-more", "1")],
            client: vec![],
        }
    };
    mesh.world.authoriser("authz", "http", Reach::Hbone, says).await
}

#[tokio::test]
async fn a_filter_asks_for_its_rule_or_for_its_backend() {
    let mut mesh = Mesh::new().await;
    let authz = authz_of(&mut mesh).await;
    let path = |value: &str| json!([{ "path": { "type": "PathPrefix", "value": value } }]);
    let mut asked_backend = backend("echo", 1);
    asked_backend["filters"] = json!([filter("GRPC", json!({ "grpc": {} }))]);
    let http_settings = json!({ "path": "/check", "allowedHeaders": ["x-ask"], "allowedResponseHeaders": ["x-user"] });
    let cors = json!({ "type": "CORS", "cors": { "allowOrigins": ["https://shop.example"], "allowMethods": ["GET"] } });
    let mut nobody = filter("HTTP", json!({ "http": {} }));
    nobody["externalAuth"]["backendRef"]["name"] = json!("nobody");
    mesh.world.http_route(
        "echo",
        "echo",
        json!([
            { "matches": path("/http"), "filters": [filter("HTTP", json!({ "http": http_settings }))], "backendRefs": [backend("echo", 1)] },
            { "matches": path("/all"), "filters": [filter("HTTP", json!({ "http": {} }))], "backendRefs": [backend("echo", 1)] },
            { "matches": path("/grpc"), "filters": [filter("GRPC", json!({ "grpc": { "allowedHeaders": ["x-ask"] } }))],
              "backendRefs": [backend("echo", 1)] },
            { "matches": path("/backend"), "backendRefs": [asked_backend] },
            { "matches": path("/cors"), "filters": [cors, filter("HTTP", json!({ "http": {} }))], "backendRefs": [backend("echo", 1)] },
            { "matches": path("/body"), "filters": [filter("HTTP", json!({ "http": {}, "forwardBody": { "maxSize": 10 } }))],
              "backendRefs": [backend("echo", 1)] },
            { "matches": path("/nobody"), "filters": [nobody], "backendRefs": [backend("echo", 1)] },
            { "backendRefs": [backend("echo", 1)] },
        ]),
    );
    let (_waypoint, mut client) = mesh.start().await;
    let sent = [("authorization", "Bearer x"), ("x-ask", "1"), ("x-secret", "s")];

    let reply = client.send(get_with("/http/1", &sent)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.seen_header("x-user").as_deref()),
        (200, Some("alice"))
    );
    assert_eq!(reply.seen_header("x-more"), None);
    let asked = authz.app.last();
    assert_eq!((asked.grpc, asked.path.as_str()), (false, "/check/http/1"));
    let has = |name: &str| asked.headers.contains_key(name);
    assert!(
        has("authorization") && has("x-ask") && !has("x-secret"),
        "{:?}",
        asked.headers
    );
    let reply = client.get("/http/no").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text(), reply.header("x-why")),
        (401, "no", "no")
    );

    let reply = client.send(get_with("/all/1", &sent)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.seen_header("x-more").as_deref()),
        (200, Some("1"))
    );
    assert_eq!(
        reply.field("body_bytes"),
        "0",
        "nothing of the answer's framing went on"
    );

    let reply = client.send(get_with("/grpc/1", &sent)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.seen_header("x-user").as_deref()),
        (200, Some("alice"))
    );
    let asked = authz.app.last();
    assert!(asked.grpc && asked.headers.contains_key("x-ask") && !asked.headers.contains_key("x-secret"));

    let before = authz.app.asked().len();
    assert_eq!(
        client.get("/backend/1").await.seen_header("x-user").as_deref(),
        Some("alice")
    );
    assert_eq!(client.get("/backend/no").await.status, 401);
    assert_eq!(authz.app.asked().len(), before + 2);

    let preflight = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "GET"),
    ];
    let mut request = get_with("/cors/no", &preflight);
    *request.method_mut() = http::Method::OPTIONS;
    assert_eq!(
        client.send(request).await.status,
        200,
        "a preflight carries no credentials"
    );
    assert_eq!(client.send(get_with("/cors/no", &preflight[..1])).await.status, 401);

    assert_eq!(client.send(post("/body", "0123456789")).await.status, 200);
    assert_eq!(authz.app.last().body, b"0123456789");
    assert_eq!(
        client.get("/nobody").await.status,
        500,
        "a filter that cannot be applied is not skipped"
    );
    assert_eq!(client.get("/else").await.status, 200);
    assert_eq!(client.send(post("/body", "0123456789a")).await.status, 413);
}

#[tokio::test]
async fn a_client_that_leaves_is_not_asked_about_any_longer() {
    let mut mesh = Mesh::new().await;
    let authz = mesh
        .world
        .authoriser("authz", "http", Reach::Clear, |_| Says::Nothing)
        .await;
    mesh.ask(http("authz", json!({ "timeout": "600s" })));
    let (waypoint, _client) = mesh.start().await;
    let mut raw = RawHttp::new(mesh.world.client(&waypoint).raw(&mesh.echo.vip).await);
    raw.send("GET /a HTTP/1.1\r\nHost: echo\r\n\r\n").await.unwrap();
    authz.app.until_asked(1).await;
    drop(raw);
    until("nothing is in flight", async || {
        waypoint.scrape().await.sum("waypoint_requests_in_flight", &[]) == 0.0
    })
    .await;
}
