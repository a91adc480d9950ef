//! Promise: between HTTP/1.1 and HTTP/2, in every combination, a message keeps its meaning and nothing of its
//! connection: one framing, one host, no hop-by-hop field, bodiless answers without a body, trailers, 1xx.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use integration_tests::peers::http_client::{ClientBody, HttpClient, Reply, empty, frames, full, get, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Pod};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::scripted::Scripted;
use integration_tests::peers::waiting::soon;
use integration_tests::peers::waypoint_process::Waypoint;
use std::future::poll_fn;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http {
    One,
    Two,
}

use Http::{One, Two};

/// A request as the backend got it, whatever it speaks.
#[derive(Debug)]
struct Arrived {
    method: String,
    target: String,
    /// Host or `:authority`.
    host: String,
    /// Everything else, in order: name in lower case, value.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<String>,
}

impl Arrived {
    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n == name);
        named.map(|(_, v)| v.as_str()).collect()
    }
}

struct Mesh {
    world: MeshWorld,
    waypoint: Waypoint,
    backend: Pod<Scripted>,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Mesh {
    /// A backend that speaks `upstream` only, shows what comes, and answers as [`answer_h1`] or [`answer_h2`].
    async fn start(upstream: Http) -> Self {
        let mut world = MeshWorld::new();
        let (send, arrived) = mpsc::unbounded_channel();
        let backend = match upstream {
            One => {
                world
                    .script_as("shop", "http", move |connection| serve_h1(connection, send.clone()))
                    .await
            }
            Two => {
                world
                    .script_as("shop", "http2", move |connection| serve_h2(connection, send.clone()))
                    .await
            }
        };
        let waypoint = world.start().await;
        Self {
            world,
            waypoint,
            backend,
            arrived,
        }
    }

    async fn client(&self, version: Http) -> HttpClient {
        let tunnel = self.world.client(&self.waypoint);
        match version {
            One => tunnel.http1(&self.backend.vip).await,
            Two => tunnel.http2(&self.backend.vip).await,
        }
    }

    async fn raw(&self) -> RawHttp<hbone::TunnelStream> {
        RawHttp::new(self.world.client(&self.waypoint).raw(&self.backend.vip).await)
    }

    async fn arrived(&mut self) -> Arrived {
        soon("the request at the backend", self.arrived.recv()).await.unwrap()
    }
}

async fn serve_h1(mut connection: RawHttp<TcpStream>, send: mpsc::UnboundedSender<Arrived>) {
    while let Ok(head) = connection.head().await {
        let mut line = head.line.split(' ');
        let (method, target) = (line.next().unwrap().to_owned(), line.next().unwrap().to_owned());
        if head.get("expect").is_some() {
            connection.send("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        }
        let (body, trailers) = connection.body_and_trailers(&head).await.unwrap();
        assert_eq!(head.count("host"), 1, "{head:?}");
        let host = head.get("host").unwrap().to_owned();
        let headers = head.headers.into_iter().filter(|(n, _)| n != "host").collect();
        let close = target == "/until-close";
        let answer = answer_h1(&target, &method);
        send.send(Arrived {
            method,
            target,
            host,
            headers,
            body,
            trailers,
        })
        .ok();
        connection.send(answer).await.unwrap();
        if close {
            return;
        }
    }
}

/// What HTTP/1.1 says under a path; every head has fields that are for the next hop only.
fn answer_h1(path: &str, method: &str) -> String {
    const HOP: &str =
        "X-Twice: 1\r\nX-Twice: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n";
    match path {
        "/head" => format!("HTTP/1.1 200 OK\r\n{HOP}Content-Length: 1234\r\n\r\n"),
        "/204" => format!("HTTP/1.1 204 No Content\r\n{HOP}\r\n"),
        "/304" => format!("HTTP/1.1 304 Not Modified\r\n{HOP}ETag: \"x\"\r\nContent-Length: 1234\r\n\r\n"),
        "/empty" => format!("HTTP/1.1 200 OK\r\n{HOP}Content-Length: 0\r\n\r\n"),
        "/trailers" => format!(
            "HTTP/1.1 200 OK\r\n{HOP}Trailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-End: 1\r\n\r\n"
        ),
        "/until-close" => "HTTP/1.1 200 OK\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\nbody".to_owned(),
        "/103" => format!(
            "HTTP/1.1 103 Early Hints\r\nConnection: x-hop\r\nX-Hop: 1\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n{HOP}Content-Length: 4\r\n\r\nbody"
        ),
        _ if method == "HEAD" => format!("HTTP/1.1 200 OK\r\n{HOP}Content-Length: 4\r\n\r\n"),
        _ => format!("HTTP/1.1 200 OK\r\n{HOP}Content-Length: 4\r\n\r\nbody"),
    }
}

async fn serve_h2(connection: RawHttp<TcpStream>, send: mpsc::UnboundedSender<Arrived>) {
    let mut connection = h2::server::handshake(connection.into_io()).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let send = send.clone();
        tokio::spawn(async move {
            let (parts, mut stream) = request.into_parts();
            let mut body = Vec::new();
            while let Some(Ok(data)) = stream.data().await {
                stream.flow_control().release_capacity(data.len()).unwrap();
                body.extend_from_slice(&data);
            }
            let trailers = stream.trailers().await.ok().flatten().unwrap_or_default();
            let path = parts.uri.path().to_owned();
            send.send(Arrived {
                method: parts.method.to_string(),
                target: parts.uri.path_and_query().unwrap().to_string(),
                host: parts.uri.authority().unwrap().to_string(),
                headers: texts(&parts.headers),
                body,
                trailers: texts(&trailers).into_iter().map(|(n, v)| format!("{n}: {v}")).collect(),
            })
            .ok();
            answer_h2(&path, &parts.method, respond);
        });
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let texts = headers.iter();
    texts
        .map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()))
        .collect()
}

/// The same in HTTP/2.
fn answer_h2(path: &str, method: &Method, mut respond: h2::server::SendResponse<Bytes>) {
    let mut answer = Response::builder().header("x-twice", "1").header("x-twice", "2");
    if path == "/103" {
        let hints = Response::builder().status(103).header("link", "</a>").body(()).unwrap();
        respond.send_informational(hints).unwrap();
    }
    let (status, length) = match path {
        "/head" => (200, Some("1234")),
        "/204" => (204, None),
        "/304" => (304, Some("1234")),
        "/empty" => (200, Some("0")),
        "/trailers" | "/until-close" => (200, None),
        _ => (200, Some("4")),
    };
    answer = answer.status(status);
    if let Some(length) = length {
        answer = answer.header("content-length", length);
    }
    let bodiless = *method == Method::HEAD || ["/204", "/304", "/empty"].contains(&path);
    let mut stream = respond.send_response(answer.body(()).unwrap(), bodiless).unwrap();
    if bodiless {
        return;
    }
    let trailers = path == "/trailers";
    stream.send_data(Bytes::from_static(b"body"), !trailers).unwrap();
    if trailers {
        let mut end = HeaderMap::new();
        end.insert("x-end", HeaderValue::from_static("1"));
        stream.send_trailers(end).unwrap();
    }
}

const COMBINATIONS: [(Http, Http); 4] = [(One, One), (One, Two), (Two, One), (Two, Two)];

/// A request, with the header fields that only HTTP/1.1 can have added for HTTP/1.1.
fn request(client: Http, method: Method, target: &str, body: ClientBody) -> Request<ClientBody> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "shop.example:8080")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .header("te", "trailers")
        .header("upgrade-insecure-requests", "1");
    if client == One {
        request = request
            .header("connection", "te, x-hop, keep-alive")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive");
    }
    request.body(body).unwrap()
}

