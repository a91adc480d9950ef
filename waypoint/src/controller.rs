//! `waypoint controller`: does what the crate `controller` says, with the eyes and hands that `mesh` has in a cluster.
//!
//! `leader` knows whether this one may act, `pass` is one look at everything, `hands` are all writes to the API server, `memory`
//! says what is written already and what must wait, `pages` is readiness and metrics.

mod hands;
mod leader;
mod memory;
mod moment;
mod pages;
mod pass;

use crate::cli::ControllerArgs;
use crate::logging::Logging;
use ::controller::{CONTROLLER_NAME, Settings};
use leader::Leader;
use mesh::{ClusterConfig, ClusterError, ClusterEvents, Observer, Scope};
use pages::Pages;
use pass::{Controller, Names};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use telemetry::ControllerMetrics;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

/// Between two looks at everything, where one takes long.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Why a controller could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Log(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("kubernetes: {0}")]
    Kubernetes(#[from] ClusterError),
    #[error("--env {0:?}: expected NAME=VALUE")]
    Environment(String),
    #[error("--resources: {0}")]
    Resources(String),
    #[error("{listener} listener on {address}: {error}")]
    Bind {
        listener: &'static str,
        address: SocketAddr,
        error: std::io::Error,
    },
}

/// Acts, or waits for its turn, until a signal ends it.
pub fn run(args: ControllerArgs) -> ExitCode {
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waypoint controller: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(args: &ControllerArgs) -> Result<(), StartError> {
    Logging::start(&args.process.log, args.process.log_json).map_err(StartError::Log)?;
    hbone::install_crypto_provider();
    let settings = settings(args)?;
    // One thread renews the Lease while the other reads thousands of objects.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(args, settings))
}

async fn serve(args: &ControllerArgs, settings: Settings) -> Result<(), StartError> {
    let metrics = Arc::new(ControllerMetrics::default());
    let config = ClusterConfig {
        kubeconfigs: args.process.kubeconfig.clone(),
        discovery: Duration::from_secs(args.process.discovery_seconds.max(1)),
        istiod: None,
    };
    let scope = Scope {
        trust_domain: Some(args.trust_domain.clone()),
        root_namespace: args.process.root_namespace.clone(),
        ..Scope::default()
    };
    let events = Arc::new(Watching(Arc::clone(&metrics)));
    let observer = Observer::open(config, scope, &args.cluster_role_binding, events).await?;
    let pages = Pages::new(Arc::clone(&metrics));
    let ready = pages.listen("readiness", args.process.ready).await?;
    let told = pages.listen("metrics", args.process.metrics).await?;
    announce(&[("metrics", told), ("readiness", ready)]);
    let client = observer.client(CONTROLLER_NAME);
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| observer.namespace().to_owned());
    let leader = Leader::new(args, &namespace, client.clone(), Arc::clone(&metrics));
    let names = Names {
        role: args.cluster_role.clone(),
        binding: args.cluster_role_binding.clone(),
    };
    let controller = Controller::new(client, settings, names, Arc::clone(&metrics));
    let mut end = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        () = act(observer, controller, &leader, &pages) => {}
        () = leader.run() => {}
        () = ended(&mut end) => {}
    }
    leader.release().await;
    Ok(())
}

/// Looks whenever something changed, while it is the leader.
async fn act(mut observer: Observer, mut controller: Controller, leader: &Leader, pages: &Pages) {
    let mut again: Option<Instant> = None;
    let mut was_leader = false;
    let mut findings = Vec::new();
    loop {
        tokio::select! {
            () = observer.changed() => {}
            () = leader.changed(was_leader) => {}
            () = until(again) => {}
        }
        observer.catch_up();
        if leader.is_held() != was_leader {
            was_leader = !was_leader;
            // What others wrote meanwhile is not known.
            controller.forget();
        }
        let known = observer.findings();
        for finding in known.iter().filter(|finding| !findings.contains(*finding)) {
            tracing::warn!(target: "waypoint::controller", "{finding}");
        }
        findings = known;
        again = None;
        if !observer.is_whole() {
            continue;
        }
        pages.set_ready();
        if !was_leader {
            continue;
        }
        let began = Instant::now();
        tokio::select! {
            next = controller.pass(&mut observer) => again = next,
            () = leader.changed(true) => {}
        }
        // A third of a core at most, however much changes.
        let rest = Instant::now() + (began.elapsed() * 2).min(LONGEST_REST);
        if took_in(&mut observer, rest).await {
            again = Some(rest);
        }
    }
}

/// Takes in what changes until then. True when something has.
async fn took_in(observer: &mut Observer, end: Instant) -> bool {
    let mut has_changed = false;
    while Instant::now() < end {
        tokio::select! {
            () = sleep_until(end) => {}
            () = observer.changed() => has_changed = true,
        }
    }
    has_changed
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn ended((terminate, interrupt): &mut (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn announce(listeners: &[(&str, SocketAddr)]) {
    let mut out = std::io::stdout().lock();
    for (name, address) in listeners {
        // Nobody may be reading: the process works all the same.
        let _ = writeln!(out, "{name} listening on {address}");
    }
    let _ = out.flush();
}

fn settings(args: &ControllerArgs) -> Result<Settings, StartError> {
    let defaults = Settings::default();
    let resources = match &args.resources {
        None => defaults.resources,
        Some(text) => match mesh::one_document(text) {
            Ok(value) if value.is_object() => value,
            Ok(_) => return Err(StartError::Resources("expected requests and limits".to_owned())),
            Err(why) => return Err(StartError::Resources(why)),
        },
    };
    let pairs = args.env.iter().filter(|line| !line.trim().is_empty()).map(|line| {
        let pair = line.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        pair.map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
            .ok_or_else(|| StartError::Environment(line.clone()))
    });
    let mut env = pairs.collect::<Result<Vec<_>, _>>()?;
    if args.process.root_namespace != Scope::default().root_namespace {
        env.push((
            "WAYPOINT_ROOT_NAMESPACE".to_owned(),
            args.process.root_namespace.clone(),
        ));
    }
    Ok(Settings {
        image: args.image.clone().unwrap_or(defaults.image),
        image_pull_policy: args.image_pull_policy.clone(),
        ca_address: args.ca_address.clone().unwrap_or(defaults.ca_address),
        trust_domain: args.trust_domain.clone(),
        cluster_domain: args.cluster_domain.clone(),
        cluster_id: args.cluster_id.clone(),
        root_config_map: args.root_config_map.clone(),
        resources,
        env,
        termination_grace_seconds: args.termination_grace,
    })
}

/// What watches tell, as metrics.
struct Watching(Arc<ControllerMetrics>);

impl ClusterEvents for Watching {
    fn synced(&self, kind: &'static str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.synced(kind, now.as_secs());
    }

    fn failed(&self, kind: &'static str, why: &'static str) {
        self.0.watch_error(kind, why);
    }

    fn watches(&self, all: usize, failing: usize) {
        self.0.watches.set(number(all));
        self.0.watches_failing.set(number(failing));
    }

    fn objects(&self, count: usize) {
        self.0.objects.set(number(count));
    }
}

/// A count as gauges have it.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
