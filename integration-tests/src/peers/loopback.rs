//! Addresses that no other test uses, in this process or another: a /24 of pods and a /24 of VIPs per mesh.
//!
//! Pods listen on fixed ports (15008 above all), so addresses must differ, not ports. A mesh leases the third byte by
//! holding a socket on it. The lease lasts as long as the process: sockets of an ended test may close later than it.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// The lease of `127.10.x.0/24` (pods) and `127.20.x.0/24` (VIPs); other networks where [`NETWORKS`] says so.
pub struct Subnet {
    pods: [u8; 2],
    vips: [u8; 2],
    x: u8,
}

/// The environment variable with the first two bytes of pods and of VIPs, `10.10,10.20`, in a network namespace.
pub const NETWORKS: &str = "WAYPOINT_TEST_NETWORKS";

/// As [`NETWORKS`] says.
fn networks() -> ([u8; 2], [u8; 2]) {
    let said = std::env::var(NETWORKS).unwrap_or_else(|_| "127.10,127.20".into());
    let network = |text: &str| {
        let (a, b) = text.split_once('.').unwrap();
        [a.parse().unwrap(), b.parse().unwrap()]
    };
    let (pods, vips) = said.split_once(',').unwrap();
    (network(pods), network(vips))
}

static LEASES: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());

/// No test serves on it.
const LEASE_PORT: u16 = 15999;

impl Subnet {
    /// Takes a free one. Byte 0 stays with the demo.
    pub fn lease() -> Self {
        let start = std::process::id().wrapping_mul(7);
        let (pods, vips) = networks();
        for i in 0..254 {
            let x = (start.wrapping_add(i) % 254 + 1) as u8;
            if let Ok(lease) = TcpListener::bind((Ipv4Addr::new(pods[0], pods[1], x, 254), LEASE_PORT)) {
                LEASES.lock().unwrap().push(lease);
                return Self { pods, vips, x };
            }
        }
        panic!("254 meshes run on this machine: no free loopback subnet");
    }

    /// The third byte of all its addresses.
    pub fn third_byte(&self) -> u8 {
        self.x
    }

    /// A pod's address. Things can listen there.
    pub fn pod(&self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.pods[0], self.pods[1], self.x, n)
    }

    /// A Service's address. Nothing ever listens there.
    pub fn vip(&self, n: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.vips[0], self.vips[1], self.x, n)
    }
}

/// A TCP port of 127.0.0.1 that was free a moment ago, for programs that can't say which port they took.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