/// What must hold of any request, and how its body is framed: `length` if that is known, `chunked`.
fn assert_sound(arrived: &Arrived, upstream: Http, length: Option<&str>, chunked: bool, what: &str) {
    assert_eq!(arrived.host, "shop.example:8080", "{what}");
    assert_eq!(arrived.all("x-twice"), ["1", "2"], "{what}");
    assert_eq!(arrived.all("te"), ["trailers"], "{what}: {:?}", arrived.headers);
    assert_eq!(arrived.all("upgrade-insecure-requests"), ["1"], "{what}");
    for gone in ["x-hop", "keep-alive", "proxy-connection", "upgrade", "host"] {
        assert_eq!(arrived.all(gone), Vec::<&str>::new(), "{what}: {gone}");
    }
    let lengths: Vec<_> = length.into_iter().collect();
    assert_eq!(arrived.all("content-length"), lengths, "{what}: {:?}", arrived.headers);
    let (codings, connection) = match upstream {
        One => (
            vec!["chunked"; usize::from(chunked)],
            vec!["te"], // TE is for the next hop, and says so
        ),
        Two => (vec![], vec![]),
    };
    assert_eq!(
        arrived.all("transfer-encoding"),
        codings,
        "{what}: {:?}",
        arrived.headers
    );
    assert_eq!(arrived.all("connection"), connection, "{what}");
}

