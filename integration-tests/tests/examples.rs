//! Promise: every folder of `config-examples` does what its first comment says.
//!
//! The folders have fixed addresses (127.10.0.x, 127.20.0.x); here each runs on a subnet of its own, so that tests and
//! a running demo don't meet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::authoriser::{Authoriser, Says};
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::destination_tunnel::DestinationTunnel;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::grpc_client::{call, status};
use integration_tests::peers::http_client::{get_with, post};
use integration_tests::peers::loopback::Subnet;
use integration_tests::peers::mesh_world::{Vip, put};
use integration_tests::peers::pki::{Certs, Pki};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::tls_backend::{TlsBackend, greet};
use integration_tests::peers::tokens::TokenIssuer;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint, binary};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// An example that runs: its pods, its waypoint.
struct Example {
    subnet: Subnet,
    pki: Pki,
    config: tempfile::TempDir,
    waypoint: Waypoint,
    backends: BTreeMap<String, (Echo, DestinationTunnel)>,
    _certs: Certs,
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config-examples")
        .join(name)
}

impl Example {
    /// `pods`: last byte of the address, version.
    async fn start(name: &str, service: &str, port: u16, pods: &[(u8, &str)]) -> Self {
        let (subnet, pki, config) = (Subnet::lease(), Pki::new("cluster.local"), tempfile::tempdir().unwrap());
        let mut backends = BTreeMap::new();
        for (n, version) in pods {
            let ip = subnet.pod(*n);
            let echo = Echo::start(ip, port, service, version).await;
            let tunnel = DestinationTunnel::start(&pki, ip, "demo", service, "demo").await;
            backends.insert((*version).to_owned(), (echo, tunnel));
        }
        let x = subnet.third_byte();
        for file in std::fs::read_dir(folder(name)).unwrap() {
            let file = file.unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            let text = text
                .replace("127.10.0.", &format!("127.10.{x}."))
                .replace("127.20.0.", &format!("127.20.{x}."));
            put(config.path(), file.file_name().to_str().unwrap(), &text);
        }
        let certs = pki.issue("demo", "waypoint");
        let waypoint = Waypoint::start(config.path(), certs.path(), "demo", "cluster.local", Launch::default()).await;
        let findings = waypoint.scrape().await;
        for kind in ["errors", "warnings"] {
            let found = findings.sum(&format!("waypoint_config_findings_{kind}"), &[]);
            assert_eq!(found, 0.0, "{kind} in config-examples/{name}:\n{}", waypoint.log());
        }
        Self {
            subnet,
            pki,
            config,
            waypoint,
            backends,
            _certs: certs,
        }
    }

    fn client(&self, service_account: &str) -> Arc<ClientTunnel> {
        Arc::new(ClientTunnel::new(
            self.waypoint.hbone,
            &self.pki,
            "demo",
            "demo",
            service_account,
        ))
    }

    fn vip(&self, name: &str, n: u8, port: u16) -> Vip {
        Vip {
            name: name.into(),
            ip: self.subnet.vip(n),
            port,
        }
    }

    fn reviews(&self) -> Vip {
        self.vip("reviews", 10, 9080)
    }

    fn requests(&self, version: &str) -> u64 {
        self.backends[version].0.counts().requests
    }

    /// Status of a GET whose path is sent as it is written.
    async fn raw_status(&self, path: &str) -> u16 {
        let mut raw = RawHttp::new(self.client("curl").raw(&self.reviews()).await);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: reviews:9080\r\n\r\n"))
            .await
            .unwrap();
        raw.head().await.unwrap().status()
    }
}

fn demo_token() -> String {
    format!(
        "Bearer {}",
        std::fs::read_to_string(folder("jwt").join("demo.jwt")).unwrap().trim()
    )
}

