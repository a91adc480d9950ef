//! Promise: a connection is used again only when both sides agree where the last message ended. Whoever cannot be
//! trusted with that is closed; nobody's bytes are ever taken for another's request or answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::get;
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, backend};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::waiting::{soon, until, within};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;

/// A body that is a request, to whoever loses step.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: echo\r\n\r\n";

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    /// `/moved` is redirected, `/denied` denied, the rest is the echo's; `/do/early` answers without reading.
    async fn start() -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        let path = |value: &str| json!([{ "path": { "type": "PathPrefix", "value": value } }]);
        let redirect = json!({ "type": "RequestRedirect", "requestRedirect": { "hostname": "example.org" } });
        world.http_route(
            "echo",
            "echo",
            json!([
                { "matches": path("/moved"), "filters": [redirect] },
                { "matches": path("/do"), "backendRefs": [backend("echo", 1)] },
                { "matches": path("/after"), "backendRefs": [backend("echo", 1)] },
                { "matches": path("/smuggled"), "backendRefs": [backend("echo", 1)] },
                { "matches": path("/denied"), "backendRefs": [backend("echo", 1)] },
            ]),
        );
        let rules = json!([{ "to": [{ "operation": { "paths": ["/denied"] } }] }]);
        world.policy("denied", "echo", "DENY", rules);
        let waypoint = world.start().await;
        Self { world, waypoint, echo }
    }

    async fn raw(&self) -> RawHttp<hbone::TunnelStream> {
        RawHttp::new(self.world.client(&self.waypoint).raw(&self.echo.vip).await)
    }
}

/// Paths answered before the request's body was read: by the waypoint, and by a backend.
const EARLY: [(&str, u16); 4] = [("/moved", 302), ("/denied", 403), ("/unknown", 404), ("/do/early", 403)];

#[tokio::test]
async fn an_unread_body_is_read_away_and_the_next_request_is_served() {
    let mesh = Mesh::start().await;
    for (path, status) in EARLY {
        let mut client = mesh.raw().await;
        let body = SMUGGLED.repeat(100);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: echo\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // The answer comes while the body is still to be sent.
        client.send(head).await.unwrap();
        let answer = client.head().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        client.body(&answer).await.unwrap();
        client.send(body).await.unwrap();
        client.send("GET /after HTTP/1.1\r\nHost: echo\r\n\r\n").await.unwrap();
        let answer = client
            .head()
            .await
            .unwrap_or_else(|e| panic!("{path}: the connection was not kept: {e}"));
        let body: serde_json::Value = serde_json::from_slice(&client.body(&answer).await.unwrap()).unwrap();
        assert_eq!(body["path"], "/after", "{path}");
    }
}

#[tokio::test]
async fn an_unread_chunked_body_with_a_pipelined_request_behind_it() {
    let mesh = Mesh::start().await;
    for (path, status) in EARLY {
        let mut client = mesh.raw().await;
        let chunk = format!("{:x}\r\n{SMUGGLED}\r\n", SMUGGLED.len());
        let all = format!(
            "POST {path} HTTP/1.1\r\nHost: echo\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\nX-End: 1\r\n\r\nGET /after HTTP/1.1\r\nHost: echo\r\n\r\n",
            chunk.repeat(50)
        );
        client.send(all).await.unwrap();
        let answer = client.head().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        client.body(&answer).await.unwrap();
        let answer = client.head().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&client.body(&answer).await.unwrap()).unwrap();
        assert_eq!(body["path"], "/after", "{path}");
    }
}

/// What is too long, or does not come, is not waited for; and what comes later is not a request.
#[tokio::test]
async fn a_body_too_long_or_too_slow_to_read_away_closes_the_connection() {
    let mesh = Mesh::start().await;
    let cases = EARLY
        .into_iter()
        .flat_map(|case| [10, 20_000].map(|times| (case, SMUGGLED.repeat(times))));
    let all = cases.map(async |((path, status), sent)| {
        let mut client = mesh.raw().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: echo\r\nContent-Length: 1000000000\r\n\r\n");
        client.send(head).await.unwrap();
        let answer = client.head().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        client.body(&answer).await.unwrap();
        let _ = client.send(sent).await; // it may be closed meanwhile
        let rest = within(Duration::from_secs(5), "the end", client.rest()).await;
        assert_eq!(
            rest.unwrap_or_default(),
            b"",
            "{path}: one answer and the end, nothing else"
        );
    });
    futures_util::future::join_all(all).await;
    let before = mesh.echo.app.counts().requests;
    assert_eq!(
        mesh.world
            .client(&mesh.waypoint)
            .get(&mesh.echo.vip, "/after")
            .await
            .status,
        200
    );
    assert_eq!(mesh.echo.app.counts().requests, before + 1);
}

