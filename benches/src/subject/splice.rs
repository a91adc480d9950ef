//! The bare CONNECT splice: this program again, as another process.

use super::child::Process;
use super::{Order, Started};
use crate::fault::{During, Fault};
use std::process::Command;

pub(super) fn start(order: &Order<'_>) -> Result<Started, Fault> {
    let (world, address) = (order.world, order.address);
    let mut command = Command::new(std::env::current_exe().during("my own path")?);
    command.arg("splice-proxy").args(["--listen", &address.to_string()]);
    command.arg("--certs").arg(world.proxy_certs().path());
    command.args(["--destination", &world.destination_address().to_string()]);
    command.args(["--identity", world.destination_identity()?.as_str()]);
    command.args(["--target", &world.application().to_string()]);
    let dir = tempfile::tempdir().during("splice-proxy")?;
    Ok(Started {
        process: Process::start("splice-proxy", dir, command, address)?,
        version: "hbone::Server, hbone::Pool, hbone::splice".to_owned(),
        routes: None,
    })
}