fn demo_issuer() -> TokenIssuer {
    // The public half is in config-examples; the private half only signs for tests and the demo.
    TokenIssuer::from_pem(
        "https://issuer.demo.example",
        "demo",
        include_str!("../testdata/demo-issuer.key.pem"),
    )
}

#[test]
fn there_is_a_test_for_every_folder() {
    let mut names: Vec<_> = std::fs::read_dir(folder("")).unwrap().map(|e| e.unwrap()).collect();
    names.retain(|e| e.file_type().unwrap().is_dir());
    let mut names: Vec<_> = names.iter().map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "canary",
            "default-deny",
            "deny",
            "destination-rule",
            "egress",
            "ext-authz",
            "grpc",
            "jwt",
            "jwt-uri",
            "mirror",
            "streams",
            "telemetry",
            "virtual-service"
        ]
    );
}

#[test]
fn check_finds_nothing_in_any_folder() {
    for folder in std::fs::read_dir(folder(""))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.file_type().unwrap().is_dir())
    {
        let run = std::process::Command::new(binary())
            .arg("check")
            .arg(folder.path())
            .output()
            .unwrap();
        let said = [run.stdout, run.stderr]
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .concat();
        assert!(
            run.status.success() && !said.contains("warning:"),
            "{:?}: {}\n{said}",
            folder.path(),
            run.status
        );
    }
}

