//! The command line: a contract that users and scripts rely on. Every flag has an environment variable; Istio's own
//! names are honoured.

mod process;

pub use process::ProcessArgs;

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Waypoint: an Envoy-free layer-7 waypoint proxy for Istio ambient mode.
#[derive(Debug, Parser)]
#[command(name = "waypoint", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: HBONE in, routing and policy, HBONE out.
    #[command(after_help = "EXAMPLES:\n  \
        waypoint run --config config-examples/canary --certs certs --namespace demo --gateway waypoint\n  \
        waypoint run --config a --config b --certs certs --hbone 127.0.0.1:0    # any free port, printed\n  \
        waypoint run --kubernetes --gateway waypoint                 # in a pod: its service account, its namespace\n  \
        waypoint run --kubernetes --gateway waypoint --xds-address istiod.istio-system.svc:15012\n  \
        waypoint run --kubernetes --kubeconfig ~/.kube/config --namespace demo --gateway waypoint --certs certs\n  \
        kill -TERM PID     drain and leave as soon as nothing is in flight\n  \
        waypoint run --upgrade ... & kill -QUIT OLD_PID     replace the binary without a refused connection")]
    Run(Box<RunArgs>),
    /// Read manifests and say what is wrong with them, like a compiler. No network.
    #[command(after_help = "EXAMPLES:\n  waypoint check config-examples/canary\n  \
        waypoint check deploy routes --format json\n\nExits 0 without errors, 1 with, 2 when a folder cannot be read.")]
    Check(CheckArgs),
    /// What would become of a request, and why: each rule and policy, and what it lacked. No network, or a running one.
    #[command(
        override_usage = "waypoint explain [OPTIONS] --from <NS/SA> <DIR>... <REQUEST>\n       \
            waypoint explain [OPTIONS] --from <NS/SA> --live <ADDR> <REQUEST>",
        after_help = "EXAMPLES:\n  \
        waypoint explain config-examples/deny 'http://reviews:9080/admin/x' --from demo/curl\n  \
        waypoint explain DIR 'POST http://reviews/x' --from demo/curl --header 'x-user: tester'\n  \
        waypoint explain DIR http://reviews.demo/ --from demo/curl --jwt FILE --format json\n  \
        waypoint explain DIR tls://db.demo:5432 --from demo/curl        # a connection\n  \
        waypoint explain --live 127.0.0.1:15000 'DELETE http://10.96.0.10/x' --from shop/cart\n\n\
        Nothing is sent and nobody is asked: names in DNS and external authorisers are only told of.\n\
        Exits 0 when some backend or filter would answer, 1 when the waypoint would refuse, 2 when that cannot be told."
    )]
    Explain(ExplainArgs),
    /// Finished requests of a running waypoint as they come, one line each.
    #[command(after_help = "EXAMPLES:\n  \
        waypoint tap                                     # everything, of the waypoint on this machine\n  \
        waypoint tap --status 5xx --service reviews.demo --limit 20\n  \
        waypoint tap --source demo/curl --path /api --min-ms 100 --format json\n  \
        kubectl port-forward deploy/waypoint 15000 & waypoint tap --sample 0.01\n\n\
        What comes faster than it is read is dropped, and told. No header, query or token is shown.\n\
        Exits 0 after --limit lines, 2 when there is no waypoint to ask.")]
    Tap(TapArgs),
    /// Rates, shares, latencies, errors and denials of a running waypoint, by rule and backend.
    #[command(after_help = "EXAMPLES:\n  \
        waypoint top                                     # the waypoint on this machine, every second, until Ctrl-C\n  \
        waypoint top --once --interval 5                 # one table, of five seconds\n\n\
        Rates, shares and percentiles are those between two looks; totals and errors since the start.\n\
        Exits 2 when there is no waypoint to ask.")]
    Top(TopArgs),
    /// Look after the Gateways of a cluster: make a waypoint for each of class `waypoint`, and write what routes and policies say of themselves.
    #[command(after_help = "EXAMPLES:\n  \
        waypoint controller                              # in a pod: its service account, its namespace for the Lease\n  \
        waypoint controller --kubeconfig ~/.kube/config --namespace waypoint-system --image registry/waypoint:0.1.0\n  \
        waypoint controller --env OTEL_EXPORTER_OTLP_ENDPOINT=http://otel.telemetry:4317 --resources '{requests: {cpu: 200m}}'\n\n\
        Several may run: the holder of the Lease acts, the others wait. kill -TERM gives the Lease back at once.")]
    Controller(Box<ControllerArgs>),
    /// A whole mesh on this machine: CA, tunnels, two versions of a service, a canary that moves.
    #[command(
        after_help = "EXAMPLES:\n  waypoint demo\n  waypoint demo --keep     # leave it running, and try the curl lines"
    )]
    Demo(DemoArgs),
}

