//! Promise: policies and tokens decide as Istio's do, inside an accepted tunnel, and from one request to the next.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::{get, get_with, post};
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::otlp::{Collector, SeenSpan};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::tokens::TokenIssuer;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::Launch;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn deny_by_path_however_it_is_spelt() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.policy(
        "no-admin",
        "echo",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/admin", "/admin/*"] } }] }]),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for path in [
        "/admin",
        "/admin/users",
        "/admin/users?x=1",
        "/x/../admin/users",
        "/./admin",
        "/%61dmin/users",
        "/x/%2e%2e/admin",
    ] {
        let mut raw = RawHttp::new(client.raw(&echo.vip).await);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: echo\r\n\r\n"))
            .await
            .unwrap();
        let head = raw.head().await.unwrap();
        let body = raw.body(&head).await.unwrap();
        assert_eq!(
            (head.status(), body.as_slice()),
            (403, &b"RBAC: access denied"[..]),
            "{path}"
        );
    }
    assert_eq!(echo.app.counts().requests, 0);
    for path in ["/", "/administrator", "/x/admin"] {
        assert_eq!(client.get(&echo.vip, path).await.status, 200, "{path}");
    }
    let denied = waypoint.scrape().await.sum("waypoint_policy_denials_total", &[]);
    assert_eq!(denied, 7.0);
}

#[tokio::test]
async fn allow_by_identity_lets_nobody_else_in() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.policy(
        "friends",
        "echo",
        "ALLOW",
        json!([
            { "from": [{ "source": { "principals": ["cluster.local/ns/demo/sa/friend"] } }] },
            { "from": [{ "source": { "namespaces": ["ops"] } }], "to": [{ "operation": { "methods": ["GET"] } }] },
        ]),
    );
    let waypoint = world.start().await;
    let cases = [
        ("demo", "friend", 200, 200),
        ("demo", "friend-2", 403, 403),
        ("ops", "anyone", 200, 403),
        ("opsy", "anyone", 403, 403),
    ];
    for (namespace, account, wanted_get, wanted_post) in cases {
        let mut client = world.client_as(&waypoint, namespace, account).http1(&echo.vip).await;
        let got = client.get("/").await.status;
        let posted = client.send(post("/", "x")).await.status;
        assert_eq!(
            (got.as_u16(), posted.as_u16()),
            (wanted_get, wanted_post),
            "{namespace}/{account}"
        );
    }
}

/// Ids that are not of Istio's form come from other issuers under the same roots: policies match them as text.
#[tokio::test]
async fn a_spiffe_id_of_another_form_is_judged_as_text() {
    let mut world = MeshWorld::new();
    let open = world.echo("open", "v1", Reach::Hbone).await;
    let jobs = world.echo("jobs", "v1", Reach::Hbone).await;
    let shops = world.echo("shops", "v1", Reach::Hbone).await;
    let allow = |source: serde_json::Value| json!([{ "from": [{ "source": source }] }]);
    world.policy(
        "jobs",
        "jobs",
        "ALLOW",
        allow(json!({ "principals": ["cluster.local/batch/*"] })),
    );
    world.policy("shops", "shops", "ALLOW", allow(json!({ "namespaces": ["shop"] })));
    let waypoint = world.start().await;
    let cases = [
        ("spiffe://cluster.local/batch/nightly", [200, 200, 403]),
        ("spiffe://cluster.local/shop/nightly", [200, 403, 403]),
        ("spiffe://cluster.local/env/blue/ns/shop/sa/cart", [200, 403, 200]),
        ("spiffe://cluster.local/ns/shop/sa/cart/env/blue", [200, 403, 200]),
    ];
    for (uri, wanted) in cases {
        let client = world.client_with(&waypoint, uri);
        for (vip, status) in [&open.vip, &jobs.vip, &shops.vip].into_iter().zip(wanted) {
            assert_eq!(client.get(vip, "/").await.status, status, "{uri} to {}", vip.name);
        }
    }
}

#[tokio::test]
async fn a_denial_leaves_the_connection_usable() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.policy(
        "no-admin",
        "echo",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/admin"] } }] }]),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for mut client in [client.http1(&echo.vip).await, client.http2(&echo.vip).await] {
        for _ in 0..3 {
            assert_eq!(client.get("/admin").await.status, 403);
            assert_eq!(client.get("/fine").await.status, 200);
            assert_eq!(client.send(post("/admin", "a small body")).await.status, 403);
            assert_eq!(client.get("/fine").await.status, 200);
        }
        assert!(!client.is_closed());
    }
}

#[tokio::test]
async fn a_new_policy_counts_on_open_connections() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let (mut http1, mut http2) = (client.http1(&echo.vip).await, client.http2(&echo.vip).await);
    assert_eq!(
        (
            http1.get("/").await.status.as_u16(),
            http2.get("/").await.status.as_u16()
        ),
        (200, 200)
    );
    world.policy(
        "nobody",
        "echo",
        "ALLOW",
        json!([{ "from": [{ "source": { "principals": ["nobody"] } }] }]),
    );
    until("HTTP/1 sees the policy", async || http1.get("/").await.status == 403).await;
    until("HTTP/2 sees the policy", async || http2.get("/").await.status == 403).await;
    world.remove("authorizationpolicy-nobody.yaml");
    until("and that it has gone", async || http1.get("/").await.status == 200).await;
}

#[tokio::test]
async fn tokens() {
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let forger = TokenIssuer::new("https://issuer.example", "k1");
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.attach(
        "security.istio.io/v1",
        "RequestAuthentication",
        "tokens",
        "echo",
        json!({ "jwtRules": [{
        "issuer": issuer.issuer, "jwks": issuer.jwks().to_string(), "audiences": ["reviews"],
        "outputClaimToHeaders": [{ "header": "x-subject", "claim": "sub" }] }] }),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let reviews = json!({ "aud": "reviews" });
    let good = issuer.sign("alice", reviews.clone());
    let cases = [
        ("none", None, 200),
        ("a good one", Some(good.clone()), 200),
        ("not a token", Some("nonsense".into()), 401),
        ("a forged one", Some(forger.sign("alice", reviews.clone())), 401),
        (
            "an expired one",
            Some(issuer.sign("alice", json!({ "aud": "reviews", "exp": 1_000_000 }))),
            401,
        ),
        (
            "one from the future",
            Some(issuer.sign("alice", json!({ "aud": "reviews", "nbf": 4_000_000_000u64 }))),
            401,
        ),
        (
            "another audience",
            Some(issuer.sign("alice", json!({ "aud": "ratings" }))),
            403,
        ),
        (
            "another issuer",
            Some(issuer.sign("alice", json!({ "aud": "reviews", "iss": "https://other.example" }))),
            401,
        ),
        ("a cut signature", Some(good[..good.len() - 4].to_owned()), 401),
    ];
    for (what, token, wanted) in cases {
        let request = match &token {
            None => get("/"),
            Some(token) => get_with("/", &[("authorization", &format!("Bearer {token}"))]),
        };
        let reply = client.send(request).await;
        assert_eq!(reply.status, wanted, "{what}: {reply:?}");
        if wanted == 401 {
            let challenge = reply.header("www-authenticate");
            assert!(
                challenge.starts_with("Bearer realm=") && challenge.contains("invalid_token"),
                "{what}: {challenge:?}"
            );
        }
    }
    let reply = client
        .send(get_with(
            "/",
            &[("authorization", &format!("Bearer {good}")), ("x-subject", "mallory")],
        ))
        .await;
    assert_eq!(
        reply.seen_header("x-subject").as_deref(),
        Some("alice"),
        "a client can't set the header itself"
    );
    assert_eq!(
        reply.seen_header("authorization"),
        None,
        "the token is not forwarded by default"
    );
}

#[tokio::test]
async fn requiring_a_token_and_a_claim() {
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.attach(
        "security.istio.io/v1",
        "RequestAuthentication",
        "tokens",
        "echo",
        json!({ "jwtRules": [{ "issuer": issuer.issuer, "jwks": issuer.jwks().to_string() }] }),
    );
    world.policy(
        "writers",
        "echo",
        "ALLOW",
        json!([{
        "from": [{ "source": { "requestPrincipals": ["https://issuer.example/*"] } }],
        "when": [{ "key": "request.auth.claims[groups]", "values": ["writers"] }] }]),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let bearer = |groups: serde_json::Value| format!("Bearer {}", issuer.sign("alice", json!({ "groups": groups })));
    for (groups, wanted) in [
        (json!(["readers", "writers"]), 200),
        (json!(["readers"]), 403),
        (json!("writers"), 200),
        (json!(7), 403),
    ] {
        let reply = client
            .send(get_with("/", &[("authorization", &bearer(groups.clone()))]))
            .await;
        assert_eq!(reply.status, wanted, "groups {groups}");
    }
    assert_eq!(client.get("/").await.status, 403, "no token");
}

/// AUDIT and `istio.io/dry-run` change no answer; what they would have said is in the metrics.
#[tokio::test]
async fn audit_and_dry_run_are_counted_and_not_enforced() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    let on = |path: &str| json!([{ "to": [{ "operation": { "paths": [path] } }] }]);
    world.policy("seen", "echo", "AUDIT", on("/seen"));
    world.dry_run("no-admin", "echo", "DENY", on("/admin"));
    world.dry_run("only-read", "echo", "ALLOW", on("/read"));
    world.dry_run("closed", "db", "DENY", json!([{}]));
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for path in ["/seen", "/admin", "/read", "/read"] {
        assert_eq!(client.get(&echo.vip, path).await.status, 200, "{path}");
    }
    let mut bytes = client.raw(&db.vip).await;
    bytes.write_all(b"x").await.unwrap();
    soon("the echo", bytes.read_exact(&mut [0])).await.unwrap();

    let metrics = waypoint.scrape().await;
    let dry = |policy: &str, action: &str, result: &str| {
        let labels = [("policy", policy), ("action", action), ("result", result)];
        metrics.sum("waypoint_policy_dry_run_total", &labels)
    };
    let rule = |name: &str| format!("ns[demo]-policy[{name}]-rule[0]");
    assert_eq!(
        metrics.sum("waypoint_policy_audits_total", &[("policy", &rule("seen"))]),
        1.0
    );
    assert_eq!(dry(&rule("no-admin"), "DENY", "denied"), 1.0);
    assert_eq!(dry("none", "DENY", "allowed"), 3.0);
    assert_eq!(dry(&rule("only-read"), "ALLOW", "allowed"), 2.0);
    assert_eq!(dry("none", "ALLOW", "denied"), 2.0);
    assert_eq!(dry(&rule("closed"), "DENY", "denied"), 1.0);
    assert_eq!(metrics.sum("waypoint_policy_denials_total", &[]), 0.0);
}

#[tokio::test]
async fn spans_tell_what_policies_in_dry_run_would_have_said() {
    let collector = Collector::start().await;
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let on = |path: &str| json!([{ "to": [{ "operation": { "paths": [path] } }] }]);
    world.dry_run("no-admin", "echo", "DENY", on("/admin"));
    world.dry_run("only-read", "echo", "ALLOW", on("/read"));
    let launch = Launch::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.grpc))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("WAYPOINT_TRACE_SAMPLING", "1.0");
    let waypoint = world.start_with(launch).await;
    let client = world.client(&waypoint);
    for path in ["/admin", "/read"] {
        assert_eq!(client.get(&echo.vip, path).await.status, 200, "{path}");
    }
    let is_server = |span: &SeenSpan| span.span.kind == SpanKind::Server as i32;
    let spans = collector.until("both requests", 2, is_server).await;
    let told = |path: &str, tag: &str| {
        let of_path = |span: &&SeenSpan| span.attribute("url.path").as_deref() == Some(path);
        let span = spans.iter().find(of_path).unwrap();
        span.attribute(&format!("istio.authorization.dry_run.{tag}"))
    };
    let rule = |name: &str| Some(format!("ns[demo]-policy[{name}]-rule[0]"));
    let result = |text: &str| Some(text.to_owned());
    assert_eq!(told("/admin", "deny_policy.name"), rule("no-admin"));
    assert_eq!(told("/admin", "deny_policy.result"), result("denied"));
    assert_eq!(told("/admin", "allow_policy.name"), None);
    assert_eq!(told("/admin", "allow_policy.result"), result("denied"));
    assert_eq!(told("/read", "deny_policy.name"), None);
    assert_eq!(told("/read", "deny_policy.result"), result("allowed"));
    assert_eq!(told("/read", "allow_policy.name"), rule("only-read"));
    assert_eq!(told("/read", "allow_policy.result"), result("allowed"));
}

#[tokio::test]
async fn on_tcp_a_denied_connection_is_closed() {
    let mut world = MeshWorld::new();
    let db = world.tcp("db", "tcp", Manner::Echo, Reach::Hbone).await;
    world.policy(
        "friends",
        "db",
        "ALLOW",
        json!([{ "from": [{ "source": { "principals": ["cluster.local/ns/demo/sa/friend"] } }] }]),
    );
    let waypoint = world.start().await;
    let mut friend = world.client_as(&waypoint, "demo", "friend").raw(&db.vip).await;
    friend.write_all(b"x").await.unwrap();
    soon("the echo", friend.read_exact(&mut [0])).await.unwrap();
    if let Ok(mut stranger) = world
        .client(&waypoint)
        .dial(&db.vip.authority(), http::HeaderMap::new())
        .await
    {
        let _ = stranger.write_all(b"x").await;
        let mut got = Vec::new();
        let _ = soon("the end", stranger.read_to_end(&mut got)).await;
        assert_eq!(got, b"");
    }
    db.app.until_open(1).await;
}
