//! Requests: fresh tunnels, a warm-up, and a window in which everything is counted.

use super::Task;
use crate::fault::{During, Fault};
use crate::figure::{Figure, Sample};
use crate::load::{Ask, Load, Plan, Schedule, Tally};
use crate::neighbour::{Changes, Collector, Destination, Source, World};
use crate::process::{Usage, count, mib};
use crate::report::Row;
use crate::scenario::{Disturbance, Traffic};
use crate::subject::Subject;
use std::time::{Duration, Instant};

/// How often a measurement looks whether it is over.
const LOOK: Duration = Duration::from_millis(5);
/// Spans are sent in batches: the first one has come by then.
const SPANS: Duration = Duration::from_secs(15);
/// A config that changes is watched for so many times as long as one that does not.
const DISTURBED: u64 = 2;

/// All rounds of a scenario.
pub(super) fn run(
    task: &Task<'_>,
    traffic: Traffic,
    disturbance: Option<Disturbance>,
    rows: &mut [Row],
) -> Result<(), Fault> {
    let args = task.args;
    let mut world = World::new(task.scenario.mesh, traffic.response_bytes);
    let _destination = Destination::of_threads(&world, traffic.threads)?;
    let collector = task.scenario.mesh.is_traced.then(Collector::start).transpose()?;
    let plan = plan(&world, traffic)?;
    let mut running = start(task, &world, collector.as_ref(), rows)?;
    for round in 1..=args.rounds {
        for (place, subject) in &running {
            let row = rows.get_mut(*place).during("a row for every subject")?;
            let source = Source::of_world(&world, subject.address)?;
            let turn = Turn {
                subject,
                plan: &plan,
                disturbance,
                task,
            };
            let (sample, tally) = turn.measure(&source, &mut world)?;
            eprintln!("round {round} of {}: {:<10}{}", args.rounds, row.name, line(&sample));
            row.add(sample, tally)?;
        }
        running.rotate_left(1);
    }
    for (place, subject) in &running {
        if let Some(row) = rows.get_mut(*place) {
            row.loaded_mib = Some(mib(subject.resident_kib()?));
        }
    }
    collector.map_or(Ok(()), |collector| has_taken(&collector))
}

