//! Promise: HTTP/1.1 passes with all its corners: keep-alive, upgrades, 1xx, bodiless answers, full duplex, trailers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::BodyExt;
use hyper::body::Frame;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{HttpClient, empty, fed, frames, get_with, post};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::Waypoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    async fn start() -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        let waypoint = world.start().await;
        Self { world, waypoint, echo }
    }

    async fn http1(&self) -> HttpClient {
        self.world.client(&self.waypoint).http1(&self.echo.vip).await
    }

    async fn raw(&self) -> RawHttp<hbone::TunnelStream> {
        RawHttp::new(self.world.client(&self.waypoint).raw(&self.echo.vip).await)
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_so_does_the_upstream_one() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    for i in 0..100 {
        let reply = client.get(&format!("/item/{i}?q=a%20b")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.field("path"), reply.field("query")),
            (200, format!("/item/{i}"), "q=a%20b".into())
        );
    }
    let counts = mesh.echo.app.counts();
    assert_eq!((counts.requests, counts.cancelled), (100, 0));
    assert_eq!(
        counts.connections, 1,
        "requests that follow one another reuse the connection: {counts:?}"
    );
}

#[tokio::test]
async fn the_request_arrives_as_it_was_sent() {
    let mesh = Mesh::start().await;
    let mut request = post("/p/%7Euser/x;y=1?a=1&a=2", "hello");
    *request.method_mut() = Method::PATCH;
    let headers = request.headers_mut();
    headers.insert("host", HeaderValue::from_static("shop.example:8080"));
    headers.append("x-twice", HeaderValue::from_static("1"));
    headers.append("x-twice", HeaderValue::from_static("2"));
    let reply = mesh.http1().await.send(request).await;
    assert_eq!(reply.field("method"), "PATCH");
    assert_eq!(reply.field("query"), "a=1&a=2");
    assert_eq!(reply.field("host"), "shop.example:8080", "Host is the application's");
    assert_eq!(reply.field("body_bytes"), "5");
    assert_eq!(reply.seen_header("x-twice").as_deref(), Some("1,2"));
}

