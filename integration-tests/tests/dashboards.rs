//! Promise: every panel of the dashboards in `deploy/dashboards` has data: each of their expressions is asked of a real
//! Prometheus that scrapes a waypoint under traffic of every kind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::{HeaderMap, HeaderValue};
use integration_tests::peers::authoriser::{Authoriser, Says};
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::dns_server::DnsServer;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::grpc_client::call;
use integration_tests::peers::http_client::{HttpClient, get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Pod, Reach, SERVICE_PORT, backend};
use integration_tests::peers::prometheus::Prometheus;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::tcp_backend::{Manner, TcpBackend};
use integration_tests::peers::tokens::TokenIssuer;
use integration_tests::peers::waiting::{soon, until_ok};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A Service for everything that a panel counts, with what stands behind it.
struct Shop {
    world: MeshWorld,
    issuer: TokenIssuer,
    reviews: Pod<Echo>,
    grpc: Pod<Echo>,
    limited: Pod<Echo>,
    tcp: Pod<TcpBackend>,
    dns: DnsServer,
    _rest: (Pod<Echo>, Pod<Authoriser>, Pod<Scripted>, Scripted),
}

impl Shop {
    async fn new() -> Self {
        let mut world = MeshWorld::new();
        let reviews = world.echo("reviews", "v1", Reach::Hbone).await;
        let v2 = world.echo("reviews-v2", "v2", Reach::Hbone).await;
        let grpc = world.echo_as("grpc", "grpc", Reach::Hbone).await;
        let tcp = world.tcp("tcp", "tcp", Manner::Echo, Reach::Hbone).await;
        let limited = world.echo("limited", "v1", Reach::Clear).await;
        let failing = failing(&mut world).await;
        let judge = world.authoriser("judge", "grpc", Reach::Clear, |_| Says::yes()).await;
        let issuer = TokenIssuer::new("https://issuer.example", "k1");
        let keys = serve_keys(issuer.jwks()).await;
        routes(&mut world, reviews.ip);
        limits(&mut world);
        policies(&mut world, &issuer, &format!("http://{}/keys", keys.address()));
        let dns = DnsServer::start().await;
        egress(&world, &dns, reviews.ip);
        Self {
            world,
            issuer,
            reviews,
            grpc,
            limited,
            tcp,
            dns,
            _rest: (v2, judge, failing, keys),
        }
    }

    async fn start(&self) -> Waypoint {
        let launch = Launch::default().arg("--dns", self.dns.address());
        self.world.start_with(launch.arg("--dns-loopback", "allow")).await
    }

    /// One of everything.
    async fn round(&self, waypoint: &Waypoint, n: usize) {
        let client = self.world.client(waypoint);
        self.http(&client).await;
        let mut grpc = client.http2(&self.grpc.vip).await;
        call(&mut grpc, "Unary", "hello", 1).await;
        call(&mut grpc, "Nothing", "hello", 1).await;
        let mut tunnel = client.raw(&self.tcp.vip).await;
        tunnel.write_all(b"hello").await.unwrap();
        tunnel.shutdown().await.unwrap();
        soon("the echo", tunnel.read_to_end(&mut Vec::new())).await.unwrap();
        self.over_the_limit(&client, format!("round-{n}")).await;
        client.dial("240.0.0.1:80", HeaderMap::new()).await.unwrap_err();
    }

    async fn http(&self, client: &Arc<ClientTunnel>) {
        let mut http = client.http1(&self.reviews.vip).await;
        for path in [
            "/shop",
            "/shop",
            "/judged",
            "/half-dead",
            "/half-dead",
            "/empty",
            "/failing",
            "/retried/500",
            "/admin",
        ] {
            http.send(get(path)).await;
        }
        assert_eq!(http.send(get("/none")).await.status, 404);
        let token = format!("Bearer {}", self.issuer.sign("alice", json!({})));
        for token in [token.as_str(), "Bearer none"] {
            http.send(get_with("/shop", &[("authorization", token)])).await;
        }
        // Its answer is cut in the middle, so it has a connection of its own.
        let mut cut = client.http1(&self.limited.vip).await;
        cut.try_send(get("/do/reset")).await.unwrap_err();
    }

