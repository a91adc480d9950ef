//! Promise: whatever somebody sends as HTTP/2 inside a tunnel costs little, reaches no backend as a request, and no
//! neighbour feels it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Frame;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::frames;
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::raw_http2::{END_HEADERS, END_STREAM, End, PREFACE, RawHttp2, frame, hpack, kind};
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MOST_RESIDENT: u64 = 64 << 20;

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    echo: Pod<Echo>,
}

impl Mesh {
    async fn start() -> Self {
        let mut world = MeshWorld::new();
        let echo = world.echo_as("echo", "http2", Reach::Hbone).await;
        let waypoint = world.start().await;
        Self { world, waypoint, echo }
    }

    async fn raw(&self) -> RawHttp2<hbone::TunnelStream> {
        self.raw_with(&[]).await
    }

    async fn raw_with(&self, settings: &[u8]) -> RawHttp2<hbone::TunnelStream> {
        let tunnel = self.world.client(&self.waypoint).raw(&self.echo.vip).await;
        RawHttp2::open(tunnel, settings).await.unwrap()
    }

    /// Somebody else is served, at once, and the process is as small as ever.
    async fn neighbours_are_served(&self, what: &str) {
        let mut client = self.world.client(&self.waypoint).http2(&self.echo.vip).await;
        let reply = soon(what, client.get("/neighbour")).await;
        assert_eq!(reply.status, 200, "after {what}");
        let peak = self.waypoint.peak_resident_bytes();
        assert!(peak < MOST_RESIDENT, "{what}: peak resident {} MiB", peak >> 20);
    }
}

const GOOD: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "echo"),
];

