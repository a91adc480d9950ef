//! `waypoint-bench`: what a request costs in the waypoint, beside what it costs in others, in the same run.
//!
//! Read [`compare`] first: it holds the order of things. `scenario` is what is measured, as data, `subject` starts the
//! proxies under test, `neighbour` is the mesh on both sides of them, `load` sends the requests, `process` reads what they
//! cost, `report` tells.

mod cli;
mod compare;
mod fault;
mod figure;
mod http1;
mod http2;
mod identity;
mod idle;
mod instructions;
mod load;
mod load_test;
mod machine;
mod neighbour;
mod process;
mod report;
mod rest;
mod scenario;
mod serve;
mod splice_proxy;
mod stage;
mod stop;
mod subject;
mod train;
mod warnings;
mod watched;
mod way;
mod wire;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

// The waypoint's own allocator, so that the splice is a floor under it and the neighbours are cheap.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hbone::install_crypto_provider();
    warnings::show();
    let done = match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::Load(args) => load_test::run(&args),
        Command::Idle(args) => idle::run(&args),
        Command::Report(args) => report::again(&args).map(|()| ExitCode::SUCCESS),
        Command::Instructions(args) => instructions::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Train(args) => train::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Destination(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Stage(args) => stage::run(&args).map(|()| ExitCode::SUCCESS),
        Command::SpliceProxy(args) => splice_proxy::run(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("waypoint-bench: {fault}");
        ExitCode::from(2)
    })
}
