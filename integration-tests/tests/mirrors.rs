//! Promise: a mirror gets the whole request, and whatever becomes of it, the primary never feels it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Frame;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{ClientBody, HttpClient, big, frames, get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach, SERVICE_PORT, Vip, backend};
use integration_tests::peers::raw_http::{RawHead, RawHttp};
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::waiting::{soon, until, within};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A `RequestMirror` filter to a Service, with more fields (`percent`, `fraction`).
fn mirror(service: &str, more: Value) -> Value {
    let mut mirror = json!({ "backendRef": { "name": service, "port": SERVICE_PORT } });
    for (name, value) in more.as_object().unwrap() {
        mirror[name] = value.clone();
    }
    json!({ "type": "RequestMirror", "requestMirror": mirror })
}

/// The Service `shop`, served by `primary`, mirrored as `filters` say.
async fn shop(world: &mut MeshWorld, filters: &[Value]) -> (Pod<Echo>, Vip) {
    let primary = world.echo("primary", "v1", Reach::Hbone).await;
    let vip = world.service("shop", "http", &[]);
    let rules = json!([{ "filters": filters, "backendRefs": [backend("primary", 1)] }]);
    world.http_route("shop", "shop", rules);
    (primary, vip)
}

async fn clients(world: &MeshWorld, waypoint: &Waypoint, vip: &Vip) -> [HttpClient; 2] {
    let client = world.client(waypoint);
    [client.http1(vip).await, client.http2(vip).await]
}

/// What reached a mirror: head, body, trailer lines.
type Copied = (RawHead, Vec<u8>, Vec<String>);

/// A mirror that shows its requests to the test and answers `status`.
async fn showing(world: &mut MeshWorld, status: u16) -> (Pod<Scripted>, mpsc::UnboundedReceiver<Copied>) {
    let (send, receive) = mpsc::unbounded_channel();
    let script = move |mut connection: RawHttp<TcpStream>| {
        let send = send.clone();
        async move {
            while let Ok(head) = connection.head().await {
                let Ok((body, trailers)) = connection.body_and_trailers(&head).await else {
                    return;
                };
                send.send((head, body, trailers)).ok();
                let answer = format!("HTTP/1.1 {status} x\r\nX-From: mirror\r\nContent-Length: 6\r\n\r\nmirror");
                connection.send(answer).await.ok();
            }
        }
    };
    (world.script("copy", script).await, receive)
}

/// A chunked POST of 1 MiB with trailers.
fn upload(path: &str) -> Request<ClientBody> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    let mut body: Vec<_> = (0..64u8)
        .map(|i| Frame::data(Bytes::from(vec![i; 16 * 1024])))
        .collect();
    body.push(Frame::trailers(trailers));
    Request::post(path)
        .header("trailer", "x-checksum")
        .header("x-mine", "1")
        .body(frames(body))
        .unwrap()
}

#[tokio::test]
async fn a_mirror_gets_headers_body_and_trailers_and_its_answer_is_nobodys() {
    let mut world = MeshWorld::new();
    let (_copy, mut copies) = showing(&mut world, 500).await;
    let (primary, vip) = shop(&mut world, &[mirror("copy", json!({}))]).await;
    let waypoint = world.start().await;
    let whole: Vec<u8> = (0..64u8).flat_map(|i| vec![i; 16 * 1024]).collect();
    for mut client in clients(&world, &waypoint, &vip).await {
        let reply = soon("the primary's answer", client.send(upload("/up?a=1"))).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("x-backend"), reply.header("x-from")),
            (200, "v1", "")
        );
        assert_eq!(reply.field("body_bytes"), (1 << 20).to_string());
        let (head, body, trailers) = soon("the copy", copies.recv()).await.unwrap();
        assert_eq!(head.line, "POST /up?a=1 HTTP/1.1");
        assert_eq!((head.get("x-mine"), head.get("host")), (Some("1"), Some("shop")));
        assert!(body == whole, "{} bytes of the body", body.len());
        assert_eq!(trailers, ["x-checksum: abc"]);
        let reply = client.get("/plain").await;
        assert_eq!(reply.status, 200);
        let (head, body, _) = soon("the copy", copies.recv()).await.unwrap();
        assert_eq!((head.line.as_str(), body.len()), ("GET /plain HTTP/1.1", 0));
        assert_eq!((head.count("content-length"), head.count("transfer-encoding")), (0, 0));
    }
    assert_eq!(primary.app.counts().requests, 4);
}

/// The ways in which a mirror can be bad; the primary's 2 MiB and its small requests pass as if there were none.
#[tokio::test]
async fn a_bad_mirror_is_never_felt() {
    let mut world = MeshWorld::new();
    let _stays = world
        .script("hanging", |connection: RawHttp<TcpStream>| async move {
            // Accepts, reads nothing, says nothing.
            let _open = connection;
            std::future::pending::<()>().await;
        })
        .await;
    let _stays = world
        .script("breaking", |mut connection: RawHttp<TcpStream>| async move {
            connection.head().await.ok();
            connection.reset();
        })
        .await;
    let _stays = world
        .script("nonsense", |mut connection: RawHttp<TcpStream>| async move {
            connection.head().await.ok();
            connection.send("SSH-2.0-OpenSSH\r\n\r\n").await.ok();
        })
        .await;
    let _stays = world
        .script("endless", |mut connection: RawHttp<TcpStream>| async move {
            connection.head().await.ok();
            connection
                .send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
                .await
                .ok();
            while connection.send([b'x'; 65536]).await.is_ok() {}
        })
        .await;
    let dead = [
        world.dead_pod("dead", Reach::Clear),
        world.dead_pod("dead-hbone", Reach::Hbone),
    ];
    for (i, ip) in dead.into_iter().enumerate() {
        world.service(&format!("dead-{i}"), "http", &[ip]);
    }
    world.service("empty", "http", &[]);
    let bad = [
        "hanging", "breaking", "nonsense", "endless", "dead-0", "dead-1", "empty",
    ];
    let filters = bad.map(|name| mirror(name, json!({})));
    let (primary, vip) = shop(&mut world, &filters).await;
    let waypoint = world.start().await;
    for mut client in clients(&world, &waypoint, &vip).await {
        for _ in 0..2 {
            let request = Request::post("/up").body(big(2 << 20)).unwrap();
            // An unoptimised build on a busy machine; a mirror's patience is 30 s.
            let reply = within(Duration::from_secs(8), "the primary's answer", client.send(request)).await;
            assert_eq!(
                (reply.status.as_u16(), reply.field("body_bytes")),
                (200, (2 << 20).to_string())
            );
            assert_eq!(soon("an answer", client.get("/small")).await.status, 200);
        }
    }
    assert_eq!(primary.app.counts().requests, 8);
    // A Service without endpoints has no copies, and an endless answer is no fault of the copy.
    until("mirrors that were given up are counted", async || {
        waypoint.scrape().await.sum("waypoint_mirrors_dropped_total", &[]) >= 4.0 * 4.0
    })
    .await;
}

