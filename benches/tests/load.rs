//! Promise: `load` and `destination` are the two sides of somebody's own waypoint, in every protocol; what fails is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, POD_PORT, Reach, Vip};
use integration_tests::peers::pki::{Certs, spiffe};
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Output, Stdio};

const BENCH: &str = env!("CARGO_BIN_EXE_waypoint-bench");

/// A mesh whose pod is `waypoint-bench destination`, as its own ztunnel.
struct Scene {
    world: MeshWorld,
    waypoint: Waypoint,
    client: Certs,
    http: Vip,
    grpc: Vip,
    tcp: Vip,
    _destination: Destination,
}

struct Destination(Child);

impl Destination {
    /// Starts it and waits until it serves all of its ports, whose addresses it gives.
    fn start(args: &[&str], ports: usize) -> (Self, Vec<SocketAddr>) {
        let mut command = Command::new(BENCH);
        command.arg("destination").args(args).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let addresses: Vec<SocketAddr> = lines
            .filter_map(|line| line.split_once(" listening on ")?.1.parse().ok())
            .take(ports)
            .collect();
        assert_eq!(addresses.len(), ports);
        (Self(child), addresses)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Scene {
    async fn new() -> Self {
        let mut world = MeshWorld::new();
        let pod = world.dead_pod("echo", Reach::HboneByTest);
        let certs = world.pki.issue(NAMESPACE, "echo");
        // All Services have the same target port: one more pod for bytes.
        let other = world.dead_pod("bytes", Reach::HboneByTest);
        let address = |ip: Ipv4Addr, port: u16| SocketAddr::from((ip, port)).to_string();
        let args = [
            ["--http", &address(pod, POD_PORT), "--hbone", &address(pod, 15008)],
            ["--certs", certs.path().to_str().unwrap(), "--body-bytes", "100"],
        ];
        let (destination, _) = Destination::start(&args.concat(), 2);
        let (http, grpc) = (
            world.service("echo", "http", &[pod]),
            world.service("calls", "grpc", &[pod]),
        );
        let tcp = world.service("bytes", "tcp", &[other]);
        let waypoint = world.start().await;
        let client = world.pki.issue(NAMESPACE, "client");
        Self {
            waypoint,
            client,
            http,
            grpc,
            tcp,
            _destination: destination,
            world,
        }
    }

    /// A load through tunnels.
    fn load(&self, vip: &Vip, more: &[&str]) -> Output {
        let waypoint = spiffe(self.world.pki.trust_domain(), NAMESPACE, "waypoint");
        Command::new(BENCH)
            .args([
                "load",
                "--service",
                &vip.authority(),
                "--waypoint",
                &self.waypoint.hbone.to_string(),
            ])
            .args(["--waypoint-identity", &waypoint, "--duration", "1", "--warm-up", "0"])
            .arg("--certs")
            .arg(self.client.path())
            .args(more)
            .output()
            .unwrap()
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    both.concat()
}

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
    assert!(
        std::fs::read_to_string(html)
            .unwrap()
            .contains("latency, by percentile")
    );

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
    let done = scene.load(&scene.http, &fresh);
    assert!(done.status.success(), "{}", said(&done));
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
