//! Promise: certificates and roots rotate under load without a failed request, and new handshakes use the new ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::StatusCode;
use integration_tests::peers::bare_client::{self, Outcome};
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach};
use integration_tests::peers::pki::{Certs, Leaf, Pki};
use integration_tests::peers::waiting::{until, until_ok};
use std::net::SocketAddr;

/// The leaf that a handshake with the waypoint shows.
async fn shown_leaf(hbone: SocketAddr, certs: &Certs) -> Vec<u8> {
    let io = bare_client::tls(hbone, Some(certs), &["h2"]).await.unwrap();
    io.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn leaf() -> Leaf {
    Leaf::workload("cluster.local", NAMESPACE, "waypoint")
}

#[tokio::test]
async fn a_new_leaf_under_load() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let probe = world.pki.issue(NAMESPACE, "probe");
    let mut load = Load::start(&client, &echo.vip, 4);
    load.more(50).await;
    for round in 1..=3 {
        let old = shown_leaf(waypoint.hbone, &probe).await;
        world.pki.renew(world.certs(), &leaf());
        until("new handshakes show the new leaf", async || {
            shown_leaf(waypoint.hbone, &probe).await != old
        })
        .await;
        load.more(50).await;
        // A client that dials anew checks the exact identity.
        assert_eq!(
            world
                .client_as(&waypoint, NAMESPACE, "late")
                .get(&echo.vip, "/")
                .await
                .status,
            200,
            "round {round}"
        );
    }
    assert!(load.stop().await.all_good() >= 200);
    let rotations = waypoint.scrape().await.sum("waypoint_certificate_rotations_total", &[]);
    assert!(rotations >= 3.0, "{rotations} rotations counted");
}

#[tokio::test]
async fn a_new_root_in_three_steps() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut load = Load::start(&client, &echo.vip, 2);
    let new_pki = Pki::new("cluster.local");
    let newcomer = new_pki.issue(NAMESPACE, "newcomer");
    let target = echo.vip.authority();
    assert!(matches!(
        bare_client::connect(waypoint.hbone, Some(&newcomer), &target).await,
        Outcome::Ended(_)
    ));
    // Step one: trust both.
    world.certs().put("root-cert.pem", &new_pki.roots_with(&world.pki));
    until_ok("clients of the new CA are let in", async || match bare_client::connect(
        waypoint.hbone,
        Some(&newcomer),
        &target,
    )
    .await
    {
        Outcome::Answered(StatusCode::OK) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    load.more(50).await;
    // Step two: a leaf of the new CA. Open tunnels live on.
    let old = shown_leaf(waypoint.hbone, &newcomer).await;
    let fresh = new_pki.issue_leaf(&leaf());
    world.certs().put("key.pem", &fresh.read("key.pem"));
    world.certs().put("cert-chain.pem", &fresh.read("cert-chain.pem"));
    until("the new CA's leaf is shown", async || {
        shown_leaf(waypoint.hbone, &newcomer).await != old
    })
    .await;
    load.more(50).await;
    assert!(load.stop().await.all_good() >= 100);
    // Step three: only the new root. Clients of the old CA are turned away.
    let stale = world.pki.issue(NAMESPACE, "stale");
    world.certs().put("root-cert.pem", new_pki.root_pem());
    until("clients of the old CA are turned away", async || {
        matches!(
            bare_client::connect(waypoint.hbone, Some(&stale), &target).await,
            Outcome::Ended(_)
        )
    })
    .await;
}

#[tokio::test]
async fn a_broken_rotation_keeps_the_last_good_certificate() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let probe = world.pki.issue(NAMESPACE, "probe");
    let good = shown_leaf(waypoint.hbone, &probe).await;
    let other = world.pki.issue(NAMESPACE, "waypoint");
    let broken = [
        ("key.pem", other.read("key.pem")),
        ("cert-chain.pem", "not a certificate".into()),
        ("root-cert.pem", String::new()),
    ];
    for (file, text) in broken {
        let before = world.certs().read(file);
        world.certs().put(file, &text);
        waypoint
            .until_logged(&format!("that {file} is bad"), |l| {
                l.contains(file) || l.contains("certificate")
            })
            .await;
        assert_eq!(shown_leaf(waypoint.hbone, &probe).await, good);
        assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200, "{file}");
        world.certs().put(file, &before);
    }
    world.pki.renew(world.certs(), &leaf());
    until("the next good one is taken", async || {
        shown_leaf(waypoint.hbone, &probe).await != good
    })
    .await;
}
