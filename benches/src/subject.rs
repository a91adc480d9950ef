//! The proxies under test: each is configured for the same world, started as a child process, and measured from
//! outside.

mod child;
mod counted;
mod envoy;
mod splice;
mod template;
mod waypoint;

pub(crate) use counted::counted;
pub(crate) use template::Template;
pub(crate) use waypoint::command as waypoint_command;

use crate::cli::Programs;
use crate::fault::{During, Fault};
use crate::neighbour::World;
use crate::process::{Usage, resident_kib};
use crate::rest::settled;
use child::Process;
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A proxy that we know how to configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum How {
    /// Ours.
    Waypoint,
    /// Envoy, as Istio's waypoint configures it.
    Envoy,
    /// A bare CONNECT splice.
    Splice,
}

/// Which proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Known(How),
    /// Somebody's command.
    Template(Template),
}

/// A proxy that takes part.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) which: Which,
    /// Worker threads.
    pub(crate) workers: u64,
    /// How it is told from the others.
    pub(crate) name: String,
}

/// A running proxy. It is killed when dropped.
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Where it takes tunnels.
    pub(crate) address: SocketAddr,
    /// What exactly runs.
    pub(crate) version: String,
    process: Process,
    routes: Option<envoy::Routes>,
}

/// What one is started for.
struct Order<'a> {
    world: &'a World,
    /// Where it shall take tunnels.
    address: SocketAddr,
    /// Where its spans shall go.
    collector: Option<SocketAddr>,
    workers: u64,
}

/// What starting one gives.
struct Started {
    process: Process,
    version: String,
    /// What must be told of changes, beside the manifests.
    routes: Option<envoy::Routes>,
}

impl Which {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Known(How::Waypoint) => WAYPOINT,
            Self::Known(How::Envoy) => ENVOY,
            Self::Known(How::Splice) => "splice",
            Self::Template(template) => &template.name,
        }
    }
}

impl Contender {
    /// Under its own name.
    pub(crate) fn new(which: Which, workers: u64) -> Self {
        let name = which.name().to_owned();
        Self { which, workers, name }
    }

    /// The same proxy with twice the workers; None when it cannot be told of them.
    pub(crate) fn doubled(&self) -> Option<Self> {
        let takes_workers = match &self.which {
            Which::Known(How::Waypoint | How::Envoy) => true,
            Which::Known(How::Splice) => false,
            Which::Template(template) => template.takes_workers(),
        };
        takes_workers.then(|| Self {
            which: self.which.clone(),
            workers: self.workers.saturating_mul(2),
            name: format!("{} x2", self.name),
        })
    }
}

/// Whose targets they are.
pub(crate) const WAYPOINT: &str = "waypoint";
/// What the others are measured by.
pub(crate) const ENVOY: &str = "envoy";

impl Subject {
    /// Starts it and waits until it takes tunnels. `place` is one that no other running subject of this world has.
    pub(crate) fn start(
        contender: &Contender,
        place: u8,
        world: &World,
        collector: Option<SocketAddr>,
        programs: &Programs,
    ) -> Result<Self, Fault> {
        let address = world.proxy_address(place);
        let order = Order {
            world,
            address,
            collector,
            workers: contender.workers,
        };
        let started = match &contender.which {
            Which::Known(How::Waypoint) => waypoint::start(&order, programs)?,
            Which::Known(How::Envoy) => envoy::start(&order, programs)?,
            Which::Known(How::Splice) => splice::start(&order)?,
            Which::Template(template) => template.start(&order)?,
        };
        Ok(Self {
            name: contender.name.clone(),
            address,
            version: started.version,
            process: started.process,
            routes: started.routes,
        })
    }

    /// Tells it what has changed in its world, where it does not read the manifests.
    pub(crate) fn tell(&self, world: &World) -> Result<(), Fault> {
        self.routes.as_ref().map_or(Ok(()), |routes| routes.tell(world))
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        self.process.finish().map(drop)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has cost so far.
    pub(crate) fn usage(&self) -> Result<Usage, Fault> {
        Usage::of(self.process.pid()).during(&self.name)
    }

    /// Resident memory now, KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64, Fault> {
        resident_kib(self.process.pid()).during(&self.name)
    }

    /// Resident memory when it changes no more, KiB.
    pub(crate) fn resident_kib_at_rest(&self) -> Result<u64, Fault> {
        settled(|| self.resident_kib())
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
