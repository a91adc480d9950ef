//! `waypoint top`: what a running waypoint does, rule by rule and backend by backend, as rates between two looks.

mod table;

use crate::admin_client::{self, Call};
use crate::cli::TopArgs;
use crate::explain::Paint;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Shows it until it is stopped, or once; 2 when there is no waypoint to ask.
pub fn run(args: TopArgs) -> ExitCode {
    match show(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("waypoint top: {why}");
            ExitCode::from(2)
        }
    }
}

fn show(args: &TopArgs) -> Result<(), String> {
    let (paint, interval) = (
        Paint::of_stdout(),
        Duration::from_secs_f64(args.interval.clamp(0.1, 3600.0)),
    );
    let mut before = stats(args)?;
    loop {
        std::thread::sleep(interval);
        let now = stats(args)?;
        let text = table::render(&before, &now, paint);
        if args.once {
            // A reader that closed the pipe has read enough.
            let _ = write!(std::io::stdout().lock(), "{text}");
            return Ok(());
        }
        // From the upper left corner of a screen that is wiped.
        if write!(std::io::stdout().lock(), "\x1b[H\x1b[2J{text}").is_err() {
            return Ok(());
        }
        before = now;
    }
}

fn stats(args: &TopArgs) -> Result<Value, String> {
    let reply = admin_client::call(args.live, Call::get("/api/stats"))?;
    serde_json::from_slice(&reply).map_err(|error| format!("{} did not answer as a waypoint: {error}", args.live))
}
