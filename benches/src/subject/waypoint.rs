//! The waypoint as users run it: manifests, certificates, one worker; metrics on, access log off, tracing where the
//! scenario wants it.

use super::child::Process;
use super::{Order, Started, sibling};
use crate::cli::Programs;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn start(order: &Order<'_>, programs: &Programs) -> Result<Started, Fault> {
    let binary = path(programs.waypoint.clone())?;
    let version = Command::new(&binary)
        .arg("--version")
        .output()
        .during(binary.display())?;
    let mut command = command(order.world, order.address, Some(binary.clone()), order.workers)?;
    if let Some(collector) = order.collector {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        command.env("OTEL_TRACES_SAMPLER", "always_on");
    }
    let dir = tempfile::tempdir().during("waypoint")?;
    let mut process = Process::start("waypoint", dir, command, order.address)?;
    process.says("ready")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    Ok(Started {
        process,
        version: format!("{version} ({})", build(&binary)),
        routes: None,
    })
}

/// The command line.
pub(crate) fn command(
    world: &World,
    address: SocketAddr,
    binary: Option<PathBuf>,
    workers: u64,
) -> Result<Command, Fault> {
    let mut command = Command::new(path(binary)?);
    command
        .arg("run")
        .arg("--config")
        .arg(world.manifests())
        .arg("--certs")
        .arg(world.proxy_certs().path());
    command.args(["--namespace", world.namespace(), "--gateway", "waypoint"]);
    command.args(["--trust-domain", world.trust_domain()]);
    command.args(["--workers", &workers.to_string(), "--hbone", &address.to_string()]);
    for listener in ["--admin", "--metrics", "--ready"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    // Settings of this shell's own must not change what is measured.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

fn path(binary: Option<PathBuf>) -> Result<PathBuf, Fault> {
    binary.map_or_else(|| sibling("waypoint"), Ok)
}

/// The build profile, by the folder, and whether `benches/pgo` made it: figures of anything but a trained `release` are for
/// comparing builds only.
fn build(binary: &Path) -> String {
    let mut folders = binary.ancestors().skip(1).filter_map(Path::file_name);
    let profile = folders
        .next()
        .map_or("unknown".into(), |folder| folder.to_string_lossy().into_owned());
    match folders.next() {
        Some(folder) if folder == "pgo" => format!("{profile} profile, trained"),
        _ => format!("{profile} profile"),
    }
}

#[cfg(test)]
mod tests;
