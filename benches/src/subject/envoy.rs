//! Envoy, configured as Istio configures its waypoint: see [`config`].

mod config;
mod filters;
mod package;
mod routes;
mod told;

use super::child::Process;
use super::{Order, Started};
use crate::cli::Programs;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use told::Told;

pub(super) fn start(order: &Order<'_>, programs: &Programs) -> Result<Started, Fault> {
    let binary = match programs.envoy.clone() {
        Some(binary) => binary,
        None => package::binary()?,
    };
    let version = Command::new(&binary)
        .arg("--version")
        .output()
        .during(binary.display())?;
    let dir = tempfile::tempdir().during("envoy")?;
    let file = dir.path().join("envoy.json");
    let told = Told::new(order.world, order.address, order.collector, dir.path())?;
    let routes = Routes::of(&told);
    if let Some(routes) = &routes {
        routes.put(&told)?;
    }
    std::fs::write(&file, config::waypoint(&told).to_string()).during(file.display())?;
    let mut command = Command::new(&binary);
    command.args([
        "--use-dynamic-base-id",
        "--concurrency",
        &order.workers.to_string(),
        "--log-level",
        "warning",
        "--config-path",
    ]);
    command.arg(&file);
    let process = Process::start("envoy", dir, command, order.address)?;
    Ok(Started {
        process,
        version: short(&String::from_utf8_lossy(&version.stdout)),
        routes,
    })
}

/// The file of routes, where they change.
pub(super) struct Routes {
    folder: PathBuf,
    address: SocketAddr,
}

impl Routes {
    fn of(told: &Told) -> Option<Self> {
        let folder = told.routes_folder.clone()?;
        Some(Self {
            folder,
            address: told.address,
        })
    }

    /// Writes what the world's routes are now.
    pub(super) fn tell(&self, world: &World) -> Result<(), Fault> {
        self.put(&Told::new(world, self.address, None, &self.folder)?)
    }

    fn put(&self, told: &Told) -> Result<(), Fault> {
        let file = self.folder.join(config::ROUTES_FILE);
        let new = file.with_extension("new");
        std::fs::write(&new, config::routes_file(told).to_string()).during(new.display())?;
        std::fs::rename(&new, &file).during(file.display())
    }
}

/// `/path/envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL` as `Envoy 1.40.0 RELEASE`.
fn short(version: &str) -> String {
    let (_, told) = version.split_once("version:").unwrap_or_default();
    let mut parts = told.trim().split('/').skip(1);
    let number = parts.next().unwrap_or("of unknown version");
    let build = parts.nth(1).unwrap_or_default();
    format!("Envoy {number} {build}").trim().to_owned()
}
