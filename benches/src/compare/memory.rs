//! What connections, streams and routes hold of the proxy's memory: each is measured in a process of its own, started
//! for it, since an allocator does not give back what it once had.

use super::Task;
use super::traffic::plan;
use crate::fault::{During, Fault};
use crate::figure::{Figure, Sample};
use crate::load::{Load, Tally};
use crate::neighbour::{Destination, Source, World};
use crate::process::{count, mib};
use crate::report::Row;
use crate::scenario::{Mesh, Traffic};
use crate::subject::{Contender, Subject};
use std::time::{Duration, Instant};

/// Idle connections that are opened.
const CONNECTIONS: u64 = 500;
/// Streams that carry a request each, and how many of them share a connection.
const STREAMS: u64 = 1_000;
const STREAMS_A_CONNECTION: u64 = 100;
/// Routes in the larger mesh, so that noise is small beside them.
const ROUTES: usize = 5_000;
/// One round tells as much as five: nothing depends on the machine's speed.
const ROUNDS: u64 = 3;
/// Every stream has had its answer by then.
const ANSWERED: Duration = Duration::from_secs(30);

/// Idle, per connection, per stream.
pub(super) fn of_traffic(task: &Task<'_>, rows: &mut [Row]) -> Result<(), Fault> {
    let args = task.args;
    let world = World::new(task.scenario.mesh, 1024);
    let _destination = Destination::of_world(&world)?;
    let connections = CONNECTIONS.min(args.requests);
    let streams = STREAMS.min(args.requests);
    each(task, rows, |contender, place, row| {
        let start = || Subject::start(contender, place, &world, None, &args.programs);
        let subject = start()?;
        row.version.clone_from(&subject.version);
        let idle = subject.resident_kib_at_rest()?;
        let (of_connections, before) = idle_connections(&subject, &world, connections)?;
        drop(subject);
        let connection = per(of_connections, before, connections);
        let of_streams = used_streams(&start()?, &world, streams)?;
        Ok(Sample::from([
            (Figure::IdleMib, mib(idle)),
            (Figure::ConnectionKib, connection),
            (Figure::StreamKib, of_streams),
        ]))
    })
}

/// A mesh with many routes beside one without.
pub(super) fn of_routes(task: &Task<'_>, rows: &mut [Row]) -> Result<(), Fault> {
    let args = task.args;
    let routes = ROUTES.min(usize::try_from(args.requests).unwrap_or(ROUTES).max(10));
    let [none, many] = [0, routes].map(|routes| {
        World::new(
            Mesh {
                routes,
                ..task.scenario.mesh
            },
            1024,
        )
    });
    each(task, rows, |contender, place, row| {
        let rest = |world: &World| {
            let subject = Subject::start(contender, place, world, None, &args.programs)?;
            Ok::<_, Fault>((subject.resident_kib_at_rest()?, subject.version.clone()))
        };
        let (without, version) = rest(&none)?;
        row.version = version;
        let (with, _) = rest(&many)?;
        let a_thousand = per(with, without, routes as u64) * 1_000.0 / 1024.0;
        Ok(Sample::from([
            (Figure::RoutesMib, a_thousand),
            (Figure::IdleMib, mib(without)),
            (Figure::LoadedMib, mib(with)),
        ]))
    })
}

fn each(
    task: &Task<'_>,
    rows: &mut [Row],
    measure: impl Fn(&Contender, u8, &mut Row) -> Result<Sample, Fault>,
) -> Result<(), Fault> {
    let rounds = task.args.rounds.min(ROUNDS);
    for round in 1..=rounds {
        for ((contender, row), place) in task.contenders.iter().zip(rows.iter_mut()).zip(0..) {
            task.check()?;
            let sample = measure(contender, place, row)?;
            let shown = sample
                .iter()
                .map(|(figure, value)| format!("{} {value:.1}", figure.heading()));
            let shown = shown.collect::<Vec<_>>().join(", ");
            eprintln!("round {round} of {rounds}: {:<10}{shown}", row.name);
            row.samples.push(sample);
        }
    }
    Ok(())
}

/// Resident memory with so many idle connections, and before. A first one is open already: what is made once is no
/// connection's.
fn idle_connections(subject: &Subject, world: &World, connections: u64) -> Result<(u64, u64), Fault> {
    let source = Source::of_world(world, subject.address)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("runtime")?;
    runtime.block_on(async {
        let first = source.connect().await?;
        let before = subject.resident_kib_at_rest()?;
        let mut more = Vec::new();
        for _ in 0..connections {
            more.push(source.connect().await?);
        }
        let with = subject.resident_kib_at_rest()?;
        drop((first, more));
        Ok((with, before))
    })
}

/// KiB of a stream that has carried a request.
fn used_streams(subject: &Subject, world: &World, streams: u64) -> Result<f64, Fault> {
    let source = Source::of_world(world, subject.address)?;
    let traffic = Traffic {
        connections: streams.div_ceil(STREAMS_A_CONNECTION),
        streams,
        // Spread over a second: all of them have their turn, none waits for another.
        rate: Some(streams),
        in_flight: 1,
        request_bytes: 0,
        response_bytes: 1024,
        is_fresh: false,
        threads: 1,
    };
    let one = Traffic {
        streams: 1,
        connections: 1,
        rate: None,
        ..traffic
    };
    let first = Load::start(&source, plan(world, one)?)?;
    let before = wait(first, 1, || subject.resident_kib_at_rest())?;
    let load = Load::start(&source, plan(world, traffic)?)?;
    let with = wait(load, streams, || subject.resident_kib())?;
    Ok(per(with, before, streams))
}

/// Looks when so many answers have come, while the streams are still open.
fn wait(load: Load, answers: u64, look: impl Fn() -> Result<u64, Fault>) -> Result<u64, Fault> {
    let began = Instant::now();
    while load.counted().answered() < answers && !load.is_broken() && began.elapsed() < ANSWERED {
        std::thread::sleep(Duration::from_millis(5));
    }
    let seen = look();
    let Tally { failures, .. } = load.stop()?;
    match failures.first() {
        Some(failure) => Err(Fault::new(failure)),
        None => seen,
    }
}

fn per(with: u64, before: u64, many: u64) -> f64 {
    count(with.saturating_sub(before)) / count(many.max(1))
}
