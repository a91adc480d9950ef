//! A network namespace of its own for one test: what a real API server would refuse as loopback, pods and Services have
//! there as their own addresses, and nothing leaves it.

use super::loopback::NETWORKS;
use std::process::Command;

/// Set inside, with the networks to use.
const PODS_AND_VIPS: &str = "10.10,10.20";

/// True inside of one. Outside: runs the test `name` of this very program in a new one, fails as it fails, and is false.
/// It needs root (or user namespaces), `unshare` and `ip`; `None` and a word where it has them not.
pub fn enter(name: &str) -> Option<bool> {
    if std::env::var_os(NETWORKS).is_some() {
        return Some(true);
    }
    let up = "ip link set lo up && ip route add local 10.0.0.0/8 dev lo";
    let can = Command::new("unshare").args(["--net", "sh", "-c", up]).output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no network namespace with addresses of its own can be made here: {can:?}");
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", &format!("{up} && exec \"$0\" \"$@\"")])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(NETWORKS, PODS_AND_VIPS)
        .status()
        .unwrap();
    assert!(status.success(), "{name}, in a network namespace: {status}");
    Some(false)
}
