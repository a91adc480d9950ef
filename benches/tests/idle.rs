//! Promise: `idle` holds connections and streams, tells what each holds of the proxy's memory, and what did not last.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use scene::{BENCH, Destination, Scene, interrupt, lines, said};
use serde_json::Value;
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_streams_are_held_and_weighed() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("idle.json");
    let metrics = scene.waypoint.metrics.to_string();
    let few = ["--connections", "20", "--streams", "60", "--duration", "0"];
    for (vip, protocol) in [(&scene.http, "http1"), (&scene.grpc, "grpc")] {
        let more = [&few[..], &["--metrics", &metrics, "--protocol", protocol]].concat();
        let mut command = scene.command("idle", vip, &more);
        let done = command
            .arg("--certs")
            .arg(scene.client.path())
            .arg("--json")
            .arg(&json)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", said(&done));
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        let row = &report["sections"][0]["rows"][0];
        assert_eq!(row["name"], "20 connections, 60 streams");
        for figure in ["idle_mib", "connection_kib", "stream_kib", "loaded_mib"] {
            assert!(row["samples"][0][figure].is_number(), "{figure}: {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_last_is_told() {
    let scene = Scene::new().await;
    let more = ["--connections", "3", "--streams", "6", "--duration", "3600"];
    let mut command = scene.command("idle", &scene.http, &more);
    command.arg("--certs").arg(scene.client.path());
    let mut idle = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = lines(&mut idle);
    said.find(|line| line.starts_with("opened 6 streams")).unwrap();
    drop(scene.waypoint);
    said.find(|line| line.contains("0 of 3 connections, 6 streams"))
        .unwrap();
    interrupt(&idle);
    let report = said.find(|line| line.starts_with("3 connections, 6 streams")).unwrap();
    assert!(
        report.contains("connections that the other side closed (3)"),
        "{report}"
    );
    assert!(report.contains("a stream did not hold"), "{report}");
    assert_eq!(idle.wait().unwrap().code(), Some(1));
}

#[test]
fn in_clear_there_are_streams_only() {
    let (_destination, addresses) = Destination::start(&["--http", "127.0.0.1:0"], 1);
    let address = addresses[0].to_string();
    let idle = |more: &[&str]| {
        let mut command = Command::new(BENCH);
        command.args(["idle", "--service", &address, "--duration", "0"]);
        command.args(more).output().unwrap()
    };
    let done = idle(&["--streams", "5"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("opened 5 streams"), "{}", said(&done));
    let done = idle(&[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("--streams"), "{}", said(&done));
}
