//! A waypoint in callgrind.

use super::child::Process;
use crate::fault::{During, Fault};
use std::net::SocketAddr;
use std::process::Command;

/// It runs, some fifty times slower.
pub(crate) struct Counted(Process);

/// Starts this waypoint and waits until it is ready.
pub(crate) fn counted(waypoint: Command, address: SocketAddr) -> Result<Counted, Fault> {
    let dir = tempfile::tempdir().during("callgrind")?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(waypoint.get_program()).args(waypoint.get_args());
    for (name, value) in waypoint.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut process = Process::start("valgrind", dir, command, address)?;
    process.says("ready")?;
    Ok(Counted(process))
}

impl Counted {
    /// Ends it in good order, and gives the instructions that it took.
    pub(crate) fn finish(self) -> Result<u64, Fault> {
        let log = self.0.finish()?;
        let counted = log
            .lines()
            .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        counted.during(format_args!("no count in callgrind's log:\n{log}"))
    }
}