#[tokio::test]
async fn requests() {
    for (client, upstream) in COMBINATIONS {
        let what = format!("{client:?} to {upstream:?}");
        let mut mesh = Mesh::start(upstream).await;
        let mut connection = mesh.client(client).await;

        let sized = request(client, Method::PUT, "/a%20b?c=d%2Fe", full("hello"));
        assert_eq!(soon(&what, connection.send(sized)).await.status, 200);
        let arrived = mesh.arrived().await;
        assert_eq!(
            (arrived.method.as_str(), arrived.target.as_str(), &arrived.body[..]),
            ("PUT", "/a%20b?c=d%2Fe", &b"hello"[..]),
            "{what}"
        );
        assert_sound(&arrived, upstream, Some("5"), false, &what);

        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        let body = frames(vec![
            Frame::data(Bytes::from_static(b"hel")),
            Frame::data(Bytes::from_static(b"lo")),
            Frame::trailers(trailers),
        ]);
        let mut streamed = request(client, Method::POST, "/", body);
        streamed
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("x-end"));
        assert_eq!(soon(&what, connection.send(streamed)).await.status, 200);
        let arrived = mesh.arrived().await;
        assert_eq!(
            (&arrived.body[..], &arrived.trailers[..]),
            (&b"hello"[..], &["x-end: 1".to_owned()][..]),
            "{what}"
        );
        assert_sound(&arrived, upstream, None, true, &what);

        let bare = request(client, Method::GET, "/", empty());
        assert_eq!(soon(&what, connection.send(bare)).await.status, 200);
        let arrived = mesh.arrived().await;
        assert_eq!((arrived.method.as_str(), arrived.body.len()), ("GET", 0), "{what}");
        assert_sound(&arrived, upstream, None, false, &what);

        let none = request(client, Method::POST, "/", full(""));
        assert_eq!(soon(&what, connection.send(none)).await.status, 200);
        let arrived = mesh.arrived().await;
        assert_eq!((arrived.method.as_str(), arrived.body.len()), ("POST", 0), "{what}");
        let said = arrived.all("content-length");
        assert!(said == ["0"] || upstream == Two && said.is_empty(), "{what}: {said:?}");
    }
}

fn assert_answer(reply: &Reply, what: &str, status: u16, length: &str, body: &str) {
    assert_eq!(reply.status.as_u16(), status, "{what}: {reply:?}");
    assert_eq!(reply.text(), body, "{what}");
    assert_eq!(reply.header("content-length"), length, "{what}: {reply:?}");
    let twice: Vec<_> = reply.headers.get_all("x-twice").iter().collect();
    assert_eq!(twice, ["1", "2"], "{what}");
    for gone in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(reply.header(gone), "", "{what}: {gone}");
    }
}

