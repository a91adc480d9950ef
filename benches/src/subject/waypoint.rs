//! The waypoint as users run it: manifests, certificates, one worker; metrics on, access log and tracing off.

use super::sibling;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use integration_tests::peers::waypoint_process::Waypoint;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

pub(super) struct Started {
    pub(super) process: Waypoint,
    pub(super) version: String,
}

pub(super) async fn start(world: &World, address: SocketAddr, binary: Option<PathBuf>) -> Result<Started, Fault> {
    let binary = match binary {
        Some(binary) => binary,
        None => sibling("waypoint")?,
    };
    let version = Command::new(&binary)
        .arg("--version")
        .output()
        .during(binary.display())?;
    let mut command = Command::new(&binary);
    command
        .arg("run")
        .arg("--config")
        .arg(world.manifests())
        .arg("--certs")
        .arg(world.proxy_certs().path());
    command.args(["--namespace", world.namespace(), "--gateway", "waypoint"]);
    command.args(["--trust-domain", world.trust_domain()]);
    command.args(["--workers", "1", "--hbone", &address.to_string()]);
    for listener in ["--admin", "--metrics", "--ready"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let process = Waypoint::spawn(command).await;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    Ok(Started {
        process,
        version: format!("{version} ({} profile)", profile(&binary)),
    })
}

/// The build profile, by the folder: figures of anything but `release` are for comparing builds only.
fn profile(binary: &std::path::Path) -> String {
    let folder = binary.parent().and_then(|folder| folder.file_name());
    folder.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}