    /// Two requests at once where one is the limit.
    async fn over_the_limit(&self, client: &Arc<ClientTunnel>, gate: String) {
        let (first, vip, path) = (client.clone(), self.limited.vip.clone(), format!("/do/gate/{gate}"));
        let first = tokio::spawn(async move { first.get(&vip, &path).await });
        self.limited.app.gates().arrived(&gate, 1).await;
        assert_eq!(client.get(&self.limited.vip, "/").await.status, 503);
        self.limited.app.gates().open(&gate);
        first.await.unwrap();
    }
}

/// A canary with a mirror, and paths for what goes wrong.
fn routes(world: &mut MeshWorld, alive: Ipv4Addr) {
    let dead = world.dead_pod("dead", Reach::Clear);
    world.service("half-dead", "http", &[dead, alive]);
    world.service("empty", "http", &[]);
    let to = |path: &str, service: &str| json!({ "matches": [{ "path": { "value": path } }], "backendRefs": [backend(service, 1)] });
    let mirror = json!({ "type": "RequestMirror", "requestMirror": { "backendRef": backend("reviews-v2", 1) } });
    let rules = json!([
        { "matches": [{ "path": { "value": "/shop" } }, { "path": { "value": "/judged" } }, { "path": { "value": "/admin" } }],
          "filters": [mirror], "backendRefs": [backend("reviews", 90), backend("reviews-v2", 10)] },
        { "matches": [{ "path": { "value": "/retried" } }],
          "filters": [{ "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/do/status" } } }],
          "retry": { "codes": [500], "attempts": 1, "backoff": "1ms" }, "backendRefs": [backend("limited", 1)] },
        to("/half-dead", "half-dead"), to("/empty", "empty"), to("/failing", "failing"),
    ]);
    world.http_route("shop", "reviews", rules);
}

/// Ejection, a circuit limit, and a retry budget of one retry.
fn limits(world: &mut MeshWorld) {
    let ejection =
        json!({ "consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "1s", "maxEjectionPercent": 100 });
    world.destination_rule("failing", json!({ "trafficPolicy": { "outlierDetection": ejection } }));
    let pool = json!({ "http": { "http2MaxRequests": 1 } });
    world.destination_rule("limited", json!({ "trafficPolicy": { "connectionPool": pool } }));
    let budget = json!({ "retryConstraint": { "budget": { "percent": 0, "interval": "1h" },
        "minRetryRate": { "count": 1, "interval": "1h" } } });
    let api = "gateway.networking.x-k8s.io/v1alpha1";
    world.attach(api, "XBackendTrafficPolicy", "budget", "limited", budget);
}

fn policies(world: &mut MeshWorld, issuer: &TokenIssuer, keys: &str) {
    let api = "security.istio.io/v1";
    let judge = json!({ "service": format!("judge.{NAMESPACE}.svc.cluster.local"), "port": SERVICE_PORT });
    world.mesh_config(json!({ "extensionProviders": [{ "name": "judge", "envoyExtAuthzGrpc": judge }] }));
    let of = |path: &str| json!([{ "to": [{ "operation": { "paths": [path] } }] }]);
    let custom = json!({ "action": "CUSTOM", "provider": { "name": "judge" }, "rules": of("/judged") });
    world.attach(api, "AuthorizationPolicy", "ask", "reviews", custom);
    world.policy("no-admin", "reviews", "DENY", of("/admin"));
    let tokens = json!({ "jwtRules": [{ "issuer": issuer.issuer, "jwksUri": keys }] });
    world.attach(api, "RequestAuthentication", "tokens", "reviews", tokens);
}

fn egress(world: &MeshWorld, dns: &DnsServer, alive: Ipv4Addr) {
    dns.set("api.example.com", &[alive]);
    let ports = json!([{ "number": 80, "name": "http", "protocol": "HTTP" }]);
    let spec = json!({ "hosts": ["api.example.com"], "resolution": "DNS", "ports": ports });
    let object = json!({ "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": { "name": "api", "namespace": NAMESPACE }, "spec": spec });
    world.apply("serviceentry-api.yaml", object);
}

/// A pod that answers 500 to everything.
async fn failing(world: &mut MeshWorld) -> Pod<Scripted> {
    let answer = "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n";
    world
        .script("failing", move |mut connection| async move {
            while connection.head().await.is_ok() {
                if connection.send(answer).await.is_err() {
                    return;
                }
            }
        })
        .await
}

async fn serve_keys(jwks: Value) -> Scripted {
    let text = jwks.to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    Scripted::start(Ipv4Addr::LOCALHOST, 0, move |mut connection| {
        let answer = answer.clone();
        async move { while connection.head().await.is_ok() && connection.send(answer.clone()).await.is_ok() {} }
    })
    .await
}

/// A panel's expression with Grafana's variables filled in: everything, over the last seconds.
struct Panel {
    title: String,
    expression: String,
}

fn panels(file: &str) -> Vec<Panel> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/dashboards")
        .join(file);
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            let mut expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "20s");
            for name in &names {
                expression = expression.replace(&format!("\"${name}\""), "\".*\"");
            }
            assert!(
                !expression.contains('$'),
                "a variable that the dashboard does not have: {expression}"
            );
            let title = panel["title"].as_str().unwrap().to_owned();
            panels.push(Panel { title, expression });
        }
    }
    panels
}

