//! Envoy, configured as Istio configures its waypoint: see [`config`].

mod config;
mod filters;
mod package;
mod routes;
mod told;

use super::Started;
use super::child::Process;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use told::Told;

pub(super) fn start(
    world: &World,
    address: SocketAddr,
    collector: Option<SocketAddr>,
    binary: Option<PathBuf>,
) -> Result<Started, Fault> {
    let binary = match binary {
        Some(binary) => binary,
        None => package::binary()?,
    };
    let version = Command::new(&binary)
        .arg("--version")
        .output()
        .during(binary.display())?;
    let dir = tempfile::tempdir().during("envoy")?;
    let file = dir.path().join("envoy.json");
    let told = Told::new(world, address, collector)?;
    std::fs::write(&file, config::waypoint(&told).to_string()).during(file.display())?;
    let mut command = Command::new(&binary);
    command.args([
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "--log-level",
        "warning",
        "--config-path",
    ]);
    command.arg(&file);
    let process = Process::start("envoy", dir, command, address)?;
    Ok(Started {
        process,
        version: short(&String::from_utf8_lossy(&version.stdout)),
    })
}

/// `/path/envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL` as `Envoy 1.40.0 RELEASE`.
fn short(version: &str) -> String {
    let (_, told) = version.split_once("version:").unwrap_or_default();
    let mut parts = told.trim().split('/').skip(1);
    let number = parts.next().unwrap_or("of unknown version");
    let build = parts.nth(1).unwrap_or_default();
    format!("Envoy {number} {build}").trim().to_owned()
}
