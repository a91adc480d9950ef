//! Promise: a waypoint lives from a SPIFFE agent as it does from files: rotation under load, federated trust domains,
//! revocations; an answer that cannot be used, or an agent that is away, changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::StatusCode;
use integration_tests::peers::bare_client::{self, Outcome};
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach};
use integration_tests::peers::pki::{Certs, Leaf, Pki};
use integration_tests::peers::spiffe_agent::{Answer, Says, SpiffeAgent, framed};
use integration_tests::peers::waiting::{until, until_ok};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::json;
use std::net::SocketAddr;

fn waypoint_leaf() -> Leaf {
    Leaf::workload("cluster.local", NAMESPACE, "waypoint")
}

fn good(pki: &Pki) -> Answer {
    Answer::default().svid(pki, &waypoint_leaf())
}

/// The world's waypoint with no certificate but the agent's.
async fn start(world: &MeshWorld, agent: &SpiffeAgent) -> Waypoint {
    let launch = Launch::default().env("SPIFFE_ENDPOINT_SOCKET", agent.address());
    Waypoint::start_without_files(world.config(), NAMESPACE, "cluster.local", launch).await
}

async fn shown_leaf(hbone: SocketAddr, certs: &Certs) -> Vec<u8> {
    let io = bare_client::tls(hbone, Some(certs), &["h2"]).await.unwrap();
    io.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn it_rotates_under_load() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let agent = SpiffeAgent::start(good(&world.pki));
    let waypoint = start(&world, &agent).await;
    let client = world.client(&waypoint);
    let probe = world.pki.issue(NAMESPACE, "probe");
    let mut load = Load::start(&client, &echo.vip, 4);
    load.more(50).await;
    for round in 1..=3 {
        let old = shown_leaf(waypoint.hbone, &probe).await;
        // Of several, the first counts.
        let other = Leaf::workload("cluster.local", NAMESPACE, "other");
        agent.say(good(&world.pki).svid(&world.pki, &other));
        until("new handshakes show the new leaf", async || {
            shown_leaf(waypoint.hbone, &probe).await != old
        })
        .await;
        load.more(50).await;
        let late = world.client_as(&waypoint, NAMESPACE, "late");
        assert_eq!(late.get(&echo.vip, "/").await.status, 200, "round {round}");
    }
    assert!(load.stop().await.all_good() >= 200);
    let rotations = waypoint.scrape().await.sum("waypoint_certificate_rotations_total", &[]);
    assert!(rotations >= 3.0, "{rotations} rotations counted");
}

#[tokio::test]
async fn answers_that_cannot_be_used_change_nothing() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let first_answer = Says::from(good(&world.pki));
    let agent = SpiffeAgent::start(first_answer.clone());
    let waypoint = start(&world, &agent).await;
    let probe = world.pki.issue(NAMESPACE, "probe");
    let first = shown_leaf(waypoint.hbone, &probe).await;
    let elsewhere = Pki::new("other.example");
    let bad: [(&str, Says); 7] = [
        (
            "x509_svid_key",
            Answer::default()
                .svid_with_wrong_key(&world.pki, &waypoint_leaf())
                .into(),
        ),
        (
            "no peer would take it",
            Answer::default().svid(&world.pki, &waypoint_leaf().expired()).into(),
        ),
        (
            "trust domain",
            Answer::default()
                .svid(&elsewhere, &Leaf::workload("other.example", NAMESPACE, "waypoint"))
                .into(),
        ),
        ("found none", Answer::default().into()),
        ("X509SVIDResponse", framed(b"garbage")),
        (
            "at most 4194304 bytes",
            Says::Bytes(b"\0\xff\xff\xff\xff".as_slice().into()),
        ),
        ("gRPC status 7", Says::Status(7)),
    ];
    for (word, says) in bad {
        agent.say(says);
        waypoint
            .until_logged(word, |line| line.contains(word) && line.contains("last good"))
            .await;
        assert_eq!(shown_leaf(waypoint.hbone, &probe).await, first, "{word}");
        assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200, "{word}");
        // The agent comes to its senses: the same identity is no change, and the waits start again.
        let before = agent.asked();
        agent.say(first_answer.clone());
        agent.until_asked(before).await;
    }
    agent.say(good(&world.pki));
    until("the next good one is taken", async || {
        shown_leaf(waypoint.hbone, &probe).await != first
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_goes_away_is_found_again() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let agent = SpiffeAgent::start(good(&world.pki));
    let waypoint = start(&world, &agent).await;
    let client = world.client(&waypoint);
    let probe = world.pki.issue(NAMESPACE, "probe");
    let first = shown_leaf(waypoint.hbone, &probe).await;
    let mut load = Load::start(&client, &echo.vip, 2);
    let agent = agent.again(Says::Status(14));
    waypoint
        .until_logged("that the agent is away", |line| line.contains("last good"))
        .await;
    load.more(20).await;
    agent.say(good(&world.pki));
    until("the agent that came back is heard", async || {
        shown_leaf(waypoint.hbone, &probe).await != first
    })
    .await;
    load.more(20).await;
    assert!(load.stop().await.all_good() >= 40);
}

#[tokio::test]
async fn federated_clients_and_revoked_ones() {
    let mut world = MeshWorld::new();
    world.mesh_config(json!({ "trustDomainAliases": ["other.example", "third.example"] }));
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let (other, third) = (Pki::new("other.example"), Pki::new("third.example"));
    let agent = SpiffeAgent::start(good(&world.pki).federated(&other));
    let waypoint = start(&world, &agent).await;
    let target = echo.vip.authority();
    let friend = other.issue(NAMESPACE, "friend");
    let posing = other.issue_leaf(&Leaf::workload("cluster.local", NAMESPACE, "friend"));
    let stranger = third.issue(NAMESPACE, "stranger");
    let bad = world
        .pki
        .issue_leaf(&Leaf::workload("cluster.local", NAMESPACE, "bad").numbered(77));
    let outcome = async |certs| bare_client::connect(waypoint.hbone, Some(certs), &target).await;
    assert_eq!(outcome(&friend).await, Outcome::Answered(StatusCode::OK));
    assert_eq!(outcome(&bad).await, Outcome::Answered(StatusCode::OK));
    // A domain's authority speaks for no other, and one without a bundle for nobody.
    assert!(matches!(outcome(&posing).await, Outcome::Ended(_)));
    assert!(matches!(outcome(&stranger).await, Outcome::Ended(_)));
    agent.say(good(&world.pki).federated(&third).crl(&world.pki.crl(&[77])));
    until_ok("the revoked client is refused", async || match outcome(&bad).await {
        Outcome::Ended(_) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(outcome(&stranger).await, Outcome::Answered(StatusCode::OK));
    assert!(matches!(outcome(&friend).await, Outcome::Ended(_)));
}
