//! Promise: what must be refused is refused, with the right word, and the waypoint serves on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::{Method, StatusCode};
use integration_tests::peers::bare_client::{self, Outcome};
use integration_tests::peers::echo::Echo;
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Reach};
use integration_tests::peers::pki::{Certs, Leaf, Pki};
use integration_tests::peers::raw_http::RawHttp;
use integration_tests::peers::waiting::{soon, within};
use integration_tests::peers::waypoint_process::Waypoint;
use std::time::Duration;
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

    async fn connect(&self, certs: Option<&Certs>, authority: &str) -> Outcome {
        bare_client::connect(self.waypoint.hbone, certs, authority).await
    }

    /// The good client still gets through, and nothing else ever reached the backend.
    async fn still_serves(&self) {
        let before = self.echo.app.counts().requests;
        assert_eq!(
            self.world.client(&self.waypoint).get(&self.echo.vip, "/").await.status,
            200
        );
        assert_eq!((before, self.echo.app.counts().requests), (0, 1));
    }
}

#[tokio::test]
async fn the_bare_client_gets_through_with_a_good_certificate() {
    // Without this the other tests would pass against a waypoint that refuses everybody.
    let mesh = Mesh::start().await;
    let certs = mesh.world.pki.issue("demo", "client");
    assert_eq!(
        mesh.connect(Some(&certs), &mesh.echo.vip.authority()).await,
        Outcome::Answered(StatusCode::OK)
    );
}

#[tokio::test]
async fn clients_without_a_good_identity() {
    let mesh = Mesh::start().await;
    let pki = &mesh.world.pki;
    let good = || Leaf::workload("cluster.local", "demo", "client");
    let with_uri = |uri: &str| Leaf {
        uri: Some(uri.into()),
        ..good()
    };
    let cases = [
        ("no certificate", None),
        ("a foreign CA", Some(Pki::new("cluster.local").issue("demo", "client"))),
        (
            "another trust domain",
            Some(pki.issue_leaf(&Leaf::workload("other.example", "demo", "client"))),
        ),
        ("an expired certificate", Some(pki.issue_leaf(&good().expired()))),
        ("no SPIFFE id", Some(pki.issue_leaf(&good().without_spiffe()))),
        (
            "a trust domain in capitals",
            Some(pki.issue_leaf(&with_uri("spiffe://CLUSTER.LOCAL/ns/demo/sa/client"))),
        ),
        (
            "another scheme",
            Some(pki.issue_leaf(&with_uri("https://cluster.local/ns/demo/sa/client"))),
        ),
    ];
    for (what, certs) in cases {
        let outcome = mesh.connect(certs.as_ref(), &mesh.echo.vip.authority()).await;
        assert!(matches!(outcome, Outcome::Ended(_)), "{what}: {outcome:?}");
    }
    let failed = mesh.waypoint.scrape().await;
    let ok = failed.sum("waypoint_handshakes_total", &[("result", "ok")]);
    let all = failed.sum("waypoint_handshakes_total", &[]);
    assert!(
        all - ok >= 7.0,
        "refused handshakes are counted: {all} in all, {ok} good"
    );
    mesh.still_serves().await;
}

#[tokio::test]
async fn other_versions_of_tls_and_other_protocols_over_it() {
    let mesh = Mesh::start().await;
    let certs = mesh.world.pki.issue("demo", "client");
    let hbone = mesh.waypoint.hbone;
    let old = bare_client::tls_of_version(hbone, Some(&certs), &["h2"], &[&rustls::version::TLS12]).await;
    assert!(old.is_err(), "TLS 1.2 was accepted");
    if let Ok(mut io) = bare_client::tls(hbone, Some(&certs), &["http/1.1"]).await {
        let _ = io.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut got = Vec::new();
        let _ = soon("the end", io.read_to_end(&mut got)).await;
        assert!(!got.starts_with(b"HTTP/1.1 200"), "{got:?}");
    }
    let mut plain = tokio::net::TcpStream::connect(hbone).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = soon("the end", plain.read_to_end(&mut got)).await;
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
    mesh.still_serves().await;
}

#[tokio::test]
async fn targets_that_are_not_ours() {
    let mesh = Mesh::start().await;
    let certs = mesh.world.pki.issue("demo", "client");
    let subnet = mesh.world.subnet();
    let (vip, pod) = (mesh.echo.vip.ip, mesh.echo.ip);
    let cases = [
        format!("{}:80", subnet.vip(200)),
        format!("{vip}:81"),
        format!("{pod}:22"),
        format!("127.0.0.1:{}", mesh.waypoint.admin.port()),
        "169.254.169.254:80".into(),
        "example.com:443".into(),
        "nowhere.demo.svc.cluster.local:80".into(),
    ];
    for authority in cases {
        let outcome = mesh.connect(Some(&certs), &authority).await;
        let refused = matches!(outcome, Outcome::Answered(s) if s == 400 || s == 404);
        assert!(refused, "CONNECT {authority}: {outcome:?}");
    }
    mesh.still_serves().await;
}