/// Mirrors that hang must not add up: neither their bodies nor their number.
#[tokio::test]
async fn hanging_mirrors_hold_little_and_are_counted_once() {
    let mut world = MeshWorld::new();
    let _stays = world
        .script("hanging", |connection: RawHttp<TcpStream>| async move {
            let _open = connection;
            std::future::pending::<()>().await;
        })
        .await;
    let (_primary, vip) = shop(&mut world, &[mirror("hanging", json!({}))]).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    // More than its queue and all socket buffers between take: given up at once.
    for _ in 0..2 {
        let request = Request::post("/up").body(big(12 << 20)).unwrap();
        assert_eq!(soon("an answer", client.send(request)).await.status, 200);
    }
    let dropped = async || waypoint.scrape().await.sum("waypoint_mirrors_dropped_total", &[]);
    assert_eq!(dropped().await, 2.0);
    // Each of these fits, all of them do not.
    for _ in 0..60 {
        let request = Request::post("/up").body(big(1000 << 10)).unwrap();
        assert_eq!(soon("an answer", client.send(request)).await.status, 200);
    }
    let (samples, peak) = (waypoint.scrape().await, waypoint.peak_resident_bytes());
    assert_eq!(samples.sum("waypoint_mirrors_total", &[]), 62.0);
    assert!(
        samples.sum("waypoint_mirrors_dropped_total", &[]) <= 62.0,
        "none is counted twice"
    );
    assert!(peak < 64 << 20, "peak resident {} MiB", peak >> 20);
}

#[tokio::test]
async fn several_mirrors_each_get_all_and_shares_are_what_is_measured() {
    let mut world = MeshWorld::new();
    let all = world.echo("all", "all", Reach::Hbone).await;
    let percent = world.echo("percent", "percent", Reach::Clear).await;
    let fraction = world.echo("fraction", "fraction", Reach::Clear).await;
    let none = world.echo("none", "none", Reach::Clear).await;
    let filters = [
        mirror("all", json!({})),
        mirror("percent", json!({ "percent": 30 })),
        mirror("fraction", json!({ "fraction": { "numerator": 1, "denominator": 4 } })),
        mirror("none", json!({ "percent": 0 })),
    ];
    let (primary, vip) = shop(&mut world, &filters).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    const REQUESTS: u32 = 600;
    for i in 0..REQUESTS {
        assert_eq!(client.get(&format!("/{i}")).await.status, 200);
    }
    all.app
        .until("every copy has come", |c| {
            c.requests == u64::from(REQUESTS) && c.open == 0
        })
        .await;
    assert_eq!(primary.app.counts().requests, u64::from(REQUESTS));
    for (echo, share) in [(&percent, 0.3), (&fraction, 0.25)] {
        let (mean, got) = (f64::from(REQUESTS) * share, echo.app.counts().requests as f64);
        let allowed = 5.0 * (mean * (1.0 - share)).sqrt(); // five standard deviations
        assert!(
            (got - mean).abs() <= allowed,
            "{got} of {REQUESTS}, wanted {mean} ± {allowed}"
        );
    }
    assert_eq!(none.app.counts().requests, 0);
}

/// The copy is what the backend gets: after the rule's and the backend's changes to headers and path.
#[tokio::test]
async fn a_mirror_of_a_backend_ref_copies_that_backends_share_only() {
    let mut world = MeshWorld::new();
    let (_copy, mut copies) = showing(&mut world, 200).await;
    let v1 = world.echo("v1", "v1", Reach::Clear).await;
    let v2 = world.echo("v2", "v2", Reach::Clear).await;
    let vip = world.service("shop", "http", &[]);
    let mut mirrored = backend("v2", 1);
    mirrored["filters"] = json!([mirror("copy", json!({}))]);
    let rules = json!([
        { "matches": [{ "headers": [{ "name": "x-to", "value": "v2" }] }], "backendRefs": [mirrored] },
        { "backendRefs": [backend("v1", 1)] },
    ]);
    world.http_route("shop", "shop", rules);
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&vip).await;
    assert_eq!(client.send(get("/not-copied")).await.header("x-backend"), "v1");
    assert_eq!(
        client
            .send(get_with("/copied", &[("x-to", "v2")]))
            .await
            .header("x-backend"),
        "v2"
    );
    let (head, ..) = soon("the copy", copies.recv()).await.unwrap();
    assert_eq!(head.line, "GET /copied HTTP/1.1");
    assert_eq!((v1.app.counts().requests, v2.app.counts().requests), (1, 1));
}