/// `GOOD` less one field, with more.
fn head(without: &str, more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let kept = GOOD.into_iter().filter(|(name, _)| *name != without);
    kept.chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn the_raw_client_gets_through_with_a_good_request() {
    // Without this the other tests would pass against a waypoint that refuses everything.
    let mesh = Mesh::start().await;
    let mut client = mesh.raw().await;
    for stream in [1, 3] {
        client.head(stream, &GOOD, END_STREAM).await.unwrap();
        assert_eq!(client.end_of(stream).await, End::Answer(200));
    }
}

#[tokio::test]
async fn malformed_heads() {
    let mesh = Mesh::start().await;
    let cases: [(&str, Vec<(&str, &str)>); 21] = [
        ("Connection", head("", &[("connection", "x-a")])),
        ("Keep-Alive", head("", &[("keep-alive", "timeout=5")])),
        ("Proxy-Connection", head("", &[("proxy-connection", "keep-alive")])),
        ("Transfer-Encoding", head("", &[("transfer-encoding", "chunked")])),
        ("Upgrade", head("", &[("upgrade", "websocket")])),
        ("TE that is not trailers", head("", &[("te", "gzip")])),
        ("no :method", head(":method", &[])),
        ("no :scheme", head(":scheme", &[])),
        ("no :path", head(":path", &[])),
        ("neither :authority nor Host", head(":authority", &[])),
        ("two :path", head("", &[(":path", "/other")])),
        ("an empty :path", head(":path", &[(":path", "")])),
        ("a :path without a slash", head(":path", &[(":path", "other")])),
        ("a space in :path", head(":path", &[(":path", "/a b")])),
        ("a line end in :path", head(":path", &[(":path", "/a\r\nx: y")])),
        ("a path in :authority", head(":authority", &[(":authority", "echo/x")])),
        ("another Host", head("", &[("host", "other.example")])),
        ("an unknown pseudo-header", head("", &[(":unknown", "x")])),
        (
            "a pseudo-header after others",
            head(":path", &[("x-a", "1"), (":path", "/")]),
        ),
        ("an upper-case name", head("", &[("X-Upper", "1")])),
        ("a line end in a value", head("", &[("x-a", "1\r\nx-b: 2")])),
    ];
    for (what, fields) in cases {
        let before = mesh.echo.app.counts().requests;
        let mut client = mesh.raw().await;
        client.head(1, &fields, END_STREAM).await.unwrap();
        let end = client.end_of(1).await;
        assert!(
            matches!(end, End::Answer(400) | End::Reset(_) | End::GoAway(1 | 9)),
            "{what}: {end:?}"
        );
        // Where only the stream was at fault, the connection goes on.
        if !matches!(end, End::GoAway(_)) {
            client.head(3, &GOOD, END_STREAM).await.unwrap();
            assert_eq!(client.end_of(3).await, End::Answer(200), "after {what}");
            let seen = mesh.echo.app.counts().requests - before;
            assert_eq!(seen, 1, "{what} reached the backend");
        }
    }
    mesh.neighbours_are_served("malformed heads").await;
}

#[tokio::test]
async fn bodies_that_belie_their_head() {
    let mesh = Mesh::start().await;
    let post = |more: &[(&'static str, &'static str)]| {
        let mut fields = head(":method", &[]);
        fields.insert(0, (":method", "POST"));
        fields.extend(more);
        fields
    };
    for (what, fields, data, trailers) in [
        (
            "less than Content-Length",
            post(&[("content-length", "10")]),
            "hello",
            None,
        ),
        (
            "more than Content-Length",
            post(&[("content-length", "2")]),
            "hello",
            None,
        ),
        (
            "two lengths",
            post(&[("content-length", "5"), ("content-length", "6")]),
            "hello",
            None,
        ),
        ("no length at all", post(&[("content-length", "x")]), "hello", None),
        (
            "Connection in trailers",
            post(&[]),
            "hello",
            Some(vec![("connection", "close")]),
        ),
        (
            "an upper-case name in trailers",
            post(&[]),
            "hello",
            Some(vec![("X-Upper", "1")]),
        ),
    ] {
        let mut client = mesh.raw().await;
        client.head(1, &fields, 0).await.unwrap();
        let last = if trailers.is_none() { END_STREAM } else { 0 };
        client.frame(kind::DATA, last, 1, data.as_bytes()).await.unwrap();
        if let Some(trailers) = trailers {
            client.head(1, &trailers, END_STREAM).await.unwrap();
        }
        let end = client.end_of(1).await;
        assert!(
            matches!(end, End::Answer(400) | End::Reset(_) | End::GoAway(_)),
            "{what}: {end:?}"
        );
        mesh.neighbours_are_served(what).await;
    }
    mesh.echo.app.until("the broken ones are gone", |c| c.open == 0).await;
}

/// No trailer says who somebody is, where a request goes, or where it ends.
#[tokio::test]
async fn trailers_lose_what_may_not_be_one() {
    for port in ["http", "http2"] {
        let mut world = MeshWorld::new();
        let echo = world.echo_as("echo", port, Reach::Hbone).await;
        let waypoint = world.start().await;
        let tunnel = world.client(&waypoint).raw(&echo.vip).await;
        let mut client = RawHttp2::open(tunnel, &[]).await.unwrap();
        let bad = [
            (":path", "/other"),
            (":authority", "other.example"),
            ("authorization", "Bearer x"),
            ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/a/sa/admin"),
            ("host", "other.example"),
        ];
        for (stream, good) in [(1, true), (3, false)] {
            let mut fields = head(":method", &[]);
            fields.insert(0, (":method", "POST"));
            client.head(stream, &fields, 0).await.unwrap();
            client.frame(kind::DATA, 0, stream, b"hello").await.unwrap();
            let mut trailers = bad.to_vec();
            trailers.extend(good.then_some(("x-good", "1")));
            client.head(stream, &trailers, END_STREAM).await.unwrap();
            assert_eq!(client.end_of(stream).await, End::Answer(200), "{port}");
            let seen: serde_json::Value = serde_json::from_slice(&client.body_of(stream).await).unwrap();
            let wanted = if good { json!({ "x-good": "1" }) } else { json!({}) };
            assert_eq!(
                (&seen["trailers"], &seen["path"], &seen["host"], &seen["body_bytes"]),
                (&wanted, &json!("/"), &json!("echo"), &json!(5)),
                "{port}: {seen}"
            );
        }
    }
}

#[tokio::test]
async fn abuse_of_the_connection() {
    let mesh = Mesh::start().await;
    let update = |by: u32| by.to_be_bytes();
    let cases: [(&str, Vec<Vec<u8>>); 10] = [
        (
            "a window grown by nothing",
            vec![frame(kind::WINDOW_UPDATE, 0, 0, &update(0))],
        ),
        (
            "a window beyond 2^31-1",
            vec![frame(kind::WINDOW_UPDATE, 0, 0, &update(0x7fff_ffff)); 2],
        ),
        (
            "an initial window of 2^31",
            vec![frame(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])],
        ),
        (
            "frames of 2 bytes at most",
            vec![frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 2])],
        ),
        (
            "a frame larger than allowed",
            vec![frame(kind::DATA, 0, 1, &[0; 20_000])],
        ),
        (
            "DATA on a stream that is not there",
            vec![frame(kind::DATA, 0, 7, b"x")],
        ),
        ("DATA on stream 0", vec![frame(kind::DATA, 0, 0, b"x")]),
        (
            "a stream of the server's",
            vec![frame(kind::HEADERS, END_STREAM | END_HEADERS, 2, &hpack(&GOOD))],
        ),
        (
            "nonsense as HPACK",
            vec![frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 64])],
        ),
        (
            "CONTINUATION of nothing",
            vec![frame(kind::CONTINUATION, END_HEADERS, 1, &hpack(&GOOD))],
        ),
    ];
    for (what, sent) in cases {
        let mut client = mesh.raw().await;
        for frame in sent {
            let _ = client.bytes(&frame).await;
        }
        let end = client.end_of(1).await;
        assert!(matches!(end, End::GoAway(code) if code != 0), "{what}: {end:?}");
        mesh.neighbours_are_served(what).await;
    }
}