/// A scenario of traces without any would measure nothing.
fn has_taken(collector: &Collector) -> Result<(), Fault> {
    let began = Instant::now();
    while collector.taken_bytes() == 0 {
        if began.elapsed() > SPANS {
            return Err(Fault::new("the collector was sent nothing"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Each with its place among the rows.
fn start(
    task: &Task<'_>,
    world: &World,
    collector: Option<&Collector>,
    rows: &mut [Row],
) -> Result<Vec<(usize, Subject)>, Fault> {
    let mut running = Vec::new();
    let collector = collector.map(|collector| collector.address);
    for ((index, contender), place) in task.contenders.iter().enumerate().zip(0..) {
        task.check()?;
        let subject = Subject::start(contender, place, world, collector, &task.args.programs)?;
        if let Some(row) = rows.get_mut(index) {
            row.version.clone_from(&subject.version);
            row.idle_mib = Some(mib(subject.resident_kib()?));
        }
        running.push((index, subject));
    }
    Ok(running)
}

/// What is sent.
pub(crate) fn plan(world: &World, traffic: Traffic) -> Result<Plan, Fault> {
    let (connections, streams) = (traffic.connections, traffic.streams);
    let each = streams.div_ceil(connections.max(1));
    if each > 100 {
        return Err(Fault::new(format!(
            "{each} streams a connection: at most 100, use --connections"
        )));
    }
    let protocol = world.holds().speaks.protocol();
    let mut ask = Ask::new(protocol, "echo", &world.holds().path(), traffic.request_bytes);
    ask.good.bytes = Some(traffic.response_bytes as u64);
    if let Some(token) = world.token() {
        ask.headers
            .insert("authorization", token.bearer.parse().during("a token")?);
    }
    Ok(Plan {
        connections,
        streams,
        in_flight: traffic.in_flight,
        schedule: traffic.rate.map(Schedule::constant),
        is_fresh: traffic.is_fresh,
        is_strict: true,
        threads: traffic.threads,
        ..Plan::new(ask)
    })
}

/// One subject's turn.
struct Turn<'a> {
    subject: &'a Subject,
    plan: &'a Plan,
    disturbance: Option<Disturbance>,
    task: &'a Task<'a>,
}

impl Turn<'_> {
    fn measure(&self, source: &Source, world: &mut World) -> Result<(Sample, Tally), Fault> {
        let load = Load::start(source, self.plan.clone()).during(&self.subject.name)?;
        self.wait(&load, Duration::from_secs(self.task.args.warm_up), |_| Ok(()))?;
        load.record(Some(0));
        let (began, answered, usage) = (Instant::now(), load.counted().answered(), self.subject.usage()?);
        let neighbours = Usage::of(std::process::id())?;
        let by_pods = answered_by(world);
        let times = if self.disturbance.is_some() { DISTURBED } else { 1 };
        let window = Duration::from_secs(self.task.args.seconds.saturating_mul(times));
        let mut changes = self.disturbance.map(|disturbance| Changes::new(disturbance, window));
        self.wait(&load, window, |time| {
            let is_changed = changes.as_mut().is_some_and(|changes| changes.at(time, world));
            if is_changed { self.subject.tell(world) } else { Ok(()) }
        })?;
        let (took, answered) = (began.elapsed(), load.counted().answered().saturating_sub(answered));
        let cost = self.subject.usage()? - usage;
        let neighbours = Usage::of(std::process::id())? - neighbours;
        load.record(None);
        let tally = load.stop()?;
        let mut sample = sample(took, answered, cost, neighbours, &tally);
        if let Some(changes) = changes {
            sample.insert(Figure::Changes, count(changes.made()));
            sample.extend(shifted(&by_pods, &answered_by(world)).map(|share| (Figure::Shifted, share)));
        }
        Ok((sample, tally))
    }

    /// Until this much time, or as many requests more as are wanted, or a failure.
    fn wait(
        &self,
        load: &Load,
        time: Duration,
        mut meanwhile: impl FnMut(Duration) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let most = load.counted().answered().saturating_add(self.task.args.requests);
        while began.elapsed() < time && load.counted().answered() < most && !load.is_broken() {
            self.task.check()?;
            meanwhile(began.elapsed())?;
            std::thread::sleep(LOOK.min(time.saturating_sub(began.elapsed())));
        }
        Ok(())
    }
}

/// By each pod, so far.
fn answered_by(world: &World) -> Vec<u64> {
    world.pods().iter().map(|pod| pod.echo.answered()).collect()
}

/// The second pod's share of what was answered in between; None without one, or without answers.
fn shifted(before: &[u64], after: &[u64]) -> Option<f64> {
    let since: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(*before))
        .collect();
    let all: u64 = since.iter().sum();
    (all > 0).then(|| since.get(1).map(|second| count(*second) / count(all)))?
}

fn sample(took: Duration, answered: u64, cost: Usage, neighbours: Usage, tally: &Tally) -> Sample {
    let requests = count(answered.max(1));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let quantile = |q| count(tally.latencies.value_at_quantile(q)) / 1e3;
    Sample::from([
        (Figure::Requests, count(answered)),
        (Figure::PerSecond, count(answered) / took.as_secs_f64()),
        (Figure::CpuUs, micros(cost.cpu) / requests),
        (Figure::Sleeps, count(cost.sleeps) / requests),
        (Figure::Busy, cost.cpu.as_secs_f64() / took.as_secs_f64()),
        (Figure::NeighboursUs, micros(neighbours.cpu) / requests),
        (Figure::P50Us, quantile(0.5)),
        (Figure::P99Us, quantile(0.99)),
        (Figure::LongestUs, count(tally.latencies.max()) / 1e3),
    ])
}

/// For whoever watches.
fn line(sample: &Sample) -> String {
    let figure = |figure| sample.get(&figure).copied().unwrap_or_default();
    format!(
        "{:7.1} us CPU a request, {:7.0} requests/s, p50 {:.0} us, p99 {:.0} us",
        figure(Figure::CpuUs),
        figure(Figure::PerSecond),
        figure(Figure::P50Us),
        figure(Figure::P99Us),
    )
}
