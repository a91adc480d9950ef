//! Promise: a load that outlives its certificate goes on with the next one, from files and from the mesh's CA.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use integration_tests::peers::istiod_ca::IstiodCa;
use integration_tests::peers::mesh_world::NAMESPACE;
use integration_tests::peers::pki::{Leaf, spiffe};
use scene::{Scene, interrupt, lines};
use std::process::Stdio;
use time::Duration;

/// A new connection for each request: each handshake shows the certificate of its moment.
const FRESH: [&str; 9] = [
    "--new-connections",
    "--rate",
    "20",
    "--streams",
    "2",
    "--duration",
    "3600",
    "--warm-up",
    "0",
];

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_when_they_change() {
    let mut scene = Scene::new().await;
    let later = spiffe("cluster.local", NAMESPACE, "later");
    let principal = later.trim_start_matches("spiffe://");
    let rule = serde_json::json!([{ "from": [{ "source": { "principals": [principal] } }] }]);
    scene.world.policy("later", "echo", "ALLOW", rule);
    let mut command = scene.command("load", &scene.http, &FRESH);
    command.arg("--certs").arg(scene.client.path()).stdout(Stdio::piped());
    let mut load = command.spawn().unwrap();
    let mut said = lines(&mut load);
    said.find(|line| line.contains("403: ")).unwrap();
    scene
        .world
        .pki
        .renew(&scene.client, &Leaf::workload("cluster.local", NAMESPACE, "later"));
    // Before the policy was in force there were some: what counts is that there are more and more again.
    let good = |line: &str| -> Option<u64> { line.split_once("200: ")?.1.split(' ').next()?.parse().ok() };
    let mut counts = said.by_ref().filter_map(|line| good(&line));
    let first = counts.next().unwrap();
    counts.find(|count| *count > first + 20).unwrap();
    interrupt(&load);
    assert!(said.any(|line| line.starts_with("20/s ")));
    assert_eq!(load.wait().unwrap().code(), Some(1), "requests were refused before");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_is_asked_for_the_next_one() {
    let scene = Scene::new().await;
    // Renewed after some 6 s.
    let ca = IstiodCa::start(&scene.world.pki, Duration::seconds(12)).await;
    let (root, token) = (ca.root(), ca.token());
    let mut command = scene.command("load", &scene.http, &FRESH);
    command.args([
        "--ca-address",
        &ca.address(),
        "--namespace",
        NAMESPACE,
        "--service-account",
        "client",
    ]);
    command
        .arg("--ca-root")
        .arg(root)
        .arg("--ca-token")
        .arg(token)
        .stdout(Stdio::piped());
    let mut load = command.spawn().unwrap();
    let mut said = lines(&mut load);
    // Twice renewed: the first one expires.
    said.find(|_| ca.asked().len() >= 3).unwrap();
    said.nth(2).unwrap();
    interrupt(&load);
    assert!(said.any(|line| line.starts_with("20/s ")));
    assert!(load.wait().unwrap().success(), "no handshake failed");
    let asked = ca.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.ids == ["spiffe://cluster.local/ns/demo/sa/client"]),
        "{asked:?}"
    );
}
