//! `waypoint run`: puts the process together, in the order it can fail.

use crate::cli::RunArgs;
use crate::config_source::{ConfigSource, Watching};
use crate::control::Control;
use crate::discovery::IstiodDiscovery;
use crate::dns::{Dns, DnsConfig};
use crate::http1::Limits;
use crate::jwks::Jwks;
use crate::live::Live;
use crate::logging::Logging;
use crate::own_certs::OwnCerts;
use crate::proxy::{Changes, Clock, Collectors, Connector, Node, OwnIdentity, Sealer, Shares};
use crate::server::{Admin, Bound, BoundService, HboneApp, Metrics, Readiness, Signals};
use arc_swap::ArcSwap;
use hbone::{CertSource, Drain, Pool, PoolConfig, PoolEvents, Server, ServerConfig, ServerEvents};
use http::StatusCode;
use mesh::{Cluster, ClusterConfig, ClusterError, Files, Scope, Snapshot};
use pingora_core::apps::http_app::HttpServer;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::server::{RunArgs as PingoraRun, Server as Pingora};
use pingora_core::services::background::background_service;
use rand::Rng;
use request::SpiffeId;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use telemetry::{AccessLog, Dial, Export, MetricsPush, Sampler, Signal, Spans, SpansConfig, TracerEnvironment};
use tokio::sync::watch;

/// Istio's default share of sampled traces.
const SAMPLING: f64 = 0.01;

/// A shorter session secret could be guessed.
const SECRET_BYTES: usize = 16;

