//! Promise: WebSocket over HTTP/2 (RFC 8441) reaches endpoints of either version, judged and routed as the GET it is over
//! HTTP/1.1; what an endpoint does not offer is 501. Open ones, of either version, end when a policy comes against them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Ping, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::http_client::get_with;
use integration_tests::peers::mesh_world::{MeshWorld, POD_PORT, Reach, Vip, backend};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::json;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An answer, and both directions of its stream.
struct Socket {
    status: u16,
    headers: HeaderMap,
    send: SendStream<Bytes>,
    receive: RecvStream,
}

/// Asks for a protocol on a connection of its own.
async fn ask(client: &ClientTunnel, vip: &Vip, path: &str, protocol: &'static str) -> Socket {
    let tunnel = client.raw(vip).await;
    let (sender, mut connection) = soon("the handshake", h2::client::handshake(tunnel)).await.unwrap();
    let mut ping = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    soon("SETTINGS, then a pong", ping.ping(Ping::opaque())).await.unwrap();
    assert!(sender.is_extended_connect_protocol_enabled(), "offered to clients");
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{}{path}", vip.host_port()))
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    let mut sender = sender.ready().await.unwrap();
    let (answer, send) = sender.send_request(request, false).unwrap();
    let (parts, receive) = soon("an answer", answer).await.unwrap().into_parts();
    Socket {
        status: parts.status.as_u16(),
        headers: parts.headers,
        send,
        receive,
    }
}

impl Socket {
    async fn say(&mut self, bytes: &[u8]) {
        let mut left = Bytes::copy_from_slice(bytes);
        while !left.is_empty() {
            self.send.reserve_capacity(left.len());
            let room = soon("room", std::future::poll_fn(|cx| self.send.poll_capacity(cx))).await;
            let piece = left.split_to(room.unwrap().unwrap().min(left.len()));
            self.send.send_data(piece, false).unwrap();
        }
    }

    async fn hear(&mut self, count: usize) -> Vec<u8> {
        let mut got = Vec::new();
        while got.len() < count {
            let data = soon("data", self.receive.data()).await.expect("no end yet").unwrap();
            self.receive.flow_control().release_capacity(data.len()).unwrap();
            got.extend(data);
        }
        got
    }

    /// Ends our side; true when the other side ends too.
    async fn close(&mut self) -> bool {
        self.send.send_data(Bytes::new(), true).unwrap();
        while let Some(data) = soon("the end", self.receive.data()).await {
            if !data.is_ok_and(|data| data.is_empty()) {
                return false;
            }
        }
        true
    }

    /// Whether it was ended otherwise than in order.
    async fn is_cut(&mut self) -> bool {
        matches!(soon("the end", self.receive.data()).await, Some(Err(_)))
    }

    async fn echoes(&mut self) {
        for size in [1, 70_000, 3] {
            let sent = vec![size as u8; size];
            self.say(&sent).await;
            assert!(self.hear(size).await == sent, "{size} bytes");
        }
        assert!(self.close().await);
    }
}

/// An HTTP/2 endpoint that echoes WebSocket streams, and offers them or not.
fn h2_endpoint(ip: Ipv4Addr, offers: bool) -> JoinHandle<()> {
    let listener = std::net::TcpListener::bind((ip, POD_PORT)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(serve(socket, offers));
        }
    })
}

async fn serve(socket: TcpStream, offers: bool) {
    let mut builder = h2::server::Builder::new();
    if offers {
        builder.enable_connect_protocol();
    }
    let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let protocol = request.extensions().get::<Protocol>().map(|p| p.as_str().to_owned());
        let seen = format!(
            "{} {} {}",
            request.method(),
            request.uri().path(),
            protocol.unwrap_or_default()
        );
        let answer = Response::builder().header("x-seen", seen).body(()).unwrap();
        let mut send = respond.send_response(answer, false).unwrap();
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                body.flow_control().release_capacity(data.len()).unwrap();
                send.reserve_capacity(data.len());
                let _ = send.send_data(data, false);
            }
            let _ = send.send_data(Bytes::new(), true);
        });
    }
}

