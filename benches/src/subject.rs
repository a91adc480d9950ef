//! The proxies under test: each is configured for the same world, started as a child process, and measured from
//! outside.

mod child;
mod envoy;
mod splice;
mod waypoint;

use crate::cli::CompareArgs;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use crate::process::{Usage, resident_kib};
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Kind {
    /// Ours.
    Waypoint,
    /// Envoy, as Istio's waypoint configures it.
    Envoy,
    /// A bare CONNECT splice.
    Splice,
}

/// A running proxy. It is killed when dropped.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    /// Where it takes tunnels.
    pub(crate) address: SocketAddr,
    /// What exactly runs.
    pub(crate) version: String,
    /// Resident memory before any request, KiB.
    pub(crate) idle_kib: u64,
    pid: u32,
    _running: Box<dyn std::any::Any>,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waypoint => "waypoint",
            Self::Envoy => "envoy",
            Self::Splice => "splice",
        }
    }
}

impl Subject {
    /// Starts it and waits until it takes tunnels.
    pub(crate) async fn start(kind: Kind, world: &World, args: &CompareArgs) -> Result<Self, Fault> {
        let address = world.proxy_address(kind as u8);
        let (version, pid, running): (_, _, Box<dyn std::any::Any>) = match kind {
            Kind::Waypoint => {
                let started = waypoint::start(world, address, args.waypoint.clone()).await?;
                (started.version, started.process.pid(), Box::new(started.process))
            }
            Kind::Envoy => {
                let started = envoy::start(world, address, args.envoy.clone())?;
                (started.version, started.process.pid(), Box::new(started.process))
            }
            Kind::Splice => {
                let process = splice::start(world, address)?;
                (
                    "hbone::Server, hbone::Pool, hbone::splice".to_owned(),
                    process.pid(),
                    Box::new(process),
                )
            }
        };
        Ok(Self {
            kind,
            address,
            version,
            idle_kib: resident_kib(pid)?,
            pid,
            _running: running,
        })
    }

    /// What it has cost so far.
    pub(crate) fn usage(&self) -> Result<Usage, Fault> {
        Usage::of(self.pid).during(self.kind.name())
    }

    /// Resident memory now, KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64, Fault> {
        resident_kib(self.pid).during(self.kind.name())
    }
}

/// A program that was built beside this one.
fn sibling(name: &str) -> Result<PathBuf, Fault> {
    let path = std::env::current_exe().during("my own path")?.with_file_name(name);
    path.exists().then_some(()).during(format_args!(
        "no {}: build it with `cargo build --release -p {name}`, or say where it is",
        path.display()
    ))?;
    Ok(path)
}