#[tokio::test]
async fn canary() {
    let example = Example::start("canary", "reviews", 9080, &[(11, "v1"), (12, "v2")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    for _ in 0..2000 {
        assert_eq!(client.get("/reviews/1").await.status, 200);
    }
    // 200 of 2,000 expected; five standard deviations are 67.
    let (v1, v2) = (example.requests("v1"), example.requests("v2"));
    assert!((133..=267).contains(&v2) && v1 + v2 == 2000, "{v1} to v1, {v2} to v2");
    assert_eq!(example.raw_status("/admin/users").await, 403);
    assert_eq!(example.raw_status("/x/../admin/users").await, 403);
    assert_eq!(
        client
            .send(get_with("/reviews/1", &[("authorization", "Bearer nonsense")]))
            .await
            .status,
        401
    );
    assert_eq!(
        client
            .send(get_with("/reviews/1", &[("authorization", &demo_token())]))
            .await
            .status,
        200
    );
    // What the demo's slider does.
    let route = std::fs::read_to_string(folder("canary").join("10-route.yaml")).unwrap();
    let shifted = route
        .replace("weight: 90", "weight: 0")
        .replace("weight: 10", "weight: 100");
    assert_ne!(route, shifted);
    put(example.config.path(), "10-route.yaml", &shifted);
    let mut streak = 0;
    until("all goes to v2", async || {
        streak = if client.get("/reviews/1").await.header("x-backend") == "v2" {
            streak + 1
        } else {
            0
        };
        streak == 30
    })
    .await;
}

#[tokio::test]
async fn mirror() {
    let example = Example::start("mirror", "reviews", 9080, &[(11, "v1"), (12, "v2")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    for _ in 0..10 {
        assert_eq!(client.get("/reviews/1").await.header("x-backend"), "v1");
    }
    let shadow = &example.backends["v2"].0;
    shadow.until("v2 has a copy of each", |c| c.requests == 10).await;
    let reply = client.send(post("/reviews/1", r#"{"stars": 5}"#)).await;
    assert_eq!(
        (reply.field("version"), reply.field("body_bytes")),
        ("v1".into(), "12".into())
    );
    shadow
        .until("and of the body", |c| {
            c.requests == 11 && c.body_bytes == 12 && c.open == 0
        })
        .await;
    assert_eq!(
        client.get("/do/status/500").await.status,
        500,
        "v1's own failures are the client's business"
    );
}

#[tokio::test]
async fn jwt() {
    let example = Example::start("jwt", "reviews", 9080, &[(11, "v1")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    assert_eq!(client.get("/reviews/1").await.status, 403);
    assert_eq!(
        client
            .send(get_with("/reviews/1", &[("authorization", "Bearer nonsense")]))
            .await
            .status,
        401
    );
    let reply = client
        .send(get_with("/reviews/1", &[("authorization", &demo_token())]))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.seen_header("authorization"), None);
    assert!(reply.seen_header("x-jwt-payload").is_some(), "{}", reply.text());
    let mut write = post("/reviews/1", "{}");
    write
        .headers_mut()
        .insert("authorization", demo_token().try_into().unwrap());
    assert_eq!(client.send(write).await.status, 403, "alice is no writer");
    let writer = format!(
        "Bearer {}",
        demo_issuer().sign("bob", serde_json::json!({ "groups": ["writers"] }))
    );
    let mut write = post("/reviews/1", "{}");
    write.headers_mut().insert("authorization", writer.try_into().unwrap());
    assert_eq!(client.send(write).await.status, 200);
}

#[tokio::test]
async fn jwt_uri() {
    let example = Example::start("jwt-uri", "reviews", 9080, &[(11, "v1")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    let read = || get_with("/reviews/1", &[("authorization", &demo_token())]);
    assert_eq!(client.send(read()).await.status, 401, "nobody has the keys yet");
    assert_eq!(client.get("/reviews/1").await.status, 403);
    let keys = std::fs::read_to_string(folder("jwt-uri").join("jwks.json")).unwrap();
    let issuer = Scripted::start(example.subnet.pod(31), 8000, move |mut connection| {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keys}", keys.len());
        async move {
            if connection.head().await.is_ok() {
                let _ = connection.send(answer).await;
            }
        }
    });
    let _issuer = issuer.await;
    until("the keys are there", async || client.send(read()).await.status == 200).await;
    let nonsense = get_with("/reviews/1", &[("authorization", "Bearer nonsense")]);
    assert_eq!(client.send(nonsense).await.status, 401);
}

#[tokio::test]
async fn default_deny() {
    let example = Example::start("default-deny", "reviews", 9080, &[(11, "v1"), (12, "v1-ratings")]).await;
    let (reviews, ratings) = (example.reviews(), example.vip("ratings", 12, 9080));
    let mut shop = example.client("shop").http1(&reviews).await;
    assert_eq!(shop.get("/reviews/1").await.status, 200);
    assert_eq!(shop.send(post("/reviews/1", "{}")).await.status, 403, "reading only");
    assert_eq!(example.client("shop").get(&ratings, "/ratings/1").await.status, 403);
    assert_eq!(example.client("curl").get(&reviews, "/reviews/1").await.status, 403);
    let tunnel = &example.backends["v1"].1;
    assert_eq!((tunnel.tunnels(), tunnel.refusals()), (1, Vec::new()));
    // What the layer 4 policy asks of the node tunnel, and ours here asks it of its clients: to be the waypoint.
    let manifest = std::fs::read_to_string(folder("default-deny").join("default-deny.yaml")).unwrap();
    assert!(manifest.contains(r#"principals: ["cluster.local/ns/demo/sa/waypoint"]"#));
}

#[tokio::test]
async fn deny() {
    let example = Example::start("deny", "reviews", 9080, &[(11, "v1")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    assert_eq!(client.get("/reviews/1").await.status, 200);
    for path in ["/admin/users", "/x/../admin/users", "/%61dmin/users", "/admin"] {
        assert_eq!(example.raw_status(path).await, 403, "{path}");
    }
    let mut delete = post("/reviews/1", "");
    *delete.method_mut() = http::Method::DELETE;
    assert_eq!(client.send(delete).await.status, 403);
    assert_eq!(
        example
            .client("admin")
            .get(&example.reviews(), "/admin/users")
            .await
            .status,
        200
    );
    let stranger = ClientTunnel::new(example.waypoint.hbone, &example.pki, "demo", "elsewhere", "curl");
    assert_eq!(stranger.get(&example.reviews(), "/reviews/1").await.status, 403);
}

#[tokio::test]
async fn telemetry() {
    let example = Example::start("telemetry", "reviews", 9080, &[(11, "v1")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    let as_ann = |path| get_with(path, &[("x-user", "ann")]);
    let reply = client.send(as_ann("/reviews/1")).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.seen_header("traceparent").unwrap().ends_with("-01"),
        "every request is sampled"
    );
    assert_eq!(client.send(as_ann("/do/status/503")).await.status, 503);
    until("both are counted for ann", async || {
        let samples = example.waypoint.scrape().await;
        samples.sum("istio_requests_total", &[("user", "ann")]) == 2.0
            && samples.find("istio_request_bytes_count", &[]).next().is_none()
    })
    .await;
    let line = example
        .waypoint
        .until_logged("the error", |line| line.contains("\"status\":503"))
        .await;
    assert!(
        line.contains("\"user\":\"ann\"") && line.contains("/do/status/503"),
        "{line}"
    );
    assert!(
        !example.waypoint.log().contains("/reviews/1"),
        "what went well is not logged"
    );
}

#[tokio::test]
async fn ext_authz() {
    let example = Example::start("ext-authz", "reviews", 9080, &[(11, "v1")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    let allow = || get_with("/reviews/1", &[("x-ext-authz", "allow")]);
    assert_eq!(client.send(allow()).await.status, 503, "nobody is there to ask");
    let authoriser = Authoriser::start(example.subnet.pod(31), 8000, |asked| {
        if asked.headers.get("x-ext-authz").is_some_and(|value| value == "allow") {
            return Says::Yes {
                upstream: vec![("x-ext-authz-check-result", "allowed")],
                client: Vec::new(),
            };
        }
        Says::No(403, vec![("x-ext-authz-check-result", "denied")], "denied by ext_authz")
    })
    .await;
    let reply = client.send(allow()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.seen_header("x-ext-authz-check-result")),
        (200, Some("allowed".into()))
    );
    let reply = client.get("/reviews/1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "denied by ext_authz"));
    assert_eq!(reply.header("x-ext-authz-check-result"), "denied");
    assert_eq!(client.get("/health").await.status, 200);
    assert_eq!(authoriser.asked().len(), 2);
}

#[tokio::test]
async fn grpc() {
    let example = Example::start("grpc", "echo", 9090, &[(21, "v1"), (22, "v2")]).await;
    let vip = example.vip("echo", 20, 9090);
    let mut client = example.client("curl").http2(&vip).await;
    let (messages, trailers) = call(&mut client, "Unary", "hi", 1).await;
    assert_eq!((messages[0].text.as_str(), status(&trailers)), ("v2: hi", 0));
    let (messages, trailers) = call(&mut client, "ServerStream", "hi", 3).await;
    assert_eq!(
        (messages.len(), messages[0].text.as_str(), status(&trailers)),
        (3, "v1: hi", 0)
    );
    let mut other = post("/other.Service/Call", "");
    other
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/grpc"));
    let reply = client.send(other).await;
    assert_eq!(reply.header("grpc-status"), "12", "{reply:?}");
}

#[tokio::test]
async fn virtual_service() {
    let example = Example::start("virtual-service", "reviews", 9080, &[(11, "v1"), (12, "v2")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    for _ in 0..1000 {
        assert_eq!(client.get("/reviews/1").await.status, 200);
    }
    // 100 of 1,000 expected; five standard deviations are 47.
    let (v1, v2) = (example.requests("v1"), example.requests("v2"));
    assert!((53..=147).contains(&v2) && v1 + v2 == 1000, "{v1} to v1, {v2} to v2");
    let reply = client.send(get_with("/reviews/1", &[("end-user", "jason")])).await;
    assert_eq!(reply.header("x-backend"), "v2");
    let reply = client.send(get_with("/reviews/1", &[("x-fault", "abort")])).await;
    assert_eq!(reply.status, 503);
    assert_eq!(client.get("/old-reviews/1").await.field("path"), "/reviews/1");
    assert_eq!(client.get("/teapot").await.status, 418);
}

#[tokio::test]
async fn destination_rule() {
    let example = Example::start("destination-rule", "reviews", 9080, &[(11, "v1"), (12, "v2")]).await;
    let mut client = example.client("curl").http1(&example.reviews()).await;
    let mut used = std::collections::BTreeSet::new();
    for user in 0..24 {
        let user = format!("user-{user}");
        let mut pods = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let reply = client.send(get_with("/reviews/1", &[("end-user", &user)])).await;
            pods.insert(reply.header("x-backend").to_owned());
        }
        assert_eq!(pods.len(), 1, "{user}");
        used.extend(pods);
    }
    assert_eq!(used.len(), 2, "all users at one of two pods");
    for _ in 0..4 {
        let reply = client.get("/v2/reviews/1").await;
        assert_eq!(
            (reply.header("x-backend"), reply.field("path").as_str()),
            ("v2", "/reviews/1")
        );
    }
    // Five in a row, and the pod of this user is out: another steps in.
    let reply = client.send(get_with("/reviews/1", &[("end-user", "jason")])).await;
    let own = reply.header("x-backend").to_owned();
    for _ in 0..5 {
        let reply = client.send(get_with("/do/status/500", &[("end-user", "jason")])).await;
        assert_eq!(reply.status, 500);
    }
    let reply = client.send(get_with("/reviews/1", &[("end-user", "jason")])).await;
    assert_ne!(reply.header("x-backend"), own);
}

#[tokio::test]
async fn streams() {
    let example = Example::start("streams", "none", 9080, &[]).await;
    let greeter = |n: u8, name: &'static str| {
        Scripted::start(example.subnet.pod(n), 5432, move |mut connection| async move {
            let _ = connection.send(name).await;
        })
    };
    let _dbs = [greeter(41, "v1").await, greeter(42, "v2").await];
    let client = example.client("curl");
    let mut to_v2 = 0;
    for _ in 0..300 {
        let mut connection = client.raw(&example.vip("db", 40, 5432)).await;
        let mut name = [0; 2];
        soon("a greeting", connection.read_exact(&mut name)).await.unwrap();
        to_v2 += usize::from(&name == b"v2");
    }
    // 30 of 300 expected; five standard deviations are 26.
    assert!((4..=56).contains(&to_v2), "{to_v2} of 300 to v2");

    let names = ["shop.example.com", "beta.example.com", "example.org"];
    let v1 = TlsBackend::start(example.subnet.pod(43), 9443, "v1", &names).await;
    let v2 = TlsBackend::start(example.subnet.pod(44), 9443, "v2", &names).await;
    for (name, server, wanted) in [
        ("shop.example.com", &v1, "v1 shop.example.com"),
        ("beta.example.com", &v2, "v2 beta.example.com"),
        ("example.org", &v1, ""),
    ] {
        let tunnel = client.raw(&example.vip("secure", 43, 443)).await;
        let greeting = greet(tunnel, server.roots(), name).await.unwrap_or_default();
        assert_eq!(greeting, wanted, "{name}");
    }
}

#[tokio::test]
async fn egress() {
    let example = Example::start("egress", "partner", 9080, &[(11, "v1")]).await;
    let vip = example.vip("partner.example.com", 10, 80);
    let mut client = example.client("curl").http1(&vip).await;
    assert_eq!(client.get("/orders/1").await.status, 200);
    assert_eq!(client.send(post("/orders/1", "{}")).await.status, 403);
    let tunnels = example.client("curl");
    let elsewhere = tunnels.dial("elsewhere.example:80", http::HeaderMap::new()).await;
    assert!(elsewhere.is_err());
}