#[tokio::test]
async fn answers() {
    for (client, upstream) in COMBINATIONS {
        let mesh = Mesh::start(upstream).await;
        let mut connection = mesh.client(client).await;
        for round in 0..2 {
            let what = |path: &str| format!("{client:?} to {upstream:?}, {path}, round {round}");
            let head = Request::head("/head").body(empty()).unwrap();
            let reply = soon(&what("/head"), connection.send(head)).await;
            assert_answer(&reply, &what("/head"), 200, "1234", "");
            for (path, status, length, body) in [
                ("/204", 204, "", ""),
                ("/304", 304, "1234", ""),
                ("/empty", 200, "0", ""),
                ("/103", 200, "4", "body"),
                ("/sized", 200, "4", "body"),
            ] {
                let reply = soon(&what(path), connection.get(path)).await;
                assert_answer(&reply, &what(path), status, length, body);
            }
            let reply = soon(
                "trailers",
                connection.send(get_with("/trailers", &[("te", "trailers")])),
            )
            .await;
            assert_answer(&reply, &what("/trailers"), 200, "", "body");
            assert_eq!(
                texts(&reply.trailers),
                [("x-end".to_owned(), "1".to_owned())],
                "{}",
                what("/trailers")
            );
            let reply = soon("until close", connection.get("/until-close")).await;
            assert_answer(&reply, &what("/until-close"), 200, "", "body");
        }
    }
}

/// The same once more by the byte, as a strict HTTP/1.1 client sees it.
#[tokio::test]
async fn answers_to_http1_have_one_framing() {
    for upstream in [One, Two] {
        let mesh = Mesh::start(upstream).await;
        let mut client = mesh.raw().await;
        for (method, path, lengths, codings) in [
            ("GET", "/sized", 1, 0),
            ("HEAD", "/head", 1, 0),
            ("GET", "/204", 0, 0),
            ("GET", "/empty", 1, 0),
            ("GET", "/trailers", 0, 1),
            ("GET", "/until-close", 0, 1),
            ("GET", "/sized", 1, 0),
        ] {
            client
                .send(format!("{method} {path} HTTP/1.1\r\nHost: shop\r\n\r\n"))
                .await
                .unwrap();
            let head = client.head().await.unwrap();
            let got = (head.count("content-length"), head.count("transfer-encoding"));
            assert_eq!(got, (lengths, codings), "{upstream:?}, {path}: {head:?}");
            if method == "GET" {
                client.body(&head).await.unwrap();
            }
        }
    }
}

/// 1xx of an HTTP/1.1 or HTTP/2 backend reach a client of either, without what belongs to the connection.
#[tokio::test]
async fn early_hints() {
    for upstream in [One, Two] {
        let mesh = Mesh::start(upstream).await;
        let mut client = mesh.raw().await;
        client.send("GET /103 HTTP/1.1\r\nHost: shop\r\n\r\n").await.unwrap();
        let early = client.head().await.unwrap();
        assert_eq!(
            (early.status(), early.get("link"), early.get("x-hop")),
            (103, Some("</a>"), None),
            "{early:?}"
        );
        assert_eq!(client.head().await.unwrap().status(), 200);

        let (mut answer, _) = http2_request(&mesh, Request::get("http://shop/103").body(()).unwrap(), true).await;
        let early = soon("103", poll_fn(|cx| answer.poll_informational(cx))).await;
        let early = early.unwrap_or_else(|| panic!("no 103 from {upstream:?}")).unwrap();
        assert_eq!(
            (early.status().as_u16(), texts(early.headers())),
            (103, vec![("link".to_owned(), "</a>".to_owned())])
        );
        assert_eq!(soon("200", answer).await.unwrap().status(), 200);
    }
}

async fn http2_request(
    mesh: &Mesh,
    request: Request<()>,
    end: bool,
) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
    let tunnel = mesh.world.client(&mesh.waypoint).raw(&mesh.backend.vip).await;
    let (sender, connection) = h2::client::handshake(tunnel).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    sender.send_request(request, end).unwrap()
}

