//! The `waypoint` command.

use clap::Parser;
use std::process::ExitCode;
use waypoint::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => waypoint::run::run(*args),
        Command::Check(args) => waypoint::check::run(args),
        Command::Explain(args) => waypoint::explain::run(args),
        Command::Tap(args) => waypoint::tap::run(args),
        Command::Top(args) => waypoint::top::run(args),
        Command::Controller(args) => waypoint::controller::run(*args),
        Command::Demo(args) => waypoint::demo::run(args),
    }
}
