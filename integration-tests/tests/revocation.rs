//! Promise: whose certificate is revoked is refused at the handshake, at both ends of the waypoint, and loses the tunnels it
//! has open; CRLs that cannot be read change nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::StatusCode;
use integration_tests::peers::bare_client::{self, Outcome};
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::http_client::get;
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach};
use integration_tests::peers::pki::{Certs, Leaf};
use integration_tests::peers::waiting::{soon, until, until_ok};
use integration_tests::peers::waypoint_process::Waypoint;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn leaf(account: &str, serial: u64) -> Leaf {
    Leaf::workload("cluster.local", NAMESPACE, account).numbered(serial)
}

/// Tunnels of this certificate.
fn tunnels(world: &MeshWorld, waypoint: &Waypoint, certs: Certs) -> Arc<ClientTunnel> {
    Arc::new(ClientTunnel::with_certs(waypoint.hbone, &world.pki, NAMESPACE, certs))
}

/// Istio's name in the Secret of a plugged-in CA, and the plain one.
#[tokio::test]
async fn a_revoked_client_is_refused_and_its_open_tunnels_end() {
    for file in ["ca-crl.pem", "crl.pem"] {
        let mut world = MeshWorld::new();
        let echo = world.echo("echo", "v1", Reach::Hbone).await;
        let waypoint = world.start().await;
        let (bad, good) = (
            world.pki.issue_leaf(&leaf("bad", 77)),
            world.pki.issue_leaf(&leaf("good", 78)),
        );
        let again = world.pki.issue_leaf(&leaf("bad", 77));
        let bad = tunnels(&world, &waypoint, bad);
        let good = tunnels(&world, &waypoint, good);
        let mut load = Load::start(&good, &echo.vip, 2);
        let mut open = bad.http1(&echo.vip).await;
        assert_eq!(open.send(get("/")).await.status, 200);
        let mut idle = bad.raw(&echo.vip).await;

        world.certs().put(file, &world.pki.crl(&[77]));
        let mut byte = [0; 1];
        let ended = soon("the end of the revoked peer's tunnel", idle.read(&mut byte)).await;
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");
        assert!(open.try_send(get("/")).await.is_err(), "{file}");
        let target = echo.vip.authority();
        let refused = bare_client::connect(waypoint.hbone, Some(&again), &target).await;
        assert!(matches!(refused, Outcome::Ended(_)), "{refused:?}");
        let handshakes = waypoint.scrape().await;
        assert!(handshakes.sum("waypoint_handshakes_total", &[("result", "revoked")]) >= 1.0);

        // Others do not notice, and who is forgiven comes back.
        load.more(20).await;
        world.certs().put(file, "");
        until_ok("the forgiven client is let in", async || {
            match bare_client::connect(waypoint.hbone, Some(&again), &target).await {
                Outcome::Answered(StatusCode::OK) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert!(load.stop().await.all_good() >= 20);
    }
}

#[tokio::test]
async fn a_revoked_destination_is_not_reached() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::HboneByTest).await;
    let certs = world.pki.issue_leaf(&leaf("echo", 90));
    let _tunnel = integration_tests::peers::destination_tunnel::DestinationTunnel::with_certs(
        &world.pki, echo.ip, NAMESPACE, certs,
    )
    .await;
    let tcp = world
        .tcp(
            "bytes",
            "tcp",
            integration_tests::peers::tcp_backend::Manner::Echo,
            Reach::HboneByTest,
        )
        .await;
    let certs = world.pki.issue_leaf(&leaf("bytes", 91));
    let _other = integration_tests::peers::destination_tunnel::DestinationTunnel::with_certs(
        &world.pki, tcp.ip, NAMESPACE, certs,
    )
    .await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    assert_eq!(client.get(&echo.vip, "/").await.status, 200);
    let mut open = client.raw(&tcp.vip).await;
    open.write_all(b"x").await.unwrap();
    open.flush().await.unwrap();
    let mut byte = [0; 1];
    soon("an echo", open.read_exact(&mut byte)).await.unwrap();

    world.certs().put("crl.pem", &world.pki.crl(&[90, 91]));
    let ended = soon("the end of a connection to a revoked workload", open.read(&mut byte)).await;
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    until("nobody is sent to the revoked workload", async || {
        client.get(&echo.vip, "/").await.status == 503
    })
    .await;
}

#[tokio::test]
async fn broken_lists_keep_the_last_good_ones() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.certs().put("crl.pem", &world.pki.crl(&[77]));
    let waypoint = world.start().await;
    let bad = world.pki.issue_leaf(&leaf("bad", 77));
    let target = echo.vip.authority();
    for text in ["no list", &world.pki.crl(&[1])[..200]] {
        world.certs().put("crl.pem", text);
        waypoint
            .until_logged("that the CRLs are bad", |line| {
                line.contains("crl.pem") && line.contains("last good")
            })
            .await;
        let refused = bare_client::connect(waypoint.hbone, Some(&bad), &target).await;
        assert!(matches!(refused, Outcome::Ended(_)), "{refused:?}");
        assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
    }
}