#[tokio::test]
async fn hop_by_hop_headers_end_here() {
    let mesh = Mesh::start().await;
    let headers = [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("x-yours", "2"),
    ];
    let reply = mesh.http1().await.send(get_with("/", &headers)).await;
    for gone in ["x-mine", "keep-alive", "proxy-connection"] {
        assert_eq!(reply.seen_header(gone), None, "{gone} went on to the backend");
    }
    assert_eq!(reply.seen_header("x-yours").as_deref(), Some("2"));
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    for round in 0..3 {
        let head = Request::head("/page").body(empty()).unwrap();
        let reply = client.send(head).await;
        assert_eq!(
            (reply.status.as_u16(), reply.body.len()),
            (200, 0),
            "HEAD, round {round}"
        );
        assert_ne!(reply.header("content-length"), "", "HEAD says how long GET's answer is");
        assert_eq!(client.get("/do/status/204").await.status, 204);
        assert_eq!(client.get("/do/status/304").await.status, 304);
        assert_eq!(client.get("/after").await.field("path"), "/after");
    }
    assert!(!client.is_closed());
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body_is_sent() {
    let mesh = Mesh::start().await;
    let mut client = mesh.raw().await;
    client
        .send("POST /upload HTTP/1.1\r\nHost: echo\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(client.head().await.unwrap().status(), 100);
    client.send("hello").await.unwrap();
    let head = client.head().await.unwrap();
    let body = client.body(&head).await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["body_bytes"],
        5
    );
}

#[tokio::test]
async fn informational_answers_pass() {
    let mut world = MeshWorld::new();
    let backend = world.script("hints", |mut connection| async move {
        while connection.head().await.is_ok() {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
            connection.send(hints).await.unwrap();
            connection
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    });
    let backend = backend.await;
    let waypoint = world.start().await;
    let mut client = RawHttp::new(world.client(&waypoint).raw(&backend.vip).await);
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: hints\r\n\r\n").await.unwrap();
        let early = client.head().await.unwrap();
        assert_eq!(
            (early.status(), early.get("link")),
            (103, Some("</style.css>; rel=preload"))
        );
        let head = client.head().await.unwrap();
        assert_eq!(
            (head.status(), client.body(&head).await.unwrap()),
            (200, b"ok".to_vec())
        );
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_arrives_whole() {
    let mut world = MeshWorld::new();
    let backend = world.script("until-close", |mut connection| async move {
        connection.head().await.unwrap();
        connection
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nto the ")
            .await
            .unwrap();
        connection.send("end").await.unwrap();
    });
    let backend = backend.await;
    let waypoint = world.start().await;
    let reply = world.client(&waypoint).get(&backend.vip, "/").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "to the end"));
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    let (body, request) = fed();
    body.send(Ok(Frame::data(Bytes::from_static(b"the first of many"))))
        .await
        .unwrap();
    let request = Request::post("/do/early").body(request).unwrap();
    let answer = soon("the early answer", client.begin(request)).await.unwrap();
    assert_eq!(answer.status(), 403);
    let text = soon("its body", answer.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(&text[..], b"refused before the body was read");
    drop(body);
    mesh.echo.app.until("nothing is open", |c| c.open == 0).await;
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    let (body, request) = fed();
    body.send(Ok(Frame::data(Bytes::from_static(b"0")))).await.unwrap();
    let answer = soon(
        "the head",
        client.begin(Request::post("/do/stream").body(request).unwrap()),
    )
    .await
    .unwrap();
    let mut answer = answer.into_body();
    for i in 0..20u8 {
        let frame = soon("the piece that was sent", answer.frame()).await.unwrap().unwrap();
        assert_eq!(
            frame.into_data().unwrap(),
            i.to_string(),
            "each piece comes back before the next is sent"
        );
        body.send(Ok(Frame::data(Bytes::from((i + 1).to_string()))))
            .await
            .unwrap();
    }
    drop(body);
    assert_eq!(soon("the end", answer.collect()).await.unwrap().to_bytes(), "20");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    let mut sent = HeaderMap::new();
    sent.insert("x-checksum", HeaderValue::from_static("abc"));
    let body = frames(vec![Frame::data(Bytes::from_static(b"data")), Frame::trailers(sent)]);
    let request = Request::post("/do/trailers")
        .header("te", "trailers")
        .header("trailer", "x-checksum")
        .body(body)
        .unwrap();
    let reply = client.send(request).await;
    assert_eq!(
        reply.json()["trailers"]["x-checksum"],
        "abc",
        "request trailers: {}",
        reply.text()
    );
    assert_eq!(
        reply.trailers.get("x-name").map(HeaderValue::as_bytes),
        Some(&b"echo"[..]),
        "{:?}",
        reply.trailers
    );
    assert_eq!(client.get("/next").await.status, 200);
}

#[tokio::test]
async fn an_upgraded_connection_becomes_bytes() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    let request = get_with(
        "/do/upgrade",
        &[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
        ],
    );
    let answer = soon("101", client.begin(request)).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["upgrade"].to_str().unwrap()),
        (101, "websocket")
    );
    let mut io = hyper_util::rt::TokioIo::new(soon("the upgrade", hyper::upgrade::on(answer)).await.unwrap());
    for size in [1, 70_000, 3] {
        let (sent, mut got) = (vec![size as u8; size], vec![0; size]);
        let (mut read, mut write) = tokio::io::split(&mut io);
        let both = async { tokio::join!(write.write_all(&sent), read.read_exact(&mut got)) };
        let (wrote, read) = soon("the bytes back", both).await;
        wrote.unwrap();
        read.unwrap();
        assert_eq!(got, sent);
    }
    io.shutdown().await.unwrap();
    assert_eq!(soon("the end", io.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mesh = Mesh::start().await;
    let mut client = mesh.raw().await;
    client.send("GET /one HTTP/1.1\r\nHost: echo\r\n\r\nPOST /two HTTP/1.1\r\nHost: echo\r\nContent-Length: 3\r\n\r\nabcGET /three HTTP/1.1\r\nHost: echo\r\n\r\n").await.unwrap();
    for path in ["/one", "/two", "/three"] {
        let head = client.head().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&client.body(&head).await.unwrap()).unwrap();
        assert_eq!(body["path"], path);
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_shows_as_broken_not_as_complete() {
    let mesh = Mesh::start().await;
    let mut client = mesh.http1().await;
    let answer = client.try_send(get_with("/do/reset", &[])).await;
    assert!(answer.is_err(), "half an answer must not look whole: {answer:?}");
    assert_eq!(mesh.http1().await.get("/").await.status, 200, "and the next is served");
}
