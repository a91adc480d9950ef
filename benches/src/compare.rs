//! `compare`: one world, several proxies, rounds in which each has its turn.
//!
//! Rounds are interleaved because machines change while one measures: a ratio is taken within a round, and the median
//! over rounds is what counts. The order turns by one each round, so that nobody always comes after the same one.

use crate::cli::CompareArgs;
use crate::fault::{During, Fault};
use crate::load::{ClosedLoop, Tally};
use crate::machine::Machine;
use crate::neighbour::{Destination, Source, World};
use crate::process::Usage;
use crate::report::{Report, Row, Sample};
use crate::subject::{Kind, Subject};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What the others are measured by.
pub(crate) const YARDSTICK: Kind = Kind::Envoy;

/// How often a measurement looks whether it is over.
const LOOK: Duration = Duration::from_millis(5);

/// Measures, prints, writes.
pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode, Fault> {
    let streams_per_connection = args.streams.div_ceil(args.connections);
    if streams_per_connection > 100 {
        return Err(Fault::new(format!(
            "{streams_per_connection} streams a connection: at most 100, use --connections"
        )));
    }
    let machine = Machine::here();
    let world = World::new();
    let _destination = Destination::start(&world)?;
    let source = Source::new(&world)?;
    let mut subjects = start(&world, args)?;
    let mut rows: Vec<Row> = subjects.iter().map(Row::new).collect();
    for round in 1..=args.rounds {
        for subject in &subjects {
            let (sample, failures) = measure(subject, &source, args)?;
            eprintln!(
                "round {round} of {}: {:<9}{}",
                args.rounds,
                subject.kind.name(),
                sample.line()
            );
            let row = rows
                .iter_mut()
                .find(|row| row.kind == subject.kind)
                .during("a row for every subject")?;
            row.add(sample, failures);
        }
        subjects.rotate_left(1);
    }
    for row in &mut rows {
        let subject = subjects.iter().find(|subject| subject.kind == row.kind);
        row.loaded_kib = subject.during("a subject for every row")?.resident_kib()?;
    }
    let report = Report {
        machine,
        args: args.clone(),
        rows,
    };
    println!("{}", report.table());
    report.write()?;
    Ok(report.verdict())
}

fn start(world: &World, args: &CompareArgs) -> Result<Vec<Subject>, Fault> {
    let mut kinds = args.only.clone();
    kinds.sort();
    kinds.dedup();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("runtime")?;
    runtime.block_on(async {
        let mut subjects = Vec::new();
        for kind in kinds {
            subjects.push(Subject::start(kind, world, args).await?);
        }
        Ok(subjects)
    })
}

/// One subject's turn: fresh tunnels, warm-up, and a window in which everything is counted.
fn measure(subject: &Subject, source: &Source, args: &CompareArgs) -> Result<(Sample, Vec<String>), Fault> {
    let load =
        ClosedLoop::start(source, subject.address, args.connections, args.streams).during(subject.kind.name())?;
    wait(&load, Duration::from_secs(args.warm_up), args.requests);
    load.record(true);
    let (began, answered, usage) = (Instant::now(), load.answered(), subject.usage()?);
    let neighbours = Usage::of(std::process::id())?;
    wait(&load, Duration::from_secs(args.seconds), args.requests);
    let (took, answered) = (began.elapsed(), load.answered().saturating_sub(answered));
    let cost = subject.usage()? - usage;
    let neighbours = Usage::of(std::process::id())? - neighbours;
    load.record(false);
    let Tally { latencies, failures } = load.stop()?;
    Ok((Sample::new(took, answered, cost, neighbours, &latencies), failures))
}

/// Until this much time, or this many requests more, or a failure.
fn wait(load: &ClosedLoop, time: Duration, requests: u64) {
    let (began, most) = (Instant::now(), load.answered().saturating_add(requests));
    while began.elapsed() < time && load.answered() < most && !load.is_broken() {
        std::thread::sleep(LOOK.min(time.saturating_sub(began.elapsed())));
    }
}

impl Row {
    fn new(subject: &Subject) -> Self {
        Self {
            kind: subject.kind,
            version: subject.version.clone(),
            idle_kib: subject.idle_kib,
            loaded_kib: 0,
            samples: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn add(&mut self, sample: Sample, failures: Vec<String>) {
        self.samples.push(sample);
        self.failures.extend(failures);
    }
}