/// `waypoint run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// A folder of manifests (*.yaml, *.yml), watched. Repeatable.
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "kubernetes",
        conflicts_with = "kubernetes",
        env = "WAYPOINT_CONFIG",
        value_delimiter = ':'
    )]
    pub config: Vec<PathBuf>,
    /// Watch the objects of a cluster instead of files: as the service account of this pod, or by --kubeconfig.
    #[arg(long, env = "WAYPOINT_KUBERNETES")]
    pub kubernetes: bool,
    /// The folder with root-cert.pem, cert-chain.pem and key.pem, and CRLs in crl.pem or ca-crl.pem, if any; re-read when
    /// they change. One of --certs, --workload-api and --ca-address at most; without them: SPIFFE_ENDPOINT_SOCKET, then
    /// Istio's WORKLOAD_IDENTITY_SOCKET_FILE, then files in /var/run/secrets/workload-spiffe-credentials, then CA_ADDR.
    #[arg(long, value_name = "DIR", env = "WAYPOINT_CERTS", conflicts_with_all = ["workload_api", "ca_address"])]
    pub certs: Option<PathBuf>,
    /// The socket of a SPIFFE agent to get certificates from instead, for example unix:/run/spire/agent.sock.
    #[arg(
        long,
        value_name = "ADDR",
        env = "WAYPOINT_WORKLOAD_API",
        conflicts_with = "ca_address"
    )]
    pub workload_api: Option<String>,
    /// A CA that speaks Istio's protocol (istiod, istio-csr) to get certificates from instead, for example
    /// istiod.istio-system.svc:15012. The key never leaves this process. Needs --namespace and a
    /// service account; with --kubernetes also --trust-domain, where that is not cluster.local.
    #[arg(long, value_name = "HOST:PORT", env = "WAYPOINT_CA_ADDRESS")]
    pub ca_address: Option<String>,
    /// Authorities for the server certificate of that CA, PEM; read at each call.
    #[arg(
        long,
        value_name = "FILE",
        env = "WAYPOINT_CA_ROOT",
        default_value = "/var/run/secrets/istio/root-cert.pem"
    )]
    pub ca_root: PathBuf,
    /// The token that proves to that CA who we are; read at each call.
    #[arg(
        long,
        value_name = "FILE",
        env = "WAYPOINT_CA_TOKEN",
        default_value = "/var/run/secrets/tokens/istio-token"
    )]
    pub ca_token: PathBuf,
    /// istiod, to learn Services and workloads from (delta xDS of istio.workload.Address) in place of Services,
    /// EndpointSlices, Pods and WorkloadEntries of the config, for example istiod.istio-system.svc:15012. Routes and
    /// policies still come from there. With --config, --trust-domain is needed where that is not cluster.local.
    #[arg(long, value_name = "HOST:PORT", env = "XDS_ADDRESS")]
    pub xds_address: Option<String>,
    /// Authorities for istiod's certificate, PEM, read at each connection; else --ca-root.
    #[arg(long, value_name = "FILE", env = "WAYPOINT_XDS_ROOT")]
    pub xds_root: Option<PathBuf>,
    /// The token that proves to istiod who we are, read at each connection; else --ca-token.
    #[arg(long, value_name = "FILE", env = "WAYPOINT_XDS_TOKEN")]
    pub xds_token: Option<PathBuf>,
    /// The network this waypoint is on, as istiod names it; without, the default one.
    #[arg(long, value_name = "NAME", env = "ISTIO_META_NETWORK", default_value = "")]
    pub network: String,
    /// The service account to ask that CA a certificate for; else the Gateway's name, as Istio names it.
    #[arg(long, value_name = "NAME", env = "SERVICE_ACCOUNT")]
    pub service_account: Option<String>,
    /// HBONE listener. Port 0: any free port, printed at start.
    #[arg(long, value_name = "ADDR", env = "WAYPOINT_HBONE", default_value = "[::]:15008")]
    pub hbone: SocketAddr,
    /// Admin listener: config dump, log filter.
    #[arg(long, value_name = "ADDR", env = "WAYPOINT_ADMIN", default_value = "127.0.0.1:15000")]
    pub admin: SocketAddr,
    /// Namespace of the Gateway this waypoint is.
    #[arg(long, value_name = "NS", env = "POD_NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the Gateway this waypoint is.
    #[arg(long, value_name = "NAME", env = "WAYPOINT_GATEWAY")]
    pub gateway: Option<String>,
    /// Trust domain; else MeshConfig's, else cluster.local.
    #[arg(long, value_name = "TD", env = "TRUST_DOMAIN")]
    pub trust_domain: Option<String>,
    /// The node this waypoint runs on, for locality; else its Pod's (POD_NAME or INSTANCE_IP).
    #[arg(long, value_name = "NODE", env = "ISTIO_META_NODE_NAME")]
    pub node: Option<String>,
    /// The zone it runs in; else its Pod's, else its Node's.
    #[arg(long, value_name = "ZONE", env = "WAYPOINT_ZONE")]
    pub zone: Option<String>,
    /// The region it runs in; else its Pod's, else its Node's.
    #[arg(long, value_name = "REGION", env = "WAYPOINT_REGION")]
    pub region: Option<String>,
    /// Worker threads; else one for each core.
    #[arg(long, value_name = "N", env = "WAYPOINT_WORKERS")]
    pub workers: Option<usize>,
    /// Streams at once on one HBONE connection; never below 100, which ztunnel assumes.
    #[arg(long, value_name = "N", env = "WAYPOINT_MAX_STREAMS", default_value_t = 100)]
    pub max_streams: u32,
    /// Seconds after which an HBONE connection is told to leave (two-step GOAWAY), give or take 10 %, so that connections
    /// spread over replicas. Nothing is cut: requests finish, HTTP/1.1 inside is closed after the next answer, HTTP/2
    /// by GOAWAY, bytes stay. 0: never.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "WAYPOINT_MAX_CONNECTION_AGE",
        default_value_t = 3600
    )]
    pub max_connection_age: u64,
    /// DNS server for the names of ServiceEntries; else those of the system's configuration.
    #[arg(long, value_name = "ADDR", env = "WAYPOINT_DNS")]
    pub dns: Option<SocketAddr>,
    /// Whether an answer may lead to this very machine; else only outside a cluster.
    #[arg(long, value_name = "WHETHER", env = "WAYPOINT_DNS_LOOPBACK", value_parser = ["allow", "refuse"])]
    pub dns_loopback: Option<String>,
    /// Seconds that a drain lasts at most.
    #[arg(long, value_name = "SECONDS", env = "WAYPOINT_DRAIN_GRACE", default_value_t = 30)]
    pub drain_grace: u64,
    /// Take the listeners over from a running waypoint that gets SIGQUIT.
    #[arg(long)]
    pub upgrade: bool,
    /// The socket the descriptors travel through; the same for both processes.
    #[arg(
        long,
        value_name = "PATH",
        env = "WAYPOINT_UPGRADE_SOCK",
        default_value = "/tmp/waypoint-upgrade.sock"
    )]
    pub upgrade_sock: PathBuf,
    /// Access log to standard output: text (Istio's format) or json. MeshConfig's accessLogFile also turns it on.
    #[arg(long, value_name = "FORMAT", env = "WAYPOINT_ACCESS_LOG", value_parser = ["text", "json"])]
    pub access_log: Option<String>,
    /// Share of new traces that are sampled, 0.0 to 1.0; else MeshConfig's, else 0.01. Spans leave when
    /// OTEL_EXPORTER_OTLP_ENDPOINT is set.
    #[arg(long, value_name = "SHARE", env = "WAYPOINT_TRACE_SAMPLING")]
    pub trace_sampling: Option<f64>,
    /// A file with a secret of at least 16 bytes, the same for all replicas: session persistence then outlives a restart
    /// and holds whichever replica serves. Without it, sessions are this process's.
    #[arg(long, value_name = "FILE", env = "WAYPOINT_SESSION_SECRET")]
    pub session_secret: Option<PathBuf>,
    /// CUSTOM policies of one Service may ask several providers (Istio's istiod has the same variable).
    #[arg(long, env = "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", hide = true, value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub several_auth_providers: bool,
    /// Pod name, for telemetry and locality.
    #[arg(long, env = "POD_NAME", hide = true)]
    pub pod_name: Option<String>,
    /// Pod IP, for telemetry and locality.
    #[arg(long, env = "INSTANCE_IP", hide = true)]
    pub instance_ip: Option<String>,
    /// SPIFFE's own name for --workload-api.
    #[arg(long, env = "SPIFFE_ENDPOINT_SOCKET", hide = true)]
    pub spiffe_socket: Option<String>,
    /// Istio's: a name in /var/run/secrets/workload-spiffe-uds.
    #[arg(long, env = "WORKLOAD_IDENTITY_SOCKET_FILE", hide = true)]
    pub istio_socket: Option<PathBuf>,
    /// Istio's own name for --ca-address; empty is none.
    #[arg(long, env = "CA_ADDR", hide = true)]
    pub istio_ca: Option<String>,
    /// Cluster id, for telemetry and the CA.
    #[arg(long, env = "ISTIO_META_CLUSTER_ID", hide = true, default_value = "Kubernetes")]
    pub cluster: String,
    /// What every process of ours has.
    #[command(flatten)]
    pub process: ProcessArgs,
}

