//! `load`: a load on somebody's own waypoint, watched while it runs.

mod view;

use crate::cli::LoadArgs;
use crate::fault::{During, Fault};
use crate::figure::{Figure, Goal, Sample};
use crate::identity;
use crate::load::{Ask, Load, Plan, Protocol, Schedule, Tally, WINDOWS_LIMIT};
use crate::machine::Machine;
use crate::neighbour::Source;
use crate::process::{Usage, resident_kib};
use crate::report::{Report, Row, Section, Settings};
use crate::stop::Stop;
use hbone::Destination;
use http::{HeaderName, HeaderValue};
use request::SpiffeId;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use view::{Seen, View};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Loads, shows, prints, writes.
pub(crate) fn run(args: &LoadArgs) -> Result<ExitCode, Fault> {
    let steps = steps(args)?;
    let source = source(args)?;
    let stop = Stop::watch()?;
    let load = Load::start(&source, plan(args, &steps)?)?;
    let mut view = View::new(title(args), steps.iter().map(|step| step.time).sum());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(args.warm_up) && !stop.is_told() {
        std::thread::sleep(LOOK);
    }
    let mut report = Report {
        title: "Load".to_owned(),
        notes: vec![notes(args)],
        machine: Machine::here(),
        settings: settings(args),
        sections: Vec::new(),
    };
    let mut section = Section {
        name: "load".to_owned(),
        about: title(args),
        goals: goals(args),
        rows: Vec::new(),
        fault: None,
    };
    let measured = Instant::now();
    for (window, step) in steps.iter().enumerate() {
        let row = measure(&load, window, step, args, |seen| {
            view.show(&Seen {
                time: measured.elapsed(),
                ..seen
            });
            stop.is_told()
        })?;
        section.rows.push(row);
        if stop.is_told() {
            break;
        }
    }
    report.sections.push(section);
    load.record(None);
    view.end();
    let answers = load.counted().answers();
    let Tally {
        failures,
        lost_connections,
        unanswered,
        ..
    } = load.stop()?;
    println!("{}", report.overview());
    for (answer, count) in answers {
        println!("{answer}: {count}");
    }
    if lost_connections > 0 || unanswered > 0 {
        println!("connections lost: {lost_connections}, requests without an answer: {unanswered}");
    }
    report.write(args.json.as_deref(), args.markdown.as_deref(), args.html.as_deref())?;
    let is_good = failures.is_empty() && unanswered == 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A rate and how long it is measured.
struct Step {
    /// None is a closed loop.
    rate: Option<u64>,
    time: Duration,
}

fn steps(args: &LoadArgs) -> Result<Vec<Step>, Fault> {
    if args.rate.len() > WINDOWS_LIMIT {
        return Err(Fault::new(format!("at most {WINDOWS_LIMIT} steps")));
    }
    let count = u32::try_from(args.rate.len()).unwrap_or(u32::MAX).max(1);
    let time = Duration::from_secs(args.duration) / count;
    let step = |rate| Step { rate, time };
    Ok(if args.rate.is_empty() {
        vec![step(None)]
    } else {
        args.rate.iter().map(|rate| step(Some(*rate))).collect()
    })
}

/// The figures of one step.
fn measure(
    load: &Load,
    window: usize,
    step: &Step,
    args: &LoadArgs,
    mut look: impl FnMut(Seen) -> bool,
) -> Result<Row, Fault> {
    load.record(Some(window));
    let usage = || args.pid.map(Usage::of).transpose();
    let (began, before) = (Instant::now(), usage()?);
    let (answered, failed) = (load.counted().answered(), load.counted().failed());
    while began.elapsed() < step.time {
        std::thread::sleep(LOOK.min(step.time.saturating_sub(began.elapsed())));
        let seen = Seen {
            time: Duration::ZERO,
            wanted: step.rate,
            answers: load.counted().answers(),
            latencies: load.counted().latencies(window)?,
        };
        if look(seen) {
            break;
        }
    }
    let (took, cost) = (began.elapsed(), usage()?);
    let answered = load.counted().answered().saturating_sub(answered);
    let failed = load.counted().failed().saturating_sub(failed);
    let cpu = before.zip(cost).map(|(before, after)| (after - before).cpu);
    let name = step
        .rate
        .map_or_else(|| "closed loop".to_owned(), |rate| format!("{rate}/s"));
    let mut row = Row::new(&name);
    let latencies = load.counted().latencies(window)?;
    row.add(sample(took, answered, cpu, &latencies), Tally::of(latencies))?;
    row.loaded_mib = args.pid.map(resident_kib).transpose()?.map(crate::process::mib);
    if failed > 0 {
        row.failures.push(format!("{failed} requests"));
    }
    Ok(row)
}

/// What is told first.
fn goals(args: &LoadArgs) -> Vec<Goal> {
    let mut goals = vec![Figure::P99Us];
    if args.pid.is_some() {
        goals.push(Figure::CpuUs);
    }
    goals.into_iter().map(Goal::told).collect()
}

fn sample(took: Duration, answered: u64, cpu: Option<Duration>, latencies: &hdrhistogram::Histogram<u64>) -> Sample {
    let count = crate::process::count;
    let micros = |nanos: u64| count(nanos) / 1e3;
    let mut sample = Sample::from([
        (Figure::Requests, count(answered)),
        (Figure::PerSecond, count(answered) / took.as_secs_f64()),
        (Figure::P50Us, micros(latencies.value_at_quantile(0.5))),
        (Figure::P99Us, micros(latencies.value_at_quantile(0.99))),
        (Figure::LongestUs, micros(latencies.max())),
    ]);
    if let Some(cpu) = cpu {
        sample.insert(Figure::CpuUs, cpu.as_secs_f64() * 1e6 / count(answered.max(1)));
        sample.insert(Figure::Busy, cpu.as_secs_f64() / took.as_secs_f64());
    }
    sample
}

fn source(args: &LoadArgs) -> Result<Source, Fault> {
    let (Some(waypoint), Some(identity)) = (&args.waypoint, &args.waypoint_identity) else {
        return Ok(Source::Plain(args.service.as_str().into()));
    };
    let certs = identity::load(&args.identity)?;
    let certs = certs.during("--waypoint needs --certs or --ca-address: who we are to it")?;
    let identity = SpiffeId::parse(identity).map_err(|error| format!("{identity}: {error}"));
    let proxy = Destination {
        address: resolve(waypoint)?,
        identity: identity.during("--waypoint-identity")?,
    };
    // Tunnels ask for the Service's address, not for its name.
    Ok(Source::tunnels(certs, proxy, &resolve(&args.service)?.to_string()))
}

fn resolve(name: &str) -> Result<SocketAddr, Fault> {
    let mut found = name
        .to_socket_addrs()
        .during(format_args!("{name}: expected HOST:PORT"))?;
    found.next().during(format_args!("{name} has no address"))
}

fn plan(args: &LoadArgs, steps: &[Step]) -> Result<Plan, Fault> {
    let is_multiplexed = matches!(args.protocol, Protocol::Http2 | Protocol::Grpc);
    if args.in_flight > 1 && !is_multiplexed {
        return Err(Fault::new(
            "--in-flight needs --protocol http2 or grpc: use more --streams",
        ));
    }
    if args.new_connections && args.protocol != Protocol::Http1 {
        return Err(Fault::new("--new-connections needs --protocol http1"));
    }
    let each = args.streams.div_ceil(args.connections);
    if args.waypoint.is_some() && !args.new_connections && each > 100 {
        return Err(Fault::new(format!(
            "{each} streams a connection: at most 100, use --connections"
        )));
    }
    let (warm_up, mut rates) = (Duration::from_secs(args.warm_up), Vec::new());
    for step in steps {
        let before = if rates.is_empty() { warm_up } else { Duration::ZERO };
        rates.extend(step.rate.map(|rate| (rate, step.time.saturating_add(before))));
    }
    Ok(Plan {
        ask: ask(args)?,
        connections: args.connections,
        streams: args.streams,
        in_flight: args.in_flight,
        schedule: (!rates.is_empty()).then(|| Schedule::steps(rates)),
        is_fresh: args.new_connections,
        is_strict: false,
        limit: None,
    })
}

fn ask(args: &LoadArgs) -> Result<Ask, Fault> {
    // Port 80 is not said.
    let named = args.service.strip_suffix(":80").unwrap_or(&args.service);
    let host = args.host.as_deref().unwrap_or(named);
    let body = usize::try_from(args.body_bytes).during("--body-bytes")?;
    let mut ask = Ask::new(args.protocol, host, &args.path, body);
    if let Some(method) = &args.method {
        ask.method = method.clone();
    }
    for header in &args.header {
        let (name, value) = header
            .split_once(':')
            .during(format_args!("{header:?}: expected 'name: value'"))?;
        let name = HeaderName::try_from(name.trim()).during(format_args!("{header:?}"))?;
        let value = HeaderValue::try_from(value.trim()).during(format_args!("{header:?}"))?;
        ask.headers.append(name, value);
    }
    if let Some(file) = &args.token {
        let token = std::fs::read_to_string(file).during(file.display())?;
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        // What it is, is not repeated.
        let value = value.map_err(|_| "expected a token").during(file.display())?;
        ask.headers.insert("authorization", value);
    }
    Ok(ask)
}

/// What is loaded, in a line.
fn title(args: &LoadArgs) -> String {
    let way = args.waypoint.as_ref().map_or_else(
        || format!("in clear, {} connections", args.streams),
        |waypoint| {
            format!(
                "by {waypoint}, {} x {} streams",
                args.connections,
                args.streams.div_ceil(args.connections)
            )
        },
    );
    let protocol = format!("{:?}", args.protocol).to_lowercase();
    format!("{} {way}, {protocol} {}", args.service, args.path)
}

fn notes(args: &LoadArgs) -> String {
    let how = if args.rate.is_empty() {
        "A closed loop: each connection sends its next request when it has the answer to the last."
    } else {
        "An open loop: latencies count from the time at which a request was due, whether or not it could be sent then."
    };
    format!("{}. {how}", title(args))
}

fn settings(args: &LoadArgs) -> Settings {
    let rates: Vec<_> = args.rate.iter().map(u64::to_string).collect();
    let rate = if rates.is_empty() {
        String::new()
    } else {
        format!(" --rate {}", rates.join(","))
    };
    Settings {
        rounds: 1,
        seconds: args.duration,
        warm_up: args.warm_up,
        command: format!(
            "waypoint-bench load --service {} --connections {} --streams {} --duration {}{rate}",
            args.service, args.connections, args.streams, args.duration
        ),
    }
}

#[cfg(test)]
mod tests;