/// Nobody waits for a 100 that never comes.
#[tokio::test]
async fn expect_100_continue() {
    for upstream in [One, Two] {
        let mut mesh = Mesh::start(upstream).await;
        let mut client = mesh.raw().await;
        let head = "POST /up HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        client.send(head).await.unwrap();
        assert_eq!(client.head().await.unwrap().status(), 100, "HTTP/1.1 to {upstream:?}");
        client.send("hello").await.unwrap();
        let head = client.head().await.unwrap();
        assert_eq!(
            (head.status(), client.body(&head).await.unwrap()),
            (200, b"body".to_vec())
        );
        assert_eq!(mesh.arrived().await.body, b"hello");

        let request = Request::post("http://shop/up")
            .header("expect", "100-continue")
            .body(())
            .unwrap();
        let (mut answer, mut body) = http2_request(&mesh, request, false).await;
        let interim = soon("100 to HTTP/2", poll_fn(|cx| answer.poll_informational(cx))).await;
        assert_eq!(interim.unwrap().unwrap().status(), 100, "HTTP/2 to {upstream:?}");
        body.send_data(Bytes::from_static(b"hello"), true).unwrap();
        assert_eq!(soon("200", answer).await.unwrap().status(), 200);
        let arrived = mesh.arrived().await;
        assert_eq!(arrived.body, b"hello");
        let wish = if upstream == One { vec!["100-continue"] } else { vec![] };
        assert_eq!(arrived.all("expect"), wish, "who has answered it does not pass it on");
    }
}

/// A backend that speaks HTTP/2 cannot switch protocols: it gets the request without the wish, as any server may ignore it.
#[tokio::test]
async fn no_upgrade_towards_http2() {
    let mut mesh = Mesh::start(Two).await;
    let mut client = mesh.raw().await;
    let upgrade = "GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(upgrade).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!(
        (head.status(), client.body(&head).await.unwrap()),
        (200, b"body".to_vec())
    );
    let arrived = mesh.arrived().await;
    assert_eq!((arrived.all("upgrade"), arrived.all("connection")), (vec![], vec![]));
    assert_eq!(
        head.get("connection"),
        Some("close"),
        "the client may have begun to speak the other protocol"
    );
    assert!(client.rest().await.unwrap().is_empty());
    // Not even when HTTP/2 asks.
    let request = Request::get("http://shop/chat")
        .header("upgrade", "websocket")
        .body(())
        .unwrap();
    let tunnel = mesh.world.client(&mesh.waypoint).raw(&mesh.backend.vip).await;
    let (sender, connection) = h2::client::handshake(tunnel).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    assert!(
        sender.send_request(request, true).is_err(),
        "the library itself refuses it"
    );
}

/// RFC 9113 section 8.2.3: HTTP/2 may split Cookie into crumbs, HTTP/1.1 has one.
#[tokio::test]
async fn cookie_crumbs_are_joined() {
    let mut mesh = Mesh::start(One).await;
    let mut client = mesh.client(Two).await;
    let mut crumbs = get("/");
    for crumb in ["a=1", "b=2; c=3", "d=4"] {
        crumbs.headers_mut().append("cookie", HeaderValue::from_static(crumb));
    }
    assert_eq!(soon("an answer", client.send(crumbs)).await.status, 200);
    assert_eq!(mesh.arrived().await.all("cookie"), ["a=1; b=2; c=3; d=4"]);
}

/// An answer that begins before the request's body has ended, between the versions.
#[tokio::test]
async fn full_duplex_in_every_combination() {
    use integration_tests::peers::http_client::fed;
    use integration_tests::peers::mesh_world::Reach;
    for (client, upstream) in COMBINATIONS {
        let mut world = MeshWorld::new();
        let port = if upstream == One { "http" } else { "http2" };
        let echo = world.echo_as("echo", port, Reach::Hbone).await;
        let waypoint = world.start().await;
        let tunnel = world.client(&waypoint);
        let mut connection = match client {
            One => tunnel.http1(&echo.vip).await,
            Two => tunnel.http2(&echo.vip).await,
        };
        let (body, request) = fed();
        body.send(Ok(Frame::data(Bytes::from_static(b"0")))).await.unwrap();
        let request = Request::post("/do/stream").body(request).unwrap();
        let mut answer = soon("a head", connection.begin(request)).await.unwrap().into_body();
        for i in 0..5u8 {
            let frame = soon("the piece that was sent", answer.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), i.to_string(), "{client:?} to {upstream:?}");
            body.send(Ok(Frame::data(Bytes::from((i + 1).to_string()))))
                .await
                .unwrap();
        }
        drop(body);
        assert_eq!(soon("the end", answer.collect()).await.unwrap().to_bytes(), "5");
    }
}