#[tokio::test]
async fn an_http1_endpoint_gets_an_upgrade() {
    for port_name in ["http", ""] {
        let mut world = MeshWorld::new();
        let pod = world.echo_as("ws", port_name, Reach::Hbone).await;
        let waypoint = world.start().await;
        let mut socket = ask(&world.client(&waypoint), &pod.vip, "/do/upgrade", "websocket").await;
        assert_eq!(socket.status, 200);
        for gone in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(!socket.headers.contains_key(gone), "{gone}: {:?}", socket.headers);
        }
        socket.echoes().await;
    }
}

#[tokio::test]
async fn the_handshake_is_that_of_http1() {
    let mut world = MeshWorld::new();
    let script = |mut connection: RawHttp<TcpStream>| async move {
        let head = connection.head().await.unwrap();
        let header = |name: &str| head.get(name).unwrap_or_default().to_owned();
        assert_eq!(head.line, "GET /chat?room=1 HTTP/1.1");
        assert_eq!(
            (header("upgrade"), header("connection")),
            ("websocket".into(), "upgrade".into())
        );
        assert_eq!(
            (header("sec-websocket-version"), header("sec-websocket-key").len()),
            ("13".into(), 24)
        );
        let answer = "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                      sec-websocket-accept: x\r\nsec-websocket-protocol: chat\r\n\r\nfirst";
        connection.send(answer).await.unwrap();
        assert_eq!(connection.exactly(4).await.unwrap(), b"more");
        connection.send("last").await.unwrap();
    };
    let pod = world.script("ws", script).await;
    let waypoint = world.start().await;
    let mut socket = ask(&world.client(&waypoint), &pod.vip, "/chat?room=1", "websocket").await;
    assert_eq!(
        (
            socket.status,
            socket.headers["sec-websocket-protocol"].to_str().unwrap()
        ),
        (200, "chat")
    );
    assert_eq!(socket.hear(5).await, b"first");
    socket.say(b"more").await;
    assert_eq!(socket.hear(4).await, b"last");
    assert!(socket.close().await);
}

#[tokio::test]
async fn an_http2_endpoint_gets_what_it_offers() {
    for port_name in ["http2", "grpc"] {
        let mut world = MeshWorld::new();
        let (good, bad) = (
            world.dead_pod("good", Reach::Clear),
            world.dead_pod("bad", Reach::Clear),
        );
        let (offering, other) = (
            world.service("good", port_name, &[good]),
            world.service("bad", port_name, &[bad]),
        );
        let _endpoints = [h2_endpoint(good, true), h2_endpoint(bad, false)];
        let waypoint = world.start().await;
        let client = world.client(&waypoint);
        let mut socket = ask(&client, &offering, "/chat", "websocket").await;
        let seen = socket
            .headers
            .get("x-seen")
            .map(|seen| seen.to_str().unwrap().to_owned());
        assert_eq!((socket.status, seen.as_deref()), (200, Some("CONNECT /chat websocket")));
        socket.echoes().await;
        assert_eq!(ask(&client, &other, "/chat", "websocket").await.status, 501);
    }
}