/// `waypoint check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Folders of manifests.
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// How findings are printed.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
    /// Namespace of the Gateway; else every waypoint Gateway found counts.
    #[arg(long, value_name = "NS")]
    pub namespace: Option<String>,
    /// Name of the Gateway; else every waypoint Gateway found counts.
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<String>,
    /// CUSTOM policies of one Service may ask several providers (Istio's istiod has the same variable).
    #[arg(long, env = "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", hide = true, value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub several_auth_providers: bool,
}

/// `waypoint explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Folders of manifests (not with --live), then the request: 'GET http://reviews:9080/x'. GET may be left out. The
    /// host is a Service as the client would name it (reviews, reviews.ns, a full name), its address, or a pod's.
    /// tls://host:port and tcp://host:port are connections.
    #[arg(value_name = "DIR... REQUEST", required = true)]
    pub words: Vec<String>,
    /// Who asks: namespace/serviceAccount, or a SPIFFE id.
    #[arg(long, value_name = "NS/SA")]
    pub from: String,
    /// A running waypoint's admin port, in place of manifests.
    #[arg(long, value_name = "ADDR")]
    pub live: Option<SocketAddr>,
    /// A header, name:value. Repeatable. `host` goes before the URL's; it does not choose the Service.
    #[arg(long, value_name = "NAME:VALUE")]
    pub header: Vec<String>,
    /// A file with a token, sent as authorization: Bearer. It is never printed.
    #[arg(long, value_name = "FILE")]
    pub jwt: Option<PathBuf>,
    /// A file with the JWKS that a running waypoint would fetch.
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    pub jwks: Option<PathBuf>,
    /// The client's address; else that of a pod with its identity.
    #[arg(long, value_name = "IP")]
    pub source_ip: Option<std::net::IpAddr>,
    /// How it is printed.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
    /// Namespace of the Gateway; else every waypoint Gateway found counts.
    #[arg(long, value_name = "NS", conflicts_with = "live")]
    pub namespace: Option<String>,
    /// Name of the Gateway; else every waypoint Gateway found counts.
    #[arg(long, value_name = "NAME", conflicts_with = "live")]
    pub gateway: Option<String>,
    /// Trust domain; else MeshConfig's, else cluster.local.
    #[arg(long, value_name = "TD", conflicts_with = "live")]
    pub trust_domain: Option<String>,
    /// CUSTOM policies of one Service may ask several providers (Istio's istiod has the same variable).
    #[arg(long, env = "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", hide = true, value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub several_auth_providers: bool,
}

