//! `waypoint demo`: a whole mesh on this machine, and a tour of it.
//!
//! Nothing is staged: the waypoint is a process of its own, started with `waypoint run`; requests travel through two
//! real mTLS tunnels over loopback; the two neighbours (which ztunnel would be) are the `hbone` crate's other ends.
//! Start reading at [`demo`], then `demo_mesh.rs` (what runs) and `tour.rs` (what is shown).

mod ca;
mod checks;
mod client;
mod collector;
mod connection;
mod cost;
mod demo_mesh;
mod destination;
mod error;
mod ids;
mod interrupt;
mod load;
mod manifests;
mod print;
mod proc_stat;
mod scrape;
mod tour;
mod trace_id;
mod waypoint_process;

use crate::cli::DemoArgs;
use checks::Checks;
use demo_mesh::DemoMesh;
use error::{DemoError, doing};
use interrupt::Interrupt;
use print::say;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Shows the demo; 0 when everything was as it must be, 1 otherwise.
pub fn run(args: DemoArgs) -> ExitCode {
    hbone::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let shown = runtime
        .map_err(doing("start the runtime"))
        .and_then(|runtime| runtime.block_on(demo(&args)));
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("waypoint demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `Ok(false)`: it was shown to its end, and something that must hold did not.
async fn demo(args: &DemoArgs) -> Result<bool, DemoError> {
    let began = Instant::now();
    let mut interrupt = Interrupt::install()?;
    say("waypoint demo: an Istio ambient mesh on loopback");
    let mesh = tokio::select! {
        started = DemoMesh::start(args.listen) => started?,
        () = interrupt.comes() => return Err(DemoError::Interrupted),
    };
    let mut checks = Checks::default();
    let seconds = Duration::from_secs(args.step_seconds.max(1));
    let shown = tokio::select! {
        shown = tour::tour(&mesh, seconds, &mut checks) => shown,
        () = interrupt.comes() => Err(DemoError::Interrupted),
    };
    match &shown {
        Ok(()) => {
            verdict(&mesh, &checks, began.elapsed());
            keep(args, &mesh, &mut interrupt).await;
        }
        Err(DemoError::Interrupted) => {}
        Err(_) => log_tail(&mesh),
    }
    let stopped = mesh.stop().await;
    shown?;
    say(format!(
        "\nwaypoint drained and left {} ms after SIGTERM",
        stopped?.as_millis()
    ));
    Ok(checks.failed().is_empty())
}

fn verdict(mesh: &DemoMesh, checks: &Checks, took: Duration) {
    if checks.failed().is_empty() {
        return say(format!("\n✓  all of it held, in {:.1} s", took.as_secs_f64()));
    }
    say("");
    checks.failed().iter().for_each(|failed| say(format!("✗  {failed}")));
    log_tail(mesh);
}

fn log_tail(mesh: &DemoMesh) {
    say(format!("\nThe waypoint's log ends:\n{}", mesh.waypoint.log_tail()));
}

async fn keep(args: &DemoArgs, mesh: &DemoMesh, interrupt: &mut Interrupt) {
    if !args.keep {
        return say("   `waypoint demo --keep` leaves it running, for curl");
    }
    tour::try_it(mesh);
    say("\nIt runs until Ctrl-C.");
    interrupt.comes().await;
}
