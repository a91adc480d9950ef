//! A mesh for loads on one's own waypoint: a waypoint, and `waypoint-bench destination` behind it.

#![allow(dead_code)] // each test takes what it needs

use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, POD_PORT, Reach, Vip};
use integration_tests::peers::pki::{Certs, spiffe};
use integration_tests::peers::waypoint_process::Waypoint;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Output, Stdio};

pub(crate) const BENCH: &str = env!("CARGO_BIN_EXE_waypoint-bench");

/// A mesh whose pod is `waypoint-bench destination`, as its own ztunnel.
pub(crate) struct Scene {
    pub(crate) world: MeshWorld,
    pub(crate) waypoint: Waypoint,
    pub(crate) client: Certs,
    pub(crate) http: Vip,
    pub(crate) grpc: Vip,
    pub(crate) tcp: Vip,
    _destination: Destination,
}

pub(crate) struct Destination(Child);

impl Destination {
    /// Starts it and waits until it serves all of its ports, whose addresses it gives.
    pub(crate) fn start(args: &[&str], ports: usize) -> (Self, Vec<SocketAddr>) {
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
    pub(crate) async fn new() -> Self {
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

    /// A load through tunnels, for as long as a second.
    pub(crate) fn load(&self, vip: &Vip, more: &[&str]) -> Output {
        let short = ["--duration", "1", "--warm-up", "0"];
        let mut command = self.command("load", vip, &[&short, more].concat());
        command.arg("--certs").arg(self.client.path()).output().unwrap()
    }

    /// The command line through tunnels, without an identity.
    pub(crate) fn command(&self, name: &str, vip: &Vip, more: &[&str]) -> Command {
        let waypoint = spiffe(self.world.pki.trust_domain(), NAMESPACE, "waypoint");
        let mut command = Command::new(BENCH);
        command.args([name, "--service", &vip.authority()]);
        command.args(["--waypoint", &self.waypoint.hbone.to_string()]);
        command.args(["--waypoint-identity", &waypoint]).args(more);
        command
    }
}

/// Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

/// What a running program prints, line by line.
pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
}

/// All that it printed.
pub(crate) fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    both.concat()
}