/// `waypoint tap`.
#[derive(Clone, Debug, Args)]
pub struct TapArgs {
    /// The admin port of the waypoint.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000")]
    pub live: SocketAddr,
    /// Only of this Service: reviews, reviews.ns, or its full name.
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only by routes whose name has this in it: demo/reviews, or canary.
    #[arg(long, value_name = "TEXT")]
    pub route: Option<String>,
    /// Only with this status: 404, or 5xx.
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only with this response flag: UH, UF, NR, ..
    #[arg(long, value_name = "FLAG")]
    pub flag: Option<String>,
    /// Only with this method.
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// Only from this client: namespace/serviceAccount, a namespace, or a workload.
    #[arg(long, value_name = "CLIENT")]
    pub source: Option<String>,
    /// Only where the normalised path begins with this.
    #[arg(long, value_name = "PREFIX")]
    pub path: Option<String>,
    /// Only what took at least so many milliseconds.
    #[arg(long, value_name = "MS")]
    pub min_ms: Option<f64>,
    /// A share of what passes the other filters: 0.01 is one of a hundred.
    #[arg(long, value_name = "SHARE")]
    pub sample: Option<f64>,
    /// Ends after so many.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// How they are printed.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
}

/// `waypoint top`.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// The admin port of the waypoint.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000")]
    pub live: SocketAddr,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub interval: f64,
    /// One table, and that is all.
    #[arg(long)]
    pub once: bool,
}