/// Series sets of Istio's metrics at most: one is 60 KB of text in a scrape. Beyond, one overflow set counts.
const SERIES: usize = 2000;

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Log(String),
    #[error("certificates: {0}")]
    Certs(#[from] hbone::CertError),
    #[error("--xds-address: {0}")]
    Istiod(hbone::CertError),
    #[error("config: {0}")]
    Config(std::io::Error),
    #[error("kubernetes: {0}")]
    Kubernetes(#[from] ClusterError),
    #[error("session secret: {0}")]
    Session(String),
    #[error("telemetry: {0}")]
    Telemetry(String),
    #[error("{listener} listener on {address}: {error}")]
    Bind {
        listener: &'static str,
        address: SocketAddr,
        error: std::io::Error,
    },
}

/// Serves until a signal ends it.
pub fn run(args: RunArgs) -> ExitCode {
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waypoint run: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(args: &RunArgs) -> Result<(), StartError> {
    let logging = Logging::start(&args.process.log, args.process.log_json).map_err(StartError::Log)?;
    hbone::install_crypto_provider();
    let metrics = Arc::new(telemetry::Metrics::with_limit(env!("CARGO_PKG_VERSION"), SERIES));
    let istiod = IstiodDiscovery::new(args, &metrics).map_err(StartError::Istiod)?;
    let source = source(args, &metrics, istiod.as_ref())?;
    let certs = OwnCerts::load(args, &trust_domain(args, &source.snapshot().load()))?;
    let node = node(args, metrics, source.snapshot(), certs.source())?;
    let listeners = Listeners::bind(args)?;
    listeners.announce();
    serve(args, node, certs, (source, istiod), listeners, logging);
    Ok(())
}

fn source(
    args: &RunArgs,
    metrics: &Arc<telemetry::Metrics>,
    istiod: Option<&IstiodDiscovery>,
) -> Result<ConfigSource, StartError> {
    let told = istiod.map(|istiod| Arc::clone(&istiod.told));
    if !args.kubernetes {
        let files = Files::load_with(args.config.clone(), scope(args), told).map_err(StartError::Config)?;
        return Ok(ConfigSource::Files(files));
    }
    let config = ClusterConfig {
        kubeconfigs: args.process.kubeconfig.clone(),
        discovery: Duration::from_secs(args.process.discovery_seconds.max(1)),
        istiod: told,
    };
    let events = Arc::new(Watching(Arc::clone(metrics)));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let open = Cluster::open(config, scope(args), events);
    let cluster = runtime.map_err(StartError::Config)?.block_on(open)?;
    tracing::info!(namespace = cluster.namespace(), "configured by the cluster");
    Ok(ConfigSource::Cluster(Box::new(cluster)))
}

/// Of the certificate that a CA is asked for: as the config has it. A cluster's is read later, when there is one already.
fn trust_domain(args: &RunArgs, snapshot: &Snapshot) -> String {
    let read = Some(&snapshot.settings.trust.own).filter(|own| !own.is_empty());
    let known = args.trust_domain.as_ref().or(read);
    known.map_or("cluster.local", String::as_str).to_owned()
}

fn scope(args: &RunArgs) -> Scope {
    Scope {
        namespace: args.namespace.clone(),
        gateway: args.gateway.clone(),
        trust_domain: args.trust_domain.clone(),
        root_namespace: args.process.root_namespace.clone(),
        several_auth_providers: args.several_auth_providers,
        pod: args.pod_name.clone(),
        ip: args.instance_ip.as_deref().and_then(|ip| ip.parse().ok()),
        node: args.node.clone(),
        zone: args.zone.clone(),
        region: args.region.clone(),
        access_log: args.access_log.clone(),
        trace_sampling: args.trace_sampling.map(|share| share.clamp(0.0, 1.0)),
    }
}

fn node(
    args: &RunArgs,
    metrics: Arc<telemetry::Metrics>,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    source: Arc<dyn CertSource>,
) -> Result<Arc<Node>, StartError> {
    let events = Arc::new(Events(Arc::clone(&metrics)));
    let tunnels = Pool::new(PoolConfig::default(), Arc::clone(&source), events);
    let limits = Limits::default();
    let connector = Connector::new(tunnels, limits, Arc::clone(&metrics));
    let clock = Clock::start();
    let dial = Arc::new(Collectors::new(
        Arc::clone(&connector),
        Arc::clone(snapshot),
        clock,
        certificate()?,
    ));
    Ok(Arc::new(Node {
        snapshot: Arc::clone(snapshot),
        changes: Changes::default(),
        clock,
        keys: ArcSwap::default(),
        connector,
        shares: Shares::default(),
        live: Live::default(),
        dns: Dns::new(dns(args)),
        jwks: Jwks::new(),
        spans: spans(args, Arc::clone(&dial) as _, &metrics)?,
        push: push(args, dial, &metrics)?,
        access_log: access_log(&metrics),
        metrics,
        drain: Drain::new(),
        mirrors: Arc::default(),
        early: Arc::default(),
        own: OwnIdentity(source),
        sealer: sealer(args)?,
        limits,
    }))
}

fn dns(args: &RunArgs) -> DnsConfig {
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    DnsConfig {
        server: args.dns,
        loopback: args.dns_loopback.as_deref().map_or(!in_cluster, |said| said == "allow"),
    }
}

/// Without a secret that outlives it, sessions end with the process and no replica knows those of another.
fn sealer(args: &RunArgs) -> Result<Sealer, StartError> {
    let secret = match &args.session_secret {
        Some(path) => std::fs::read(path).map_err(|error| format!("{}: {error}", path.display())),
        None => Ok(rand::rng().random::<[u8; 32]>().to_vec()),
    };
    let secret = secret.map_err(StartError::Session)?;
    if secret.len() < SECRET_BYTES {
        let found = secret.len();
        return Err(StartError::Session(format!(
            "expected at least {SECRET_BYTES} bytes, found {found}"
        )));
    }
    Sealer::new(&secret).ok_or_else(|| StartError::Session("no AES-256-GCM-SIV".to_owned()))
}

/// What OpenTelemetry's variables say.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn spans(args: &RunArgs, dial: Arc<dyn Dial>, metrics: &Arc<telemetry::Metrics>) -> Result<Arc<Spans>, StartError> {
    let export = Export::from_env(Signal::Traces, &variable).map_err(StartError::Telemetry)?;
    let environment = TracerEnvironment::read(&variable).map_err(StartError::Telemetry)?;
    let told = |text: &Option<String>| text.clone().unwrap_or_default();
    let namespace = told(&args.namespace);
    // The flag is in every plan already.
    let sampler = environment.sampler.unwrap_or(Sampler {
        share: SAMPLING,
        parent_based: true,
    });
    let config = SpansConfig {
        export,
        sampling: sampler.share,
        parent_based: sampler.parent_based,
        propagation: environment.propagation,
        node_id: format!(
            "waypoint~{}~{}.{namespace}~{namespace}.svc.cluster.local",
            told(&args.instance_ip),
            args.pod_name
                .as_deref()
                .or(args.gateway.as_deref())
                .unwrap_or("waypoint"),
        ),
        service_name: environment.service_name.unwrap_or_else(|| service_name(args)),
        resource: environment.resource,
        batch: environment.batch,
        cluster: args.cluster.clone(),
    };
    Ok(Spans::new(config, dial, Arc::clone(metrics)))
}

/// `OTEL_EXPORTER_OTLP_CERTIFICATE`: who vouches for collectors, instead of the system's authorities.
fn certificate() -> Result<Option<Vec<u8>>, StartError> {
    let name = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    let Some(path) = variable(name).filter(|path| !path.trim().is_empty()) else {
        return Ok(None);
    };
    let read = std::fs::read(path.trim()).map(Some);
    read.map_err(|error| StartError::Telemetry(format!("{name}: {path}: {error}")))
}

fn service_name(args: &RunArgs) -> String {
    let namespace = args.namespace.as_deref().unwrap_or_default();
    format!("{}.{namespace}", args.gateway.as_deref().unwrap_or("waypoint"))
}

fn push(
    args: &RunArgs,
    dial: Arc<dyn Dial>,
    metrics: &Arc<telemetry::Metrics>,
) -> Result<Option<MetricsPush>, StartError> {
    let environment = TracerEnvironment::read(&variable).map_err(StartError::Telemetry)?;
    let name = environment.service_name.unwrap_or_else(|| service_name(args));
    let mut resource = vec![("service.name".to_owned(), name)];
    if let Some(pod) = &args.pod_name {
        resource.push(("service.instance.id".to_owned(), pod.clone()));
    }
    resource.extend(environment.resource);
    MetricsPush::from_env(&variable, resource, dial, Arc::clone(metrics)).map_err(StartError::Telemetry)
}

fn access_log(metrics: &telemetry::Metrics) -> AccessLog {
    let dropped = metrics.own.access_log_dropped.clone();
    AccessLog::counted(Box::new(std::io::stdout()), dropped)
}

struct Listeners {
    hbone: Bound,
    admin: Bound,
    metrics: Bound,
    ready: Bound,
}

impl Listeners {
    fn bind(args: &RunArgs) -> Result<Self, StartError> {
        let bind = |listener, address: SocketAddr| {
            // Port 0 names no listener that could be handed over.
            if args.upgrade && address.port() != 0 {
                return Ok(Bound::inherit(address));
            }
            Bound::bind(address).map_err(|error| StartError::Bind {
                listener,
                address,
                error,
            })
        };
        Ok(Self {
            hbone: bind("hbone", args.hbone)?,
            admin: bind("admin", args.admin)?,
            metrics: bind("metrics", args.process.metrics)?,
            ready: bind("readiness", args.process.ready)?,
        })
    }

    fn addresses(&self) -> [(&'static str, SocketAddr); 4] {
        [
            ("hbone", self.hbone.address()),
            ("admin", self.admin.address()),
            ("metrics", self.metrics.address()),
            ("readiness", self.ready.address()),
        ]
    }

    fn announce(&self) {
        let mut out = std::io::stdout().lock();
        for (name, address) in self.addresses() {
            // Nobody may be reading: the process serves all the same.
            let _ = writeln!(out, "{name} listening on {address}");
        }
        let _ = out.flush();
    }
}

fn serve(
    args: &RunArgs,
    node: Arc<Node>,
    certs: OwnCerts,
    (source, istiod): (ConfigSource, Option<IstiodDiscovery>),
    listeners: Listeners,
    logging: Logging,
) {
    let workers = args
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
        .max(1);
    let (stop_hbone, no_hbone) = watch::channel(false);
    let (stop_others, stop) = watch::channel(false);
    let ready = Arc::new(AtomicBool::new(false));
    let addresses = listeners.addresses();
    let mut server = Pingora::new_with_opt_and_conf(options(args), configuration(args, workers));
    server.bootstrap();
    let events = Arc::new(Events(Arc::clone(&node.metrics)));
    let hbone = Server::new(server_config(args), certs.source(), trusts(&node.snapshot), events);
    let app = HboneApp {
        server: hbone,
        node: Arc::clone(&node),
    };
    server.add_service(BoundService::unbuffered(
        "hbone",
        app,
        listeners.hbone,
        workers,
        no_hbone,
    ));
    let admin = Admin {
        node: Arc::clone(&node),
        logging,
        listeners: addresses,
    };
    server.add_service(BoundService::new("admin", admin, listeners.admin, 1, stop.clone()));
    let metrics = Metrics::new(Arc::clone(&node));
    server.add_service(BoundService::new(
        "metrics",
        metrics,
        listeners.metrics,
        1,
        stop.clone(),
    ));
    let readiness = HttpServer::new_app(Readiness {
        node: Arc::clone(&node),
        ready: Arc::clone(&ready),
    });
    server.add_service(BoundService::new("readiness", readiness, listeners.ready, 1, stop));
    let (ended, last_words) = watch::channel(false);
    let control = Control::new(Arc::clone(&node), certs, (source, istiod), ready, last_words);
    let mut control = background_service("control", control);
    control.threads = Some(1);
    server.add_service(control);
    let grace = Duration::from_secs(args.drain_grace);
    let signals = Signals {
        drain: node.drain.clone(),
        grace,
        stop_hbone,
        stop_others,
        ended,
    };
    server.run(PingoraRun {
        shutdown_signal: Box::new(signals),
    });
}

fn options(args: &RunArgs) -> Opt {
    Opt {
        upgrade: args.upgrade,
        ..Opt::default()
    }
}

fn configuration(args: &RunArgs, workers: usize) -> ServerConf {
    ServerConf {
        threads: workers,
        // One worker needs nobody to steal from: a plain loop wakes up less.
        work_stealing: workers > 1,
        upgrade_sock: args.upgrade_sock.to_string_lossy().into_owned(),
        // Only the hand-over reaches these sleeps, and its drain ends the process before them.
        grace_period_seconds: Some(args.drain_grace.saturating_add(10)),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn server_config(args: &RunArgs) -> ServerConfig {
    ServerConfig {
        max_streams: args.max_streams.max(100),
        max_age: (args.max_connection_age > 0).then(|| Duration::from_secs(args.max_connection_age)),
        ..ServerConfig::default()
    }
}

/// The mesh's own trust domain and its aliases, as the config in force has them.
fn trusts(snapshot: &Arc<ArcSwap<Snapshot>>) -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
    let snapshot = Arc::clone(snapshot);
    Arc::new(move |domain| {
        let snapshot = snapshot.load();
        let trust = &snapshot.settings.trust;
        trust.own == domain || trust.aliases.iter().any(|alias| alias == domain)
    })
}

/// `hbone`'s hooks, as metrics.
struct Events(Arc<telemetry::Metrics>);

impl ServerEvents for Events {
    fn handshake(&self, result: &'static str) {
        self.0.own.handshake(result);
    }

    fn connections(&self, delta: i64) {
        self.0.own.connections.inc_by(delta);
    }

    fn refused(&self, status: StatusCode, _identity: &SpiffeId, _peer: SocketAddr) {
        self.0.own.connect_refusal(match status {
            StatusCode::METHOD_NOT_ALLOWED => "method",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "headers_too_large",
            _ => "authority",
        });
    }
}

impl PoolEvents for Events {
    fn dialled(&self, result: &'static str) {
        self.0.own.dial(result);
    }

    fn connections(&self, delta: i64) {
        self.0.own.upstream_connections.inc_by(delta);
    }
}