#[tokio::test]
async fn who_says_close_is_answered_once_and_closed() {
    let mesh = Mesh::start().await;
    for head in [
        "GET /after HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n",
        "GET /after HTTP/1.0\r\nHost: echo\r\n\r\n",
    ] {
        let mut client = mesh.raw().await;
        client.send(format!("{head}{SMUGGLED}")).await.unwrap();
        let answer = client.head().await.unwrap();
        assert_eq!((answer.status(), answer.get("connection")), (200, Some("close")));
        client.body(&answer).await.unwrap();
        assert_eq!(client.rest().await.unwrap(), b"");
    }
    assert_eq!(mesh.echo.app.counts().requests, 2);
    // HTTP/1.0 with keep-alive, and without chunks: an answer of unknown length ends with the connection.
    let mut client = mesh.raw().await;
    let old = "GET /after HTTP/1.0\r\nHost: echo\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        client.send(old).await.unwrap();
        let answer = client.head().await.unwrap();
        assert_eq!(answer.get("connection"), Some("keep-alive"));
        client.body(&answer).await.unwrap();
    }
    client
        .send("GET /do/chunks/5 HTTP/1.0\r\nHost: echo\r\nConnection: keep-alive\r\n\r\n")
        .await
        .unwrap();
    let answer = client.head().await.unwrap();
    assert_eq!(
        (answer.count("transfer-encoding"), answer.count("content-length")),
        (0, 0)
    );
    assert_eq!(client.rest().await.unwrap(), b".....");
}

/// A backend that gives each connection's n-th request the n-th of these answers, and then only listens; `ended` counts
/// its connections that the waypoint has closed.
struct Backend {
    pod: Pod<Scripted>,
    requests: Arc<Mutex<u32>>,
    ended: Arc<Mutex<u32>>,
    world: MeshWorld,
    waypoint: Waypoint,
}

impl Backend {
    async fn start(answers: &'static [&'static str]) -> Self {
        let mut world = MeshWorld::new();
        let (requests, ended) = (Arc::<Mutex<u32>>::default(), Arc::<Mutex<u32>>::default());
        let (counted, over) = (requests.clone(), ended.clone());
        let script = move |mut connection: RawHttp<TcpStream>| {
            let (counted, over) = (counted.clone(), over.clone());
            async move {
                for answer in answers {
                    let Ok(head) = connection.head().await else {
                        break;
                    };
                    connection.body(&head).await.unwrap();
                    *counted.lock().unwrap() += 1;
                    connection.send(answer).await.unwrap();
                }
                let _ = connection.rest().await;
                *over.lock().unwrap() += 1;
            }
        };
        let pod = world.script("shop", script).await;
        let waypoint = world.start_with(Launch::default().access_log()).await;
        Self {
            pod,
            requests,
            ended,
            world,
            waypoint,
        }
    }

    async fn until_ended(&self, connections: u32) {
        until("the waypoint has closed the backend's connection", async || {
            *self.ended.lock().unwrap() == connections
        })
        .await;
    }
}

/// Answers that two readers could frame differently, or that are none.
const BAD_ANSWERS: [(&str, &[&str]); 9] = [
    (
        "both framings",
        &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    ),
    (
        "two lengths",
        &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\noks"],
    ),
    (
        "a list of lengths",
        &["HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\noks"],
    ),
    ("a signed length", &["HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"]),
    (
        "an unknown coding",
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunkedx\r\n\r\nok"],
    ),
    ("no colon", &["HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\nok"]),
    ("a NUL", &["HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"]),
    ("another protocol", &["SSH-2.0-OpenSSH_9.6\r\n\r\n"]),
    (
        "an upgrade nobody asked for",
        &["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"],
    ),
];

#[tokio::test]
async fn an_answer_without_sound_framing_is_502_once_and_its_connection_is_closed() {
    for (what, answers) in BAD_ANSWERS {
        let backend = Backend::start(answers).await;
        let mut client = backend.world.client(&backend.waypoint).http1(&backend.pod.vip).await;
        let reply = soon(what, client.send(get("/bad"))).await;
        assert_eq!(reply.status, 502, "{what}: {reply:?}");
        assert_eq!(*backend.requests.lock().unwrap(), 1, "{what} is not retried");
        backend.until_ended(1).await;
        assert_eq!(
            backend.waypoint.logged_field("/bad", "response_flags").await,
            "UPE",
            "{what}"
        );
    }
}

