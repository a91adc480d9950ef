//! Promise: a waypoint lives from a CA such as istiod without any file of its own: it waits for the first certificate,
//! renews it under load, outlives the CA, and believes nothing that it cannot check.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::bare_client;
use integration_tests::peers::istiod_ca::{IstiodCa, Manner};
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach};
use integration_tests::peers::pki::Certs;
use integration_tests::peers::tls_server::PublicCa;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use std::net::SocketAddr;
use time::Duration;

/// Renewed after some 8 s: long enough to be kept while a test looks, short enough to wait for.
const SHORT: Duration = Duration::seconds(16);

/// The world's waypoint with no certificate but the CA's.
async fn start(world: &MeshWorld, ca: &IstiodCa) -> Waypoint {
    let launch = Launch::default()
        .env("CA_ADDR", ca.address())
        .env("ISTIO_META_CLUSTER_ID", "cluster-1")
        .arg("--ca-root", ca.root().display())
        .arg("--ca-token", ca.token().display());
    Waypoint::start_without_files(world.config(), NAMESPACE, "cluster.local", launch).await
}

async fn shown_leaf(hbone: SocketAddr, certs: &Certs) -> Vec<u8> {
    let io = bare_client::tls(hbone, Some(certs), &["h2"]).await.unwrap();
    io.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn until_changed(waypoint: &Waypoint, probe: &Certs, old: &[u8]) {
    until("new handshakes show the next leaf", async || {
        shown_leaf(waypoint.hbone, probe).await != old
    })
    .await;
}

#[tokio::test]
async fn it_waits_for_the_first_certificate_and_serves() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let ca = IstiodCa::start(&world.pki, Duration::DAY).await;
    ca.say(Manner::Status(14));
    let (waypoint, ()) = tokio::join!(start(&world, &ca), async {
        until("the CA is asked", async || !ca.asked().is_empty()).await;
        ca.say(Manner::Honest);
    });
    for word in ["our certificates come from a CA", "no certificate yet"] {
        waypoint.until_logged(word, |line| line.contains(word)).await;
    }
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
    let asked = ca.asked().pop().unwrap();
    assert_eq!(asked.authorization, "Bearer a token");
    assert_eq!(asked.cluster, "cluster-1");
    assert_eq!(asked.ids, ["spiffe://cluster.local/ns/demo/sa/waypoint"]);
    assert_eq!(asked.valid_seconds, 24 * 3600);
    let log = waypoint.log();
    assert!(!log.contains("a token") && !log.contains("PRIVATE"), "{log}");
    let expiry = waypoint
        .scrape()
        .await
        .sum("waypoint_certificate_expiry_timestamp_seconds", &[]);
    assert!(expiry > 0.0, "{expiry}");
}

#[tokio::test]
async fn it_rotates_under_load_and_reads_the_token_again() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let ca = IstiodCa::start(&world.pki, SHORT).await;
    let waypoint = start(&world, &ca).await;
    let (client, probe) = (world.client(&waypoint), world.pki.issue(NAMESPACE, "probe"));
    let mut load = Load::start(&client, &echo.vip, 2);
    for round in 1..=2 {
        let old = shown_leaf(waypoint.hbone, &probe).await;
        let token = format!("token {round}");
        ca.put_token(&token);
        until_changed(&waypoint, &probe, &old).await;
        let asked = ca.asked();
        assert_eq!(asked.last().unwrap().authorization, format!("Bearer {token}"));
        assert_ne!(asked[asked.len() - 2].key, asked[asked.len() - 1].key, "a new key");
        load.more(20).await;
        let late = world.client_as(&waypoint, NAMESPACE, "late");
        assert_eq!(late.get(&echo.vip, "/").await.status, 200, "round {round}");
    }
    assert!(load.stop().await.all_good() >= 40);
    let rotations = waypoint.scrape().await.sum("waypoint_certificate_rotations_total", &[]);
    assert!(rotations >= 2.0, "{rotations} rotations counted");
}

#[tokio::test]
async fn a_ca_that_goes_away_is_found_again() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let mut ca = IstiodCa::start(&world.pki, SHORT).await;
    let waypoint = start(&world, &ca).await;
    let (client, probe) = (world.client(&waypoint), world.pki.issue(NAMESPACE, "probe"));
    let first = shown_leaf(waypoint.hbone, &probe).await;
    let mut load = Load::start(&client, &echo.vip, 2);
    ca.stop().await;
    waypoint
        .until_logged("that the CA is away", |line| line.contains("keeping the last good"))
        .await;
    load.more(20).await;
    ca.start_again().await;
    until_changed(&waypoint, &probe, &first).await;
    load.more(20).await;
    assert!(load.stop().await.all_good() >= 40);
}

#[tokio::test]
async fn a_ca_that_lies_is_not_believed() {
    let world = MeshWorld::new();
    let ca = IstiodCa::start(&world.pki, Duration::seconds(6)).await;
    let waypoint = start(&world, &ca).await;
    let probe = world.pki.issue(NAMESPACE, "probe");
    for (lie, word) in [
        (
            Manner::OtherId,
            "found one for spiffe://cluster.local/ns/demo/sa/waypoint-other",
        ),
        (Manner::OtherKey, "our key: expected the key of the leaf"),
        (Manner::OtherRoot, "no peer would take it"),
        (Manner::HugeChain, "at most 16 certificates"),
    ] {
        // The last good one is as it was before the lie.
        ca.say(lie);
        let before = shown_leaf(waypoint.hbone, &probe).await;
        waypoint.until_logged(word, |line| line.contains(word)).await;
        assert_eq!(shown_leaf(waypoint.hbone, &probe).await, before, "{lie:?}");
        ca.say(Manner::Honest);
        until_changed(&waypoint, &probe, &before).await;
    }
}

#[tokio::test]
async fn a_lie_at_the_start_is_no_certificate() {
    let world = MeshWorld::new();
    let ca = IstiodCa::start(&world.pki, Duration::DAY).await;
    ca.say(Manner::Garbage);
    let (waypoint, ()) = tokio::join!(start(&world, &ca), async {
        for lie in [Manner::ClientOnly, Manner::LateStatus(13), Manner::Honest] {
            let before = ca.asked().len();
            until("the CA is asked", async || ca.asked().len() > before).await;
            ca.say(lie);
        }
    });
    for word in [
        "not an IstioCertificateResponse",
        "no peer would take it",
        "gRPC status 13",
    ] {
        waypoint
            .until_logged(word, |line| line.contains(word) && line.contains("no certificate yet"))
            .await;
    }
}

#[tokio::test]
async fn a_server_by_another_root_is_told_nothing() {
    let world = MeshWorld::new();
    let ca = IstiodCa::start(&world.pki, SHORT).await;
    let waypoint = start(&world, &ca).await;
    let probe = world.pki.issue(NAMESPACE, "probe");
    let first = shown_leaf(waypoint.hbone, &probe).await;
    let asked = ca.asked().len();
    ca.put_root_of(Some(&PublicCa::new()));
    waypoint
        .until_logged("that the server is not believed", |line| {
            line.contains("invalid peer certificate") && line.contains("keeping the last good")
        })
        .await;
    assert_eq!(ca.asked().len(), asked, "it got the token");
    ca.put_root_of(None);
    until_changed(&waypoint, &probe, &first).await;
}
