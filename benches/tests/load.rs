//! Promise: `load` and `destination` are the two sides of somebody's own waypoint, in every protocol; what fails is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use integration_tests::peers::mesh_world::Vip;
use scene::{BENCH, Destination, Scene, interrupt, lines, said};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn http_and_grpc_through_a_waypoint() {
    let scene = Scene::new().await;
    let steps = [
        "--rate",
        "20,40",
        "--connections",
        "2",
        "--streams",
        "4",
        "--path",
        "/x",
    ];
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("load.json");
    let html = folder.path().join("load.html");
    let files = ["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let pid = scene.waypoint.pid().to_string();
    let done = scene.load(&scene.http, &[&steps[..], &files, &["--pid", &pid]].concat());
    assert!(done.status.success(), "{}", said(&done));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let rows = report["sections"][0]["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["20/s", "40/s"]);
    assert!(rows[1]["samples"][0]["cpu_us"].as_f64().unwrap() > 0.0);
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("latency, by percentile"), "{page}");

    let calls = [
        "--protocol",
        "grpc",
        "--path",
        "/echo.Echo/Say",
        "--streams",
        "2",
        "--in-flight",
        "3",
        "--body-bytes",
        "9",
    ];
    let done = scene.load(&scene.grpc, &calls);
    assert!(
        done.status.success() && said(&done).contains("\n200: "),
        "{}",
        said(&done)
    );

    let fresh = ["--new-connections", "--streams", "2"];
    for (vip, protocol) in [(&scene.http, "http1"), (&scene.http, "http2"), (&scene.grpc, "grpc")] {
        let done = scene.load(vip, &[&fresh[..], &["--protocol", protocol]].concat());
        assert!(done.status.success(), "{protocol}: {}", said(&done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_and_told() {
    let mut scene = Scene::new().await;
    scene.world.policy("nobody", "echo", "DENY", serde_json::json!([{}]));
    let refused = ["--rate", "50", "--streams", "2"];
    // The policy takes a moment.
    let mut loads = (0..20).map(|_| scene.load(&scene.http, &refused));
    let done = loads.find(|done| !said(done).contains("\n200: ")).unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("\n403: "), "{}", said(&done));
    let wanted = scene.load(&scene.http, &[&refused[..], &["--expect", "403"]].concat());
    assert!(wanted.status.success(), "{}", said(&wanted));
    // Nothing listens behind this one.
    let done = scene.load(&scene.tcp, &["--protocol", "tcp", "--streams", "1"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    // Nobody's address.
    let nowhere = Vip {
        port: 81,
        ..scene.http.clone()
    };
    let done = scene.load(&nowhere, &["--streams", "1"]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("400"), "{}", said(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_proxy_takes_is_told_by_its_metrics() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("load.json");
    let metrics = scene.waypoint.metrics.to_string();
    let watched = [
        "--metrics",
        &metrics,
        "--json",
        json.to_str().unwrap(),
        "--threads",
        "2",
    ];
    let done = scene.load(&scene.http, &watched);
    assert!(done.status.success(), "{}", said(&done));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let sample = &report["sections"][0]["rows"][0]["samples"][0];
    assert!(sample["cpu_us"].as_f64().unwrap() > 0.0, "{sample}");
    assert!(sample["loaded_mib"].as_f64().unwrap() > 1.0, "{sample}");
    // A port without metrics is said before anything is sent.
    let ready = scene.waypoint.ready.to_string();
    let done = scene.load(&scene.http, &["--metrics", &ready]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
}

#[test]
fn so_many_requests_and_no_more() {
    let (destination, addresses) = Destination::start(&["--http", "127.0.0.1:0"], 1);
    let load = |more: &[&str]| {
        let few = ["--requests", "77", "--duration", "3600", "--warm-up", "0"];
        let mut command = Command::new(BENCH);
        command.args(["load", "--service", &addresses[0].to_string()]).args(few);
        let done = command.args(more).output().unwrap();
        assert!(
            done.status.success() && said(&done).contains("\n200: 77\n"),
            "{}",
            said(&done)
        );
    };
    load(&[]);
    load(&["--rate", "1000,2000"]);
    load(&[
        "--protocol",
        "grpc",
        "--in-flight",
        "3",
        "--threads",
        "2",
        "--answer-bytes",
        "1024",
    ]);
    drop(destination);
}

#[test]
fn an_answer_that_does_not_come_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let done = Command::new(BENCH)
        .args(["load", "--service", &address, "--duration", "3600", "--warm-up", "0"])
        .args(["--timeout", "1", "--streams", "2", "--requests", "2"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("no answer in 1 s: 2"), "{}", said(&done));
}

#[test]
fn an_interrupt_ends_it_with_a_report() {
    let (_destination, addresses) = Destination::start(&["--http", "127.0.0.1:0"], 1);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("load.json");
    let mut load = Command::new(BENCH)
        .args(["load", "--service", &addresses[0].to_string()])
        .args(["--duration", "3600", "--rate", "100,200"])
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = lines(&mut load);
    said.find(|line| line.contains("   200: ")).unwrap();
    interrupt(&load);
    assert!(said.any(|line| line.starts_with("100/s ")));
    assert!(load.wait().unwrap().success());
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let timeline = report["sections"][0]["timeline"].as_array().unwrap();
    assert!(!timeline.is_empty() && timeline.iter().all(|moment| moment["wanted"] == 100));
    // The second step was never begun.
    assert_eq!(report["sections"][0]["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn in_clear_where_somebody_else_makes_the_tunnels() {
    let ports = ["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"];
    let (_destination, addresses) = Destination::start(&ports, 2);
    let load = |address: SocketAddr, more: &[&str]| {
        let output = Command::new(BENCH)
            .args([
                "load",
                "--service",
                &address.to_string(),
                "--duration",
                "1",
                "--warm-up",
                "0",
                "--rate",
                "50",
            ])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{more:?}: {}", said(&output));
        said(&output)
    };
    assert!(load(addresses[0], &["--body-bytes", "70000"]).contains("\n200: "));
    assert!(load(addresses[0], &["--protocol", "http2", "--in-flight", "4"]).contains("\n200: "));
    assert!(load(addresses[0], &["--protocol", "grpc"]).contains("\n200: "));
    assert!(load(addresses[1], &["--protocol", "tcp", "--body-bytes", "10000"]).contains("\nechoed: "));
}

#[test]
fn connections_that_break_are_opened_again() {
    let (destination, addresses) = Destination::start(&["--http", "127.0.0.1:0"], 1);
    let address = addresses[0].to_string();
    let mut load = Command::new(BENCH)
        .args([
            "load",
            "--service",
            &address,
            "--duration",
            "6",
            "--warm-up",
            "0",
            "--rate",
            "50",
            "--streams",
            "4",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(load.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let first = lines.find(|line| line.contains("   200: ")).unwrap();
    drop(destination);
    let _again = Destination::start(&["--http", &address], 1);
    let rest: Vec<_> = lines.collect();
    let good = |line: &str| {
        line.split_once("200: ")
            .and_then(|(_, count)| count.split(' ').next()?.parse::<u64>().ok())
    };
    let last = rest.iter().rev().find_map(|line| good(line)).unwrap();
    assert!(last > good(&first).unwrap() + 10, "{first}\n{rest:#?}");
    let lost = rest.iter().find(|line| line.starts_with("connections lost: "));
    assert!(
        lost.is_some_and(|line| line.starts_with("connections lost: 4,")),
        "{rest:#?}"
    );
    assert_eq!(load.wait().unwrap().code(), Some(1));
}

/// TCP to some address, by a port that tells how often it was dialled and can be cut.
struct Wires {
    address: SocketAddr,
    dialled: Arc<AtomicUsize>,
    cut: Arc<Notify>,
}

impl Wires {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wires = Self {
            address: listener.local_addr().unwrap(),
            dialled: Arc::default(),
            cut: Arc::default(),
        };
        let (dialled, cut) = (Arc::clone(&wires.dialled), Arc::clone(&wires.cut));
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                dialled.fetch_add(1, Relaxed);
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        wires
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_shared_a_connection_share_the_next_one() {
    let (_destination, addresses) = Destination::start(&["--http", "127.0.0.1:0"], 1);
    let wires = Wires::to(addresses[0]).await;
    let mut load = Command::new(BENCH)
        .args(["load", "--service", &wires.address.to_string(), "--protocol", "http2"])
        .args([
            "--in-flight",
            "8",
            "--streams",
            "1",
            "--rate",
            "200",
            "--duration",
            "3600",
            "--warm-up",
            "0",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = lines(&mut load);
    let good = |line: &str| line.split_once("200: ")?.1.split(' ').next()?.parse::<u64>().ok();
    let before = said.find_map(|line| good(&line)).unwrap();
    wires.cut.notify_waiters();
    said.find(|line| good(line).is_some_and(|count| count > before + 300))
        .unwrap();
    interrupt(&load);
    assert!(said.any(|line| line.starts_with("200/s ")));
    assert_eq!(load.wait().unwrap().code(), Some(1), "what was under way failed");
    assert_eq!(wires.dialled.load(Relaxed), 2);
}