/// More than the window it was given: an error, not memory.
#[tokio::test]
async fn data_beyond_the_window() {
    let mesh = Mesh::start().await;
    let mut client = mesh.raw().await;
    let mut fields = head(":path", &[(":path", "/do/early")]);
    fields[0] = (":method", "POST");
    client.head(1, &fields, 0).await.unwrap();
    for _ in 0..2000 {
        if client.frame(kind::DATA, 0, 1, &[b'x'; 16_384]).await.is_err() {
            break;
        }
    }
    let mut ends = vec![client.end_of(1).await];
    while let Some(End::Answer(_)) = ends.last() {
        ends.push(client.end_of(1).await);
    }
    assert!(
        matches!(ends.last(), Some(End::Reset(_) | End::GoAway(_) | End::Closed)),
        "{ends:?}"
    );
    mesh.neighbours_are_served("32 MiB into a window of less").await;
}

#[tokio::test]
async fn a_thousand_streams_reset_as_soon_as_opened() {
    let mesh = Mesh::start().await;
    let mut client = mesh.raw().await;
    let mut flood = Vec::new();
    for i in 0..1000 {
        let stream = 2 * i + 1;
        let mut hang = head(":path", &[(":path", "/do/hang")]);
        hang.push(("x-number", "1"));
        flood.extend(frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &hpack(&hang)));
        flood.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let _ = client.bytes(&flood).await;
    // Ended for it, or served on; never stuck.
    let _ = client.head(2001, &GOOD, END_STREAM).await;
    let end = client.end_of(2001).await;
    assert!(matches!(end, End::GoAway(11) | End::Answer(200)), "{end:?}");
    mesh.echo
        .app
        .until("what reached the backend is cancelled", |c| c.open == 0)
        .await;
    let seen = mesh.echo.app.counts().requests;
    assert!(seen < 1000, "every one of them reached the backend");
    mesh.neighbours_are_served("a rapid reset").await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_alone() {
    let mesh = Mesh::start().await;
    let mut client = mesh.raw().await;
    // Wait for its SETTINGS: until then a client may not know the limit.
    while client.next().await.unwrap().kind != kind::SETTINGS {}
    let hang = head(":path", &[(":path", "/do/hang")]);
    for i in 0..130 {
        client.head(2 * i + 1, &hang, END_STREAM).await.unwrap();
    }
    const REFUSED_STREAM: u32 = 7;
    assert_eq!(client.end_of(2 * 129 + 1).await, End::Reset(REFUSED_STREAM));
    mesh.echo.app.until("a hundred are open", |c| c.open == 100).await;
    mesh.neighbours_are_served("130 streams").await;
    drop(client);
    mesh.echo.app.until("all are cancelled", |c| c.open == 0).await;
}

/// A head that never ends.
#[tokio::test]
async fn a_flood_of_continuations_is_cut() {
    let mesh = Mesh::start().await;
    for filler in ["", "x"] {
        let mut client = mesh.raw().await;
        let fields: Vec<(&str, &str)> = vec![("x-filler", "0123456789012345678901234567890123456789"); 250];
        let block = if filler.is_empty() { Vec::new() } else { hpack(&fields) };
        let _ = client.frame(kind::HEADERS, END_STREAM, 1, &hpack(&GOOD)).await;
        let mut sent = 0;
        let mut cut = false;
        // Without a bound these would be 50,000 empty frames, or 60 MiB.
        for _ in 0..if filler.is_empty() { 50_000 } else { 5_000 } {
            if client.frame(kind::CONTINUATION, 0, 1, &block).await.is_err() {
                cut = true;
                break;
            }
            sent += block.len();
        }
        let end = client.end_of(1).await;
        assert!(
            cut || matches!(end, End::GoAway(_) | End::Closed | End::Reset(_)),
            "{end:?} after {sent} bytes"
        );
        mesh.neighbours_are_served("a flood of CONTINUATION").await;
        assert_eq!(
            mesh.echo.app.counts().requests,
            if filler.is_empty() { 1 } else { 2 },
            "only the neighbours got through"
        );
    }
}

/// Questions that are asked without reading the answers.
#[tokio::test]
async fn floods_of_pings_settings_and_empty_frames() {
    let mesh = Mesh::start().await;
    for (what, frame) in [
        ("PING", frame(kind::PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(kind::SETTINGS, 0, 0, &[])),
        ("empty DATA", frame(kind::DATA, 0, 1, &[])),
    ] {
        let mut client = mesh.raw().await;
        let mut fields = head(":path", &[(":path", "/do/hang")]);
        fields[0] = (":method", "POST");
        client.head(1, &fields, 0).await.unwrap();
        let flood = frame.repeat(1000);
        for _ in 0..100 {
            // Back-pressure is an answer too: whoever does not read waits.
            let sent = tokio::time::timeout(Duration::from_millis(500), client.bytes(&flood)).await;
            if !matches!(sent, Ok(Ok(()))) {
                break;
            }
        }
        mesh.neighbours_are_served(what).await;
    }
}

/// A client that opens no window holds its streams, not memory.
#[tokio::test]
async fn readers_without_a_window() {
    let mesh = Mesh::start().await;
    let mut client = mesh.raw_with(&[0, 4, 0, 0, 0, 0]).await;
    let big = head(":path", &[(":path", "/do/big/100000000")]);
    for i in 0..100 {
        client.head(2 * i + 1, &big, END_STREAM).await.unwrap();
    }
    let mut heads = 0;
    while heads < 100 {
        let frame = client.next().await.unwrap();
        assert!(frame.kind != kind::DATA && frame.kind != kind::RST_STREAM, "{frame:?}");
        heads += u32::from(frame.kind == kind::HEADERS);
    }
    mesh.neighbours_are_served("100 answers of 100 MB to nobody").await;
    drop(client);
    mesh.echo.app.until("all are cancelled", |c| c.open == 0).await;
}

/// The preface is recognised as its bytes come, and so is a request that begins like it or is shorter.
#[tokio::test]
async fn the_protocol_is_told_by_the_first_bytes_however_they_come() {
    for port in ["http", ""] {
        let mut world = MeshWorld::new();
        let echo = world.echo_as("echo", port, Reach::Hbone).await;
        let waypoint = world.start().await;
        let client = world.client(&waypoint);
        let mut all = PREFACE.to_vec();
        all.extend(frame(kind::SETTINGS, 0, 0, &[]));
        all.extend(frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &hpack(&GOOD)));
        for first in [1, 3, 14, 23, 24, 25] {
            let mut tunnel = client.raw(&echo.vip).await;
            for byte in &all[..first] {
                tunnel.write_all(&[*byte]).await.unwrap();
                tunnel.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            tunnel.write_all(&all[first..]).await.unwrap();
            tunnel.flush().await.unwrap();
            let mut got = [0; 9];
            soon("SETTINGS", tunnel.read_exact(&mut got)).await.unwrap();
            assert_eq!(got[3], kind::SETTINGS, "after {first} single bytes");
        }
        for text in [
            "GET / HTTP/1.0\r\n\r\n",
            "PRI / HTTP/1.1\r\nHost: echo\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: echo\r\n\r\n",
        ] {
            let mut raw = RawHttp::new(client.raw(&echo.vip).await);
            raw.send(text).await.unwrap();
            let head = raw.head().await.unwrap();
            assert!([200, 400].contains(&head.status()), "{text:?}: {head:?}");
        }
    }
}

/// Request trailers, sent while the answer is still awaited, do not keep the process busy.
#[tokio::test]
async fn trailers_do_not_spin() {
    for port in ["http", "http2"] {
        let mut world = MeshWorld::new();
        let echo = world.echo_as("echo", port, Reach::Hbone).await;
        let waypoint = world.start().await;
        let tunnel = world.client(&waypoint);
        let mut waiting = tokio::task::JoinSet::new();
        for mut client in [tunnel.http1(&echo.vip).await, tunnel.http2(&echo.vip).await] {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-end", HeaderValue::from_static("1"));
            let body = frames(vec![Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)]);
            let request = Request::post("/do/gate/x")
                .header("trailer", "x-end")
                .body(body)
                .unwrap();
            waiting.spawn(async move { client.send(request).await });
        }
        echo.app.gates().arrived("x", 2).await;
        let before = waypoint.cpu_time();
        // Not to wait for something, but to see that nothing happens.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = waypoint.cpu_time() - before;
        assert!(
            used < Duration::from_millis(150),
            "{used:?} of CPU in a second of waiting"
        );
        echo.app.gates().open("x");
        while let Some(reply) = waiting.join_next().await {
            assert_eq!(reply.unwrap().json()["trailers"]["x-end"], "1");
        }
    }
}
