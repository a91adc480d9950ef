//! `idle`: connections and streams that are held and do nothing, and what they hold of the proxy's memory.

mod held;

use crate::cli::IdleArgs;
use crate::fault::Fault;
use crate::figure::{Figure, Goal, Sample};
use crate::load_test::ask;
use crate::machine::Machine;
use crate::process::count;
use crate::report::{Report, Row, Section, Settings};
use crate::stop::Stop;
use crate::watched::{Meter, Watched};
use crate::way;
use held::Held;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often it is looked at while all are held.
const LOOK: Duration = Duration::from_millis(100);
/// How often that is told.
const LINE: Duration = Duration::from_secs(5);
/// What is told, where the proxy is seen.
const FIGURES: [Figure; 4] = [
    Figure::IdleMib,
    Figure::ConnectionKib,
    Figure::StreamKib,
    Figure::LoadedMib,
];

/// Opens, holds, asks again, prints, writes.
pub(crate) fn run(args: &IdleArgs) -> Result<ExitCode, Fault> {
    way::check_streams(&args.way, args.connections, args.streams)?;
    if args.way.waypoint.is_none() && args.streams == 0 {
        return Err(Fault::new(
            "in clear there are streams only: use --streams, or --waypoint for connections of its own",
        ));
    }
    let watched = Watched::of(&args.way.watched)?;
    let mut idle = Idle {
        args,
        watched: &watched,
        held: Held::new(way::source(&args.way)?, ask(&args.way, &args.ask)?)?,
        stop: Stop::watch()?,
        sample: Sample::new(),
    };
    println!("{}", title(args));
    if !watched.is_seen() {
        println!("with --pid or --metrics it is told what they hold of the proxy's memory");
    }
    let failures = idle.all()?;
    let (connections, streams) = (idle.held.connections(), idle.held.streams());
    let mut row = Row::new(&format!("{connections} connections, {streams} streams"));
    row.samples.push(idle.sample);
    row.failures = failures;
    let report = report(args, row);
    println!("\n{}", report.overview());
    report.write(&args.files)?;
    Ok(report.verdict(None))
}

/// A run of it.
struct Idle<'a> {
    args: &'a IdleArgs,
    watched: &'a Watched,
    held: Held,
    stop: Stop,
    sample: Sample,
}

impl Idle<'_> {
    /// All of it, and what failed.
    fn all(&mut self) -> Result<Vec<String>, Fault> {
        // What is made once is no connection's.
        self.held.begin()?;
        let idle = self.watched.resident_mib_at_rest();
        self.note(Figure::IdleMib, idle);
        let has_tunnels = self.args.way.waypoint.is_some();
        let opened = self.open(
            "connections",
            if has_tunnels { self.args.connections } else { 0 },
            Held::connect,
        )?;
        let connected = self.watched.resident_mib_at_rest();
        self.note(Figure::ConnectionKib, kib_each(idle, connected, opened));
        let opened = self.open("streams", self.args.streams, Held::stream)?;
        let used = self.watched.resident_mib_at_rest();
        self.note(Figure::StreamKib, kib_each(connected, used, opened));
        self.hold();
        self.note(Figure::LoadedMib, self.watched.read().resident_mib);
        Ok(self.held.end())
    }

    fn note(&mut self, figure: Figure, value: Option<f64>) {
        self.sample.extend(value.map(|value| (figure, value)));
    }

    /// So many, or fewer when somebody wants to end.
    fn open(&mut self, what: &str, wanted: u64, one: impl Fn(&mut Held) -> Result<(), Fault>) -> Result<u64, Fault> {
        let (began, mut told, mut opened) = (Instant::now(), Instant::now(), 0);
        while opened < wanted && !self.stop.is_told() {
            one(&mut self.held)?;
            opened += 1;
            if told.elapsed() >= LINE {
                told = Instant::now();
                println!("{opened} of {wanted} {what}");
            }
        }
        if opened > 0 {
            let took = began.elapsed().as_secs_f64();
            println!("opened {opened} {what} in {took:.2} s, {:.0}/s", count(opened) / took);
        }
        Ok(opened)
    }

    /// For as long as is wanted.
    fn hold(&self) {
        let time = Duration::from_secs(self.args.duration);
        let (began, mut told) = (Instant::now(), Instant::now());
        let mut meter = Meter::new(self.watched);
        while began.elapsed() < time && !self.stop.is_told() {
            std::thread::sleep(LOOK.min(time.saturating_sub(began.elapsed())));
            let proxy = meter.look();
            if told.elapsed() >= LINE {
                told = Instant::now();
                let proxy = proxy.map_or_else(String::new, |proxy| format!("   proxy: {proxy}"));
                println!(
                    "held {} of {} s: {} of {} connections, {} streams{proxy}",
                    began.elapsed().as_secs(),
                    time.as_secs(),
                    self.held.open_connections(),
                    self.held.connections(),
                    self.held.streams()
                );
            }
        }
    }
}

/// KiB of each; None where it was not seen, or nothing was opened.
fn kib_each(before: Option<f64>, after: Option<f64>, opened: u64) -> Option<f64> {
    (opened > 0).then_some(((after? - before?) * 1024.0 / count(opened)).max(0.0))
}

/// What is held, in a line.
fn title(args: &IdleArgs) -> String {
    let way = match &args.way.waypoint {
        None => "in clear".to_owned(),
        Some(waypoint) => format!("by {waypoint}, {} connections", args.connections),
    };
    format!(
        "{} {way}, {} streams, held for {} s",
        args.way.service, args.streams, args.duration
    )
}

fn report(args: &IdleArgs, row: Row) -> Report {
    let goals = FIGURES.into_iter().filter(|figure| row.spread(*figure).is_some());
    let goals = goals.map(Goal::told).collect();
    Report {
        title: "Idle connections".to_owned(),
        notes: vec![
            "Resident memory of the proxy when it changes no more: with one connection, with all connections and no \
             stream, with all streams, each of which has carried one request. The differences are divided by how many \
             were opened."
                .to_owned(),
        ],
        machine: Machine::here(),
        settings: Settings {
            rounds: 1,
            seconds: args.duration,
            warm_up: 0,
            command: format!(
                "waypoint-bench idle --service {} --connections {} --streams {} --duration {}",
                args.way.service, args.connections, args.streams, args.duration
            ),
        },
        sections: vec![Section {
            rows: vec![row],
            ..Section::new("idle", &title(args), goals)
        }],
    }
}

#[cfg(test)]
mod tests;