#[tokio::test]
async fn routes_and_policies_see_a_get() {
    let mut world = MeshWorld::new();
    let front = world.echo("front", "front", Reach::Hbone).await;
    let ws = world.echo("ws", "ws", Reach::Hbone).await;
    let is_get = |path: &str| json!([{ "path": { "value": path }, "method": "GET" }]);
    world.http_route(
        "chat",
        "front",
        json!([
            { "matches": is_get("/do/upgrade"), "backendRefs": [backend("ws", 1)] },
            { "matches": is_get("/plain"), "backendRefs": [backend("ws", 1)] },
            { "matches": is_get("/gone"), "backendRefs": [backend("gone", 1)] },
        ]),
    );
    let rules = json!([{ "to": [{ "operation": { "paths": ["/do/upgrade/secret"], "methods": ["GET"] } }] }]);
    world.policy("deny", "front", "DENY", rules);
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut socket = ask(&client, &front.vip, "/do/upgrade", "websocket").await;
    assert_eq!(socket.status, 200);
    socket.echoes().await;
    assert_eq!((ws.app.counts().requests, front.app.counts().requests), (1, 0));
    for (path, protocol, status) in [
        ("/do/upgrade/secret", "websocket", 403),
        ("/nothing", "websocket", 404),
        ("/gone", "websocket", 500),
        ("/do/upgrade", "connect-udp", 501),
    ] {
        assert_eq!(
            ask(&client, &front.vip, path, protocol).await.status,
            status,
            "{path} {protocol}"
        );
    }
    // An endpoint that takes it for a plain GET has switched nothing, and must not seem to.
    assert_eq!(ask(&client, &front.vip, "/plain", "websocket").await.status, 501);
}

/// A policy that denies who asks for `/do/upgrade` with this header.
fn deny(world: &mut MeshWorld, service: &str, name: &str, user: &str) {
    let rules = json!([{ "to": [{ "operation": { "paths": ["/do/upgrade"] } }],
        "when": [{ "key": "request.headers[x-user]", "values": [user] }] }]);
    world.policy(name, service, "DENY", rules);
}

async fn generation(waypoint: &Waypoint) -> f64 {
    waypoint.scrape().await.sum("waypoint_config_generation", &[])
}

#[tokio::test]
async fn an_open_upgrade_ends_when_a_policy_comes_against_it() {
    let mut world = MeshWorld::new();
    let pod = world.echo("ws", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&pod.vip).await;
    let request = get_with(
        "/do/upgrade",
        &[("connection", "Upgrade"), ("upgrade", "websocket"), ("x-user", "alice")],
    );
    let answer = soon("101", client.begin(request)).await.unwrap();
    assert_eq!(answer.status().as_u16(), 101);
    let mut io = hyper_util::rt::TokioIo::new(soon("the upgrade", hyper::upgrade::on(answer)).await.unwrap());
    let before = generation(&waypoint).await;
    deny(&mut world, "ws", "others", "eve");
    until("the policy is in force", async || generation(&waypoint).await > before).await;
    io.write_all(b"still here").await.unwrap();
    let mut got = [0; 10];
    soon("an echo", io.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"still here");

    deny(&mut world, "ws", "alice", "alice");
    let end = soon("the end", io.read(&mut got)).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    let counted = async || waypoint.scrape().await.sum("waypoint_policy_denials_total", &[]) >= 1.0;
    until("the denial is counted", counted).await;
}

#[tokio::test]
async fn an_open_stream_ends_when_a_policy_comes_against_it() {
    let mut world = MeshWorld::new();
    let pod = world.echo("ws", "v1", Reach::Hbone).await;
    let ip = world.dead_pod("h2", Reach::Clear);
    let h2 = world.service("h2", "http2", &[ip]);
    let _endpoint = h2_endpoint(ip, true);
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for (service, vip) in [("ws", &pod.vip), ("h2", &h2)] {
        let mut socket = ask(&client, vip, "/do/upgrade", "websocket").await;
        assert_eq!(socket.status, 200, "{service}");
        socket.say(b"x").await;
        assert_eq!(socket.hear(1).await, b"x", "{service}");
        let before = generation(&waypoint).await;
        deny(&mut world, service, &format!("{service}-others"), "eve");
        until("the policy is in force", async || generation(&waypoint).await > before).await;
        socket.say(b"y").await;
        assert_eq!(socket.hear(1).await, b"y", "{service}");
        let rules = json!([{ "to": [{ "operation": { "paths": ["/do/upgrade"], "methods": ["GET"] } }] }]);
        world.policy(&format!("{service}-all"), service, "DENY", rules);
        assert!(socket.is_cut().await, "{service}");
        assert_eq!(
            ask(&client, vip, "/do/upgrade", "websocket").await.status,
            403,
            "{service}"
        );
    }
}