/// The panels that have no number to show.
async fn empty(prometheus: &Prometheus, panels: Vec<Panel>) -> Vec<Panel> {
    let mut empty = Vec::new();
    for panel in panels {
        let samples = prometheus.query(&panel.expression).await;
        let samples = samples.unwrap_or_else(|why| panic!("{}: {}\n{why}", panel.title, panel.expression));
        if samples.iter().all(|(_, value)| value.is_nan()) {
            empty.push(panel);
        }
    }
    empty
}

/// More than this many rounds of traffic are never sent.
const MOST_ROUNDS: usize = 40;

#[tokio::test]
async fn every_panel_has_data() {
    let shop = Shop::new().await;
    let waypoint = shop.start().await;
    let Some(prometheus) = Prometheus::start(waypoint.metrics, "/stats/prometheus").await else {
        return;
    };
    let mut waiting = panels("waypoint.json");
    waiting.extend(panels("istio-service.json"));
    assert!(waiting.len() > 50, "{}", waiting.len());
    for n in 0..MOST_ROUNDS {
        shop.round(&waypoint, n).await;
        prometheus.scraped().await;
        waiting = empty(&prometheus, waiting).await;
        if waiting.is_empty() {
            return;
        }
    }
    let left: Vec<_> = waiting
        .iter()
        .map(|panel| format!("{}: {}", panel.title, panel.expression))
        .collect();
    panic!("no data after {MOST_ROUNDS} rounds of traffic:\n{}", left.join("\n"));
}

/// Kiali builds its graph from this grouping (`graph/telemetry/istio` there).
const KIALI: &str = "sum(rate(istio_requests_total{reporter=\"waypoint\"}[20s])) by (source_cluster,source_workload_namespace,\
    source_workload,source_canonical_service,source_canonical_revision,destination_cluster,destination_service_namespace,\
    destination_service,destination_service_name,destination_workload_namespace,destination_workload,\
    destination_canonical_service,destination_canonical_revision,request_protocol,response_code,grpc_response_status,\
    response_flags) > 0";

#[tokio::test]
async fn kiali_finds_its_edges() {
    let mut world = MeshWorld::new();
    let echo = world.echo("reviews", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let Some(prometheus) = Prometheus::start(waypoint.metrics, "/stats/prometheus").await else {
        return;
    };
    let client = world.client(&waypoint);
    let mut baggage = HeaderMap::new();
    let source = "k8s.cluster.name=Kubernetes,k8s.namespace.name=demo,k8s.deployment.name=shop,service.name=shop,service.version=v7";
    baggage.insert("baggage", HeaderValue::from_static(source));
    let tunnel = client.dial(&echo.vip.authority(), baggage).await.unwrap();
    let mut http = HttpClient::http1(tunnel, "reviews").await.unwrap();
    let edge = until_ok("the edge is there", async || {
        http.get("/").await;
        let samples = prometheus.query(KIALI).await?;
        samples
            .into_iter()
            .next()
            .map(|(labels, _)| labels)
            .ok_or_else(|| "no rows".to_owned())
    })
    .await;
    let wanted = json!({
        "source_cluster": "Kubernetes", "source_workload_namespace": "demo", "source_workload": "shop",
        "source_canonical_service": "shop", "source_canonical_revision": "v7",
        "destination_cluster": "Kubernetes", "destination_service_namespace": "demo",
        "destination_service": "reviews.demo.svc.cluster.local", "destination_service_name": "reviews",
        "destination_workload_namespace": "demo", "destination_workload": "reviews",
        "destination_canonical_service": "reviews", "destination_canonical_revision": "v1",
        "request_protocol": "http", "response_code": "200", "response_flags": "-",
    });
    // Prometheus leaves the label without a value out: grpc_response_status.
    assert_eq!(edge, wanted);
}