/// `waypoint controller`.
#[derive(Clone, Debug, Args)]
pub struct ControllerArgs {
    /// Namespace of the Lease; else that of the service account.
    #[arg(long, value_name = "NS", env = "POD_NAMESPACE")]
    pub namespace: Option<String>,
    /// Who this one is in the Lease; else the host's name and the process id.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,
    /// Name of the Lease.
    #[arg(
        long,
        value_name = "NAME",
        env = "WAYPOINT_LEASE",
        default_value = "waypoint-controller"
    )]
    pub lease: String,
    /// How long the Lease lasts without a renewal, in seconds. It is renewed three times as often; whoever cannot, stops
    /// after two thirds of it, and another takes over after all of it.
    #[arg(long, value_name = "SECONDS", env = "WAYPOINT_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_seconds: u64,
    /// The ClusterRole that waypoints read the cluster by.
    #[arg(long, value_name = "NAME", env = "WAYPOINT_CLUSTER_ROLE", default_value = "waypoint")]
    pub cluster_role: String,
    /// The ClusterRoleBinding whose subjects are kept to be the waypoints' service accounts; it must exist.
    #[arg(
        long,
        value_name = "NAME",
        env = "WAYPOINT_CLUSTER_ROLE_BINDING",
        default_value = "waypoint"
    )]
    pub cluster_role_binding: String,
    /// Image of the waypoints; else waypoint:<this version>.
    #[arg(long, value_name = "IMAGE", env = "WAYPOINT_IMAGE")]
    pub image: Option<String>,
    /// imagePullPolicy of the waypoints; else the cluster's default.
    #[arg(long, value_name = "POLICY", env = "WAYPOINT_IMAGE_PULL_POLICY", default_value = "")]
    pub image_pull_policy: String,
    /// The CA of the waypoints; else istiod.istio-system.svc:15012.
    #[arg(long, value_name = "HOST:PORT", env = "WAYPOINT_CA_ADDRESS")]
    pub ca_address: Option<String>,
    /// The mesh's trust domain.
    #[arg(long, value_name = "TD", env = "TRUST_DOMAIN", default_value = "cluster.local")]
    pub trust_domain: String,
    /// The cluster's DNS domain.
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "WAYPOINT_CLUSTER_DOMAIN",
        default_value = "cluster.local"
    )]
    pub cluster_domain: String,
    /// The cluster's id in telemetry.
    #[arg(long, value_name = "ID", env = "ISTIO_META_CLUSTER_ID", default_value = "Kubernetes")]
    pub cluster_id: String,
    /// The ConfigMap with the mesh's root certificate, in every namespace.
    #[arg(
        long,
        value_name = "NAME",
        env = "WAYPOINT_ROOT_CONFIG_MAP",
        default_value = "istio-ca-root-cert"
    )]
    pub root_config_map: String,
    /// `resources` of the waypoints' container, as JSON or YAML; else 100m and 64Mi, at most 512Mi.
    #[arg(long, value_name = "JSON", env = "WAYPOINT_RESOURCES")]
    pub resources: Option<String>,
    /// More environment of the waypoints. Repeatable; in the variable, one a line.
    #[arg(long, value_name = "NAME=VALUE", env = "WAYPOINT_PROXY_ENV", value_delimiter = '\n')]
    pub env: Vec<String>,
    /// Seconds between SIGTERM and SIGKILL of a waypoint: longer than its --drain-grace.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "WAYPOINT_TERMINATION_GRACE",
        default_value_t = 45
    )]
    pub termination_grace: u32,
    /// What every process of ours has.
    #[command(flatten)]
    pub process: ProcessArgs,
}

/// `waypoint demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Leave the mesh running after the tour, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
    /// Local address of the client tunnel, for curl. Port 0: any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18080")]
    pub listen: SocketAddr,
    /// Seconds of traffic for each step of the canary.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub step_seconds: u64,
}