#[tokio::test]
async fn methods_other_than_connect() {
    let mesh = Mesh::start().await;
    let certs = mesh.world.pki.issue("demo", "client");
    for method in [Method::GET, Method::POST, Method::OPTIONS] {
        let target = format!("http://{}/", mesh.echo.vip.authority());
        let outcome = bare_client::request(mesh.waypoint.hbone, Some(&certs), method.clone(), &target).await;
        let refused = matches!(outcome, Outcome::Answered(s) if s == 405 || s == 400);
        assert!(refused, "{method}: {outcome:?}");
    }
    mesh.still_serves().await;
}

/// A connection that says nothing is closed within the handshake limits (10 s each), not kept for ever.
#[tokio::test]
async fn clients_that_stall() {
    let mesh = Mesh::start().await;
    let certs = mesh.world.pki.issue("demo", "client");
    let limit = Duration::from_secs(25);
    let mut silent = tokio::net::TcpStream::connect(mesh.waypoint.hbone).await.unwrap();
    let mut no_preface = bare_client::tls(mesh.waypoint.hbone, Some(&certs), &["h2"])
        .await
        .unwrap();
    let mut half_preface = bare_client::tls(mesh.waypoint.hbone, Some(&certs), &["h2"])
        .await
        .unwrap();
    half_preface.write_all(b"PRI * HT").await.unwrap();
    let mut buffer = Vec::new();
    let mut buffer2 = Vec::new();
    let mut buffer3 = Vec::new();
    let all = async {
        let (a, b, c) = tokio::join!(
            silent.read_to_end(&mut buffer),
            no_preface.read_to_end(&mut buffer2),
            half_preface.read_to_end(&mut buffer3)
        );
        drop((a, b, c));
    };
    within(limit, "closing three stalled clients", all).await;
    mesh.still_serves().await;
}

/// Of these nobody can say where the next request would begin: the connection must be closed after the answer.
const UNSOUND: [&str; 8] = [
    "both framings",
    "two lengths",
    "two equal lengths",
    "a signed length",
    "an unknown coding",
    "a folded header",
    "a space before the colon",
    "NUL in the target",
];

/// Each is sent inside a good tunnel; the answer must be this status and the backend must see nothing.
#[tokio::test]
async fn malformed_requests_inside_a_tunnel() {
    let mesh = Mesh::start().await;
    let client = mesh.world.client(&mesh.waypoint);
    let long = "a".repeat(100_000);
    let many = (0..2000).map(|i| format!("X-{i}: v\r\n")).collect::<String>();
    let cases = [
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), &[400][..]),
        (
            "two Hosts",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(),
            &[400],
        ),
        ("a path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), &[400]),
        (
            "a bad port in Host",
            "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n".into(),
            &[400],
        ),
        (
            "NUL in the target",
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            &[400],
        ),
        (
            "a space in the target",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            &[400],
        ),
        ("GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), &[400]),
        (
            "authority form with GET",
            "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            &[400],
        ),
        (
            "CONNECT inside",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".into(),
            &[400, 405, 501],
        ),
        (
            "both framings",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            &[400],
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".into(),
            &[400],
        ),
        (
            "two equal lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc".into(),
            &[400],
        ),
        (
            "a signed length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc".into(),
            &[400],
        ),
        (
            "an unknown coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".into(),
            &[400, 501],
        ),
        (
            "a folded header",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n".into(),
            &[400],
        ),
        (
            "a space before the colon",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n".into(),
            &[400],
        ),
        ("HTTP/9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n".into(), &[400, 505]),
        (
            "an absurd method",
            format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"),
            &[400, 414, 431, 501],
        ),
        (
            "an absurd path",
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            &[400, 414, 431],
        ),
        (
            "an absurd header",
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            &[400, 431],
        ),
        (
            "2,000 headers",
            format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            &[400, 431],
        ),
    ];
    for (what, bytes, wanted) in cases {
        let mut tunnel = RawHttp::new(client.raw(&mesh.echo.vip).await);
        let _ = tunnel.send(bytes).await; // it may be cut off while it sends an absurd one
        match tunnel.head().await {
            Ok(head) => {
                assert!(wanted.contains(&head.status()), "{what}: {head:?}, wanted {wanted:?}");
                tunnel.body(&head).await.unwrap();
                // Where the framing is sound the connection may stay open; where it is not, nothing may follow.
                if !UNSOUND.contains(&what) {
                    tunnel.finish().await.ok();
                }
                let rest = tunnel.rest().await.unwrap_or_default();
                assert!(
                    rest.is_empty(),
                    "{what}: one answer, then the end; got {:?}",
                    String::from_utf8_lossy(&rest)
                );
            }
            Err(e) => panic!("{what}: no answer but {e}"),
        }
        assert_eq!(mesh.echo.app.counts().requests, 0, "{what} reached the backend");
    }
    mesh.still_serves().await;
}

#[tokio::test]
async fn a_destination_with_another_identity_is_not_spoken_to() {
    let mut world = MeshWorld::new();
    let pod = world.echo("victim", "v1", Reach::HboneByTest).await;
    // The impostor has a certificate of the right CA, for another service account of a like name.
    let impostor = integration_tests::peers::destination_tunnel::DestinationTunnel::start(
        &world.pki, pod.ip, "demo", "victim-2", "demo",
    )
    .await;
    let waypoint = world.start().await;
    let reply = world.client(&waypoint).get(&pod.vip, "/secret").await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!((impostor.tunnels(), pod.app.counts().requests), (0, 0));
}
