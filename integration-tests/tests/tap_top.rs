//! Promise: a running waypoint can be watched: `tap` shows requests as they finish, `top` and the admin API count them by
//! rule, backend, client and policy, and none of them shows a credential.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{HttpClient, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, backend};
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::{Signal, Waypoint, binary};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Watched {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
    _backends: [Pod<Echo>; 2],
}

async fn watched() -> Watched {
    let mut world = MeshWorld::new();
    let v1 = world.echo("v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("v2", "v2", Reach::Hbone).await;
    let echo = world.echo("echo", "main", Reach::Clear).await;
    let path = |value: &str| json!([{ "path": { "type": "PathPrefix", "value": value } }]);
    world.http_route(
        "echo",
        "echo",
        json!([
            { "name": "canary", "matches": path("/api"), "backendRefs": [backend("v1", 3), backend("v2", 1)] },
            { "matches": path("/admin"), "backendRefs": [backend("v1", 1)] },
        ]),
    );
    world.policy(
        "no-admin",
        "echo",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/admin*"], "ports": ["80"] } }] }]),
    );
    let waypoint = world.start().await;
    Watched {
        world,
        waypoint,
        echo,
        _backends: [v1, v2],
    }
}

impl Watched {
    async fn send(&self, paths: &[&str]) {
        let mut client = self.world.client(&self.waypoint).http1(&self.echo.vip).await;
        for path in paths {
            client
                .send(get_with(
                    path,
                    &[("authorization", "Bearer s3cret"), ("cookie", "a=s3cret")],
                ))
                .await;
        }
    }

    async fn stats(&self) -> Value {
        self.waypoint.admin_get("/api/stats").await.json()
    }

    async fn listening(&self, count: u64) {
        until("a listener of the tap", async || {
            self.stats().await["tapListeners"] == count
        })
        .await;
    }

    fn tap(&self, args: &[&str]) -> Child {
        let mut command = Command::new(binary());
        command
            .args(["tap", "--live", &self.waypoint.admin.to_string()])
            .args(args);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tap_shows_the_requests_that_are_wanted() {
    let watched = watched().await;
    let refused = watched.tap(&["--status", "4xx", "--limit", "2", "--format", "json"]);
    let admin = watched.tap(&[
        "--path",
        "/admin",
        "--service",
        "echo",
        "--source",
        "demo/client",
        "--limit",
        "1",
    ]);
    watched.listening(2).await;
    watched
        .send(&[
            "/api/1?token=s3cret",
            "/nowhere?token=s3cret",
            "/admin/users?token=s3cret",
            "/api/2",
        ])
        .await;
    let output = tokio::task::spawn_blocking(move || [refused, admin].map(|tap| tap.wait_with_output().unwrap()));
    let [refused, admin] = output
        .await
        .unwrap()
        .map(|output| String::from_utf8(output.stdout).unwrap());
    let events: Vec<Value> = refused
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event["status"].as_u64(), event["path"].as_str()))
        .collect();
    assert_eq!(told, [(Some(404), Some("/nowhere")), (Some(403), Some("/admin/users"))]);
    assert_eq!(events[1]["policy"], "ns[demo]-policy[no-admin]-rule[0]");
    assert_eq!(events[1]["source"], "demo/client");
    assert!(
        admin.contains("GET /admin/users?..") && admin.contains("403"),
        "{admin}"
    );
    assert!(!refused.contains("s3cret") && !admin.contains("s3cret"));
    watched.listening(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_tap_does_not_hold_the_end_up() {
    let watched = watched().await;
    let mut tap = watched.tap(&[]);
    watched.listening(1).await;
    watched.waypoint.signal(Signal::Term);
    watched.waypoint.exit_within(Duration::from_secs(20)).await;
    tokio::task::spawn_blocking(move || tap.wait().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_rule_backend_client_and_policy() {
    let watched = watched().await;
    let api = ["/api/x?token=s3cret"; 40];
    watched.send(&api).await;
    watched.send(&["/admin/users?token=s3cret", "/nowhere"]).await;
    until("all requests counted", async || {
        watched.stats().await["edges"][0]["requests"] == 42
    })
    .await;
    let stats = watched.stats().await;
    let rules = stats["rules"].as_array().unwrap();
    let canary = rules.iter().find(|rule| rule["rule"] == "demo/echo/canary").unwrap();
    assert_eq!(
        (canary["requests"].as_u64(), canary["errors"].as_u64()),
        (Some(40), Some(0))
    );
    assert_eq!(canary["classes"]["2xx"], 40);
    let backends = canary["backends"].as_array().unwrap();
    let counted: u64 = backends
        .iter()
        .map(|backend| backend["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 40);
    assert_eq!(
        (&backends[0]["wantedPercent"], &backends[1]["wantedPercent"]),
        (&json!(75.0), &json!(25.0))
    );
    assert!(backends[0]["measuredPercent"].as_f64().unwrap() > backends[1]["measuredPercent"].as_f64().unwrap());
    assert!(canary["p99Ms"].as_f64().unwrap() >= canary["p50Ms"].as_f64().unwrap());
    let edge = &stats["edges"][0];
    assert_eq!(edge["sourceNamespace"], "demo");
    assert_eq!(edge["service"], "echo.demo.svc.cluster.local");
    assert_eq!(
        stats["policies"][0],
        json!({ "policy": "demo/no-admin", "action": "DENY", "passed": 0 })
    );
    let denied = &stats["denials"][0];
    assert_eq!(
        (&denied["policy"], &denied["denials"]),
        (&json!("ns[demo]-policy[no-admin]-rule[0]"), &json!(1))
    );
    assert_eq!(denied["last"]["request"], "GET echo/admin/users");
    assert_eq!(denied["last"]["client"], "demo/client");

    let mut top = Command::new(binary());
    top.args([
        "top",
        "--once",
        "--interval",
        "0.1",
        "--live",
        &watched.waypoint.admin.to_string(),
    ]);
    let top = tokio::task::spawn_blocking(move || top.output().unwrap())
        .await
        .unwrap();
    let table = String::from_utf8(top.stdout).unwrap();
    for part in [
        "demo/echo/canary",
        "v1.demo.svc.cluster.local:80",
        "75.0 %",
        "ns[demo]-policy[no-admin]-rule[0]",
    ] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    let config = watched.waypoint.admin_get("/api/config").await.json();
    assert_eq!(
        config["certificate"]["identity"],
        "spiffe://cluster.local/ns/demo/sa/waypoint"
    );
    assert_eq!(config["listeners"].as_array().unwrap().len(), 4);
    assert_eq!(config["findings"], json!([]));
    assert!(config["services"].as_array().unwrap().len() >= 3);
    assert!(!format!("{stats}{config}{table}").contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_are_checked_and_foreign_pages_refused() {
    let watched = watched().await;
    let ask = async |path: &str, host: &str| {
        let socket = tokio::net::TcpStream::connect(watched.waypoint.admin).await.unwrap();
        let mut client = HttpClient::http1(socket, host).await.unwrap();
        client.get(path).await
    };
    let local = watched.waypoint.admin.to_string();
    let wrong = ask("/tap?status=many", &local).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("status: expected a code"), "{}", wrong.text());
    for path in ["/tap", "/api/stats", "/api/config", "/config_dump", "/"] {
        assert_eq!(ask(path, "evil.example").await.status, 403, "{path}");
    }
    let none = Command::new(binary())
        .args(["top", "--once", "--live", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no running waypoint"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_kept_with_its_tries_and_what_passed_is_counted_by_policy() {
    let mut watched = watched().await;
    let dead = watched.world.dead_pod("dead", Reach::Clear);
    let dead = watched.world.service("dead", "http", &[dead]);
    let anyone = json!([{ "from": [{ "source": { "namespaces": ["demo"] } }] }]);
    watched.world.policy("everyone", "dead", "ALLOW", anyone);
    let client = watched.world.client(&watched.waypoint);
    until("the new Service served", async || {
        let Ok(tunnel) = client.dial(&dead.authority(), http::HeaderMap::new()).await else {
            return false;
        };
        let mut client = HttpClient::http1(tunnel, "dead").await.unwrap();
        client.get("/x?token=s3cret").await.status == 503
    })
    .await;
    until("the failure kept", async || {
        let traces = watched.waypoint.admin_get("/api/traces").await.json();
        traces[0]["path"] == "/x" && !traces.to_string().contains("s3cret")
    })
    .await;
    let traces = watched.waypoint.admin_get("/api/traces").await.json();
    assert_eq!((&traces[0]["status"], &traces[0]["flags"]), (&json!(503), &json!("UF")));
    let tries = traces[0]["tries"].as_array().unwrap();
    assert!(
        tries.len() > 1 && tries.iter().all(|attempt| attempt["error"] == "connect_failure"),
        "{tries:?}"
    );
    let policies = watched.stats().await["policies"].clone();
    let everyone = policies
        .as_array()
        .unwrap()
        .iter()
        .find(|policy| policy["policy"] == "demo/everyone")
        .unwrap();
    assert!(everyone["passed"].as_u64().unwrap() >= 1, "{policies}");
}
