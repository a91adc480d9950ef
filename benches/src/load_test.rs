//! `load`: a load on somebody's own waypoint, watched while it runs.

mod order;
mod seconds;
mod told;
mod view;

pub(crate) use order::ask;

use crate::cli::LoadArgs;
use crate::fault::Fault;
use crate::figure::{Figure, Sample};
use crate::load::{Load, Tally};
use crate::process::count;
use crate::report::Row;
use crate::stop::Stop;
use crate::watched::{Meter, Reading, Watched};
use crate::way;
use hdrhistogram::Histogram;
use order::{Step, plan, steps};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use told::title;
use view::{Seen, View};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Loads, shows, prints, writes.
pub(crate) fn run(args: &LoadArgs) -> Result<ExitCode, Fault> {
    let steps = steps(args)?;
    let plan = plan(args, &steps)?;
    let watched = Watched::of(&args.way.watched)?;
    let source = way::source(&args.way)?;
    let stop = Stop::watch()?;
    let load = Load::start(&source, plan)?;
    let (mut report, mut section) = told::report(args, &watched);
    let mut view = View::new(title(args), steps.iter().map(|step| step.time).sum());
    let is_over = || stop.is_told() || load.is_over();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(args.warm_up) && !is_over() {
        std::thread::sleep(LOOK);
    }
    let (measured, mut meter) = (Instant::now(), Meter::new(&watched));
    for (window, step) in steps.iter().enumerate() {
        let row = measure(&load, window, step, &mut meter, |seen| {
            view.show(&Seen {
                time: measured.elapsed(),
                ..seen
            });
            is_over()
        })?;
        section.rows.push(row);
        if is_over() {
            break;
        }
    }
    load.record(None);
    section.timeline = view.end();
    report.sections.push(section);
    let tally = load.stop()?;
    println!("{}", report.overview());
    for (step, row) in steps.iter().zip(report.rows()) {
        told::shortfall(step.rate, row)
            .into_iter()
            .for_each(|told| println!("{told}"));
    }
    for (answer, count) in &tally.answers {
        println!("{answer}: {count}");
    }
    let (lost, unanswered) = (tally.lost_connections, tally.unanswered);
    if lost > 0 || unanswered > 0 {
        println!("connections lost: {lost}, requests without an answer: {unanswered}");
    }
    report.write(&args.files)?;
    let is_good = tally.failures.is_empty() && unanswered == 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The figures of one step.
fn measure(
    load: &Load,
    window: usize,
    step: &Step,
    meter: &mut Meter<'_>,
    mut look: impl FnMut(Seen) -> bool,
) -> Result<Row, Fault> {
    load.record(Some(window));
    let (began, before) = (Instant::now(), meter.read());
    let (answered, failed) = (load.counted().answered(), load.counted().failed());
    while began.elapsed() < step.time {
        std::thread::sleep(LOOK.min(step.time.saturating_sub(began.elapsed())));
        let seen = Seen {
            time: Duration::ZERO,
            window,
            wanted: step.rate,
            answers: load.counted().answers(),
            failed: load.counted().failed(),
            latencies: load.counted().latencies(window)?,
            proxy: meter.look(),
        };
        if look(seen) {
            break;
        }
    }
    let (took, after) = (began.elapsed(), meter.read());
    let answered = load.counted().answered().saturating_sub(answered);
    let failed = load.counted().failed().saturating_sub(failed);
    let name = step
        .rate
        .map_or_else(|| "closed loop".to_owned(), |rate| format!("{rate}/s"));
    let mut row = Row::new(&name);
    let latencies = load.counted().latencies(window)?;
    let mut sample = sample(took, answered, &latencies);
    sample.extend(cost(took, answered, &before, &after));
    row.add(sample, Tally::of(latencies))?;
    if failed > 0 {
        row.failures.push(format!("{failed} requests"));
    }
    Ok(row)
}

fn sample(took: Duration, answered: u64, latencies: &Histogram<u64>) -> Sample {
    let micros = |nanos: u64| count(nanos) / 1e3;
    Sample::from([
        (Figure::Requests, count(answered)),
        (Figure::PerSecond, count(answered) / took.as_secs_f64()),
        (Figure::P50Us, micros(latencies.value_at_quantile(0.5))),
        (Figure::P99Us, micros(latencies.value_at_quantile(0.99))),
        (Figure::LongestUs, micros(latencies.max())),
    ])
}

/// What the proxy took, as far as it can be seen.
fn cost(took: Duration, answered: u64, before: &Reading, after: &Reading) -> Sample {
    let mut cost = Sample::new();
    if let Some(cpu) = after.cpu_since(before) {
        cost.insert(Figure::CpuUs, cpu.as_secs_f64() * 1e6 / count(answered.max(1)));
        cost.insert(Figure::Busy, cpu.as_secs_f64() / took.as_secs_f64());
    }
    cost.extend(after.resident_mib.map(|mib| (Figure::LoadedMib, mib)));
    cost
}