/// Bytes after the end of an answer are not the next one's.
#[tokio::test]
async fn what_follows_an_answer_is_nobodys() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let cases: [(&str, &str, &'static [&'static str]); 5] = [
        (
            "a second answer",
            "GET",
            &[
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
                POISON,
            ],
        ),
        (
            "a body of 204",
            "GET",
            &[
                "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
                POISON,
            ],
        ),
        (
            "a body of 304",
            "GET",
            &[
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
                POISON,
            ],
        ),
        (
            "a body to HEAD",
            "HEAD",
            &[
                "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
                POISON,
            ],
        ),
        (
            "close, said and not done",
            "GET",
            &[
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                POISON,
            ],
        ),
    ];
    for (what, method, answers) in cases {
        let backend = Backend::start(answers).await;
        for i in 1..=3 {
            // A tunnel and a connection of its own each: the upstream connections are what could be shared.
            let mut client = backend.world.client(&backend.waypoint).http1(&backend.pod.vip).await;
            let mut request = get("/");
            *request.method_mut() = method.parse().unwrap();
            let reply = soon(what, client.send(request)).await;
            assert_ne!(reply.text(), "poison", "{what}, request {i}");
            backend.until_ended(i).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_inside_its_head_is_503() {
    let mut world = MeshWorld::new();
    let shop = world
        .script("shop", |mut connection: RawHttp<TcpStream>| async move {
            connection.head().await.unwrap();
            connection.send("HTTP/1.1 200 OK\r\nContent-Le").await.unwrap();
        })
        .await;
    let waypoint = world.start_with(Launch::default().access_log()).await;
    let mut client = world.client(&waypoint).http1(&shop.vip).await;
    let reply = soon("an answer", client.send(get("/half"))).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(waypoint.logged_field("/half", "response_flags").await, "UC");
    assert!(!client.is_closed(), "that is no fault of the client");
}

/// Whatever told the length of the answer, a missing end shows as one, to both versions.
#[tokio::test]
async fn an_answer_that_ends_inside_its_body_does_not_look_complete() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let mut world = MeshWorld::new();
        let shop = world
            .script("shop", move |mut connection: RawHttp<TcpStream>| async move {
                if connection.head().await.is_ok() {
                    connection.send(cut).await.unwrap();
                }
            })
            .await;
        let waypoint = world.start().await;
        let tunnel = world.client(&waypoint);
        for mut client in [tunnel.http1(&shop.vip).await, tunnel.http2(&shop.vip).await] {
            let answer = soon("an end", client.try_send(get("/"))).await;
            assert!(answer.is_err(), "{cut:?}: {answer:?}");
        }
        // By the byte: no last chunk, and the end of the connection.
        let mut raw = RawHttp::new(tunnel.raw(&shop.vip).await);
        raw.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await.unwrap();
        let head = raw.head().await.unwrap();
        let rest = String::from_utf8(raw.rest().await.unwrap_or_default()).unwrap();
        assert!(!rest.contains("0\r\n\r\n"), "{cut:?}: {head:?} {rest:?}");
        // An HTTP/1.0 client knows the end of a chunked answer by the connection's only: it must break.
        let mut old = RawHttp::new(tunnel.raw(&shop.vip).await);
        old.send("GET / HTTP/1.0\r\nHost: shop\r\n\r\n").await.unwrap();
        if let Ok(head) = old.head().await {
            let rest = old.rest().await;
            let told = rest.is_err() || head.get("content-length").is_some();
            assert!(told, "{cut:?}: {rest:?}");
        }
    }
}

/// Trailers that could be taken for identity stop here; ones that could be taken for framing are refused.
#[tokio::test]
async fn trailers_cannot_smuggle_header_fields() {
    let mesh = Mesh::start().await;
    let head = "POST /after HTTP/1.1\r\nHost: echo\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let mut client = mesh.raw().await;
    client
        .send(format!("{head}Authorization: x\r\nX-Good: 1\r\n\r\n"))
        .await
        .unwrap();
    let answer = client.head().await.unwrap();
    let body = client.body(&answer).await.unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((answer.status(), &seen["trailers"]), (200, &json!({ "x-good": "1" })));
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut client = mesh.raw().await;
        client.send(format!("{head}{framing}\r\n\r\n{SMUGGLED}")).await.unwrap();
        let answer = client.head().await.unwrap();
        assert_eq!(
            (answer.status(), answer.get("connection")),
            (400, Some("close")),
            "{framing}"
        );
        client.body(&answer).await.unwrap();
        assert_eq!(client.rest().await.unwrap_or_default(), b"", "{framing}");
    }
}
