//! Promise: keys that a RequestAuthentication names by URI or by issuer are fetched in the background; rotated keys work;
//! a server that is slow, endless, or leads elsewhere costs nothing but its own tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::tokens::TokenIssuer;
use integration_tests::peers::waiting::until;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;

/// A key server: what it answers by path, and what it was asked.
#[derive(Clone, Default)]
struct KeyServer {
    answers: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl KeyServer {
    async fn start(&self) -> Scripted {
        let server = self.clone();
        Scripted::start(Ipv4Addr::LOCALHOST, 0, move |connection| {
            server.clone().serve(connection)
        })
        .await
    }

    async fn serve(self, mut connection: RawHttp<TcpStream>) {
        let Ok(head) = connection.head().await else { return };
        let path = head.line.split(' ').nth(1).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(path.clone());
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        match answer {
            Some(answer) if answer == ENDLESS => {
                let _ = connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
                while connection.send(" ".repeat(64 << 10)).await.is_ok() {}
            }
            Some(answer) if answer == DRIP => {
                let _ = connection
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                    .await;
                while connection.send(" ").await.is_ok() {
                    // The server's own time, not the test's.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Some(answer) if answer == SILENCE => std::future::pending().await,
            Some(answer) if answer.starts_with(SLOWLY) => {
                // The server's own time, not the test's.
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(connection.send(answer.replacen(SLOWLY, "", 1)).await);
            }
            Some(answer) => drop(connection.send(answer).await),
            None => drop(connection.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await),
        }
    }

    fn say(&self, path: &str, answer: impl Into<String>) {
        self.answers.lock().unwrap().insert(path.into(), answer.into());
    }

    fn document(&self, path: &str, document: &Value) {
        let text = document.to_string();
        self.say(
            path,
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
        );
    }

    fn redirect(&self, path: &str, to: &str) {
        self.say(
            path,
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
        );
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

const ENDLESS: &str = "endless";
const SILENCE: &str = "silence";
const DRIP: &str = "a byte now and then";
const SLOWLY: &str = "slowly: ";

/// A Service whose tokens are checked by this rule.
async fn guarded(world: &mut MeshWorld, name: &str, rule: Value) -> Pod<Echo> {
    let echo = world.echo(name, "v1", Reach::Hbone).await;
    let spec = json!({ "jwtRules": [rule] });
    world.attach("security.istio.io/v1", "RequestAuthentication", name, name, spec);
    echo
}

async fn status(client: &Arc<ClientTunnel>, pod: &Pod<Echo>, token: Option<&str>) -> u16 {
    let mut connection = client.http1(&pod.vip).await;
    let request = match token {
        None => get("/"),
        Some(token) => get_with("/", &[("authorization", &format!("Bearer {token}"))]),
    };
    connection.send(request).await.status.as_u16()
}

#[tokio::test]
async fn by_uri_by_issuer_and_after_a_rotation() {
    let keys = KeyServer::default();
    let server = keys.start().await;
    let base = format!("http://{}", server.address());
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    keys.document("/keys", &issuer.jwks());
    keys.redirect("/moved", "/keys");
    keys.document(
        "/.well-known/openid-configuration",
        &json!({ "issuer": base, "jwks_uri": format!("{base}/moved") }),
    );
    let discovered = TokenIssuer::from_pem(&base, "k1", &issuer.pem());
    let mut world = MeshWorld::new();
    let by_uri = guarded(
        &mut world,
        "uri",
        json!({ "issuer": issuer.issuer, "jwksUri": format!("{base}/keys") }),
    )
    .await;
    let by_issuer = guarded(&mut world, "issuer", json!({ "issuer": base })).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    assert_eq!(
        status(&client, &by_uri, None).await,
        200,
        "a request without a token waits for nothing"
    );
    let (token, other) = (issuer.sign("alice", json!({})), discovered.sign("alice", json!({})));
    until("the key by URI", async || {
        status(&client, &by_uri, Some(&token)).await == 200
    })
    .await;
    until("the key by issuer", async || {
        status(&client, &by_issuer, Some(&other)).await == 200
    })
    .await;

    let rotated = TokenIssuer::new("https://issuer.example", "k2");
    keys.document("/keys", &rotated.jwks());
    let new = rotated.sign("alice", json!({}));
    until("the rotated key", async || {
        status(&client, &by_uri, Some(&new)).await == 200
    })
    .await;
    assert_eq!(
        status(&client, &by_uri, Some(&token)).await,
        401,
        "the key before has gone"
    );

    // The server breaks: what was fetched stays.
    keys.say("/keys", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&client, &by_uri, Some(&new)).await, 200);
    let forged = TokenIssuer::new("https://issuer.example", "k9").sign("eve", json!({}));
    let before = keys.asked("/keys");
    for _ in 0..50 {
        assert_eq!(status(&client, &by_uri, Some(&forged)).await, 401);
    }
    assert!(keys.asked("/keys") <= before + 2, "unknown keys ask for few fetches");
    assert!(
        waypoint
            .scrape()
            .await
            .sum("waypoint_jwks_fetches_total", &[("result", "ok")])
            >= 3.0
    );
}

#[tokio::test]
async fn a_server_that_misbehaves_refuses_its_tokens_and_nothing_else() {
    let keys = KeyServer::default();
    let server = keys.start().await;
    let base = format!("http://{}", server.address());
    keys.say("/endless", ENDLESS);
    keys.say("/silence", SILENCE);
    keys.say("/drip", DRIP);
    keys.redirect("/loop", "/loop");
    keys.redirect("/metadata", "http://169.254.169.254/latest");
    keys.redirect("/file", "file:///etc/passwd");
    keys.document("/html", &json!("<html>"));
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let mut world = MeshWorld::new();
    let mut pods = Vec::new();
    for (name, uri, result) in [
        ("endless", format!("{base}/endless"), "answer"),
        ("silence", format!("{base}/silence"), "timeout"),
        ("drip", format!("{base}/drip"), "timeout"),
        ("looping", format!("{base}/loop"), "redirects"),
        ("metadata", format!("{base}/metadata"), "connect"),
        ("file", format!("{base}/file"), "refused"),
        ("html", format!("{base}/html"), "invalid"),
        ("gone", "http://127.0.0.1:1/".to_owned(), "connect"),
        ("error", format!("{base}/error"), "status"),
    ] {
        let rule = json!({ "issuer": issuer.issuer, "jwksUri": uri, "timeout": "1s" });
        pods.push((guarded(&mut world, name, rule).await, result));
    }
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let token = issuer.sign("alice", json!({}));
    for (pod, result) in &pods {
        let name = &pod.vip.name;
        until(name, async || {
            waypoint
                .scrape()
                .await
                .sum("waypoint_jwks_fetches_total", &[("result", result)])
                >= 1.0
        })
        .await;
        assert_eq!(status(&client, pod, None).await, 200, "{name}");
        assert_eq!(status(&client, pod, Some(&token)).await, 401, "{name}");
    }
    assert_eq!(
        waypoint
            .scrape()
            .await
            .sum("waypoint_jwks_fetches_total", &[("result", "ok")]),
        0.0
    );
}

#[tokio::test]
async fn readiness_waits_for_the_first_keys() {
    let keys = KeyServer::default();
    let server = keys.start().await;
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let text = issuer.jwks().to_string();
    keys.say(
        "/keys",
        format!(
            "{SLOWLY}HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ),
    );
    let uri = format!("http://{}/keys", server.address());
    let mut world = MeshWorld::new();
    let echo = guarded(&mut world, "slow", json!({ "issuer": issuer.issuer, "jwksUri": uri })).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let token = issuer.sign("alice", json!({}));
    assert_eq!(status(&client, &echo, Some(&token)).await, 200, "the first request");
}

#[tokio::test]
async fn readiness_does_not_wait_for_ever() {
    let keys = KeyServer::default();
    let server = keys.start().await;
    keys.say("/silence", SILENCE);
    let uri = format!("http://{}/silence", server.address());
    let mut world = MeshWorld::new();
    let rule = json!({ "issuer": "https://issuer.example", "jwksUri": uri, "timeout": "600s" });
    let echo = guarded(&mut world, "silent", rule).await;
    let waypoint = world.start().await;
    assert!(waypoint.log().contains("ready without all key sets"));
    let client = world.client(&waypoint);
    assert_eq!(status(&client, &echo, None).await, 200);
}

#[tokio::test]
async fn a_set_of_rubbish_with_one_good_key_works_and_floods_no_log() {
    let keys = KeyServer::default();
    let server = keys.start().await;
    let issuer = TokenIssuer::new("https://issuer.example", "k1");
    let mut set = issuer.jwks();
    let list = set["keys"].as_array_mut().unwrap();
    let good = list[0].clone();
    list.splice(0..0, (0..20_000).map(|n| json!({ "kty": "?", "kid": n })));
    assert_eq!(list.last(), Some(&good));
    // As many key servers do, whatever it is.
    let text = set.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}",
        text.len()
    );
    keys.say("/keys", format!("{head}\r\n\r\n{text}"));
    let uri = format!("http://{}/keys", server.address());
    let mut world = MeshWorld::new();
    let echo = guarded(
        &mut world,
        "rubbish",
        json!({ "issuer": issuer.issuer, "jwksUri": uri }),
    )
    .await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let token = issuer.sign("alice", json!({}));
    assert_eq!(status(&client, &echo, Some(&token)).await, 200);
    let told = waypoint
        .log()
        .lines()
        .filter(|line| line.contains("is not used"))
        .count();
    assert!((1..=10).contains(&told), "{told} lines");
}
