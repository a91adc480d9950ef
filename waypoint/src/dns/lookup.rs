//! Asking the resolver: the system's servers, or one by flag.

use super::DnsConfig;
use super::answer::Failure;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// One try of one server.
const TRY: Duration = Duration::from_secs(2);
/// Tries of a lookup.
const TRIES: usize = 2;

/// Looks names up.
#[async_trait]
pub(super) trait Lookup: Send + Sync + 'static {
    /// All addresses of a name, and for how long they hold.
    async fn lookup(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), Failure>;
}

/// The resolver; or why there is none, which every lookup then tells.
pub(super) struct System(Result<TokioResolver, String>);

impl System {
    pub(super) fn new(config: &DnsConfig) -> Self {
        Self(resolver(config.server).map_err(|error| format!("the resolver's configuration: {error}")))
    }
}

#[async_trait]
impl Lookup for System {
    async fn lookup(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), Failure> {
        let resolver = self.0.as_ref().map_err(|why| Failure::Unknown(why.clone()))?;
        // A name with a dot is whole: search domains would send it elsewhere.
        let whole = if name.contains('.') {
            format!("{name}.")
        } else {
            name.to_owned()
        };
        let found = resolver.lookup_ip(whole.as_str()).await.map_err(|error| {
            if error.is_no_records_found() {
                Failure::Nothing
            } else {
                Failure::Unknown(error.to_string())
            }
        })?;
        let lasts = found.valid_until().saturating_duration_since(Instant::now());
        Ok((found.iter().collect(), lasts))
    }
}

/// Nothing is cached in it: answers are kept, with their bounds, where they are used.
fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let (config, mut options) = match server {
        Some(server) => (
            ResolverConfig::from_name_servers(vec![only(server)]),
            ResolverOpts::default(),
        ),
        None => hickory_resolver::system_conf::read_system_conf()?,
    };
    options.cache_size = 0;
    options.timeout = TRY;
    options.attempts = TRIES;
    // Envoy's choice in Istio: a pod without IPv6 could not reach what only has that.
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

fn only(server: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    NameServerConfig::new(server.ip(), true, connections)
}
