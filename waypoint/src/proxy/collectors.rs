//! The way to collectors of telemetry. One that is a Service of the config is reached as backends are, through HBONE where
//! it speaks that; any other by its name, as the system resolves it. TLS, where it is asked for, is `hbone`'s.

use super::clock::Clock;
use super::connect::{Connector, Lane};
use arc_swap::ArcSwap;
use hbone::{Alpn, OriginationConfig, Originator, Roots};
use mesh::Snapshot;
use rand::Rng;
use routing::{Ask, Cluster};
use std::io;
use std::sync::{Arc, OnceLock};
use telemetry::{CollectorAddress, Dial, Dialling, Wire};
use tokio::net::TcpStream;

/// Dials them.
#[derive(Debug)]
pub(crate) struct Collectors {
    connector: Arc<Connector>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    /// Who vouches for collectors, PEM; `None`: the system's authorities.
    roots: Option<Vec<u8>>,
    /// Made when it is first needed.
    tls: OnceLock<Result<Originator, String>>,
}

impl Collectors {
    pub(crate) fn new(
        connector: Arc<Connector>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        clock: Clock,
        roots: Option<Vec<u8>>,
    ) -> Self {
        Self {
            connector,
            snapshot,
            clock,
            roots,
            tls: OnceLock::new(),
        }
    }

    async fn open(&self, to: &CollectorAddress) -> io::Result<Box<dyn Wire>> {
        let service = service(&self.snapshot.load(), to);
        let Some(cluster) = service else {
            let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
            stream.set_nodelay(true)?;
            return Ok(Box::new(stream));
        };
        let ask = Ask {
            random: rand::rng().random(),
            now_ms: self.clock.now_ms(),
            hash: None,
            tried: &[],
        };
        let endpoint = cluster
            .choose(&ask)
            .ok_or_else(|| io::Error::other("no ready endpoint"))?;
        let dialled = self.connector.dial(endpoint, &cluster.policy, &Lane::own()).await;
        let transport = dialled.map_err(|fault| io::Error::other(format!("{fault:?}")))?;
        Ok(Box::new(transport))
    }

    async fn secure(&self, to: &CollectorAddress, stream: Box<dyn Wire>) -> io::Result<Box<dyn Wire>> {
        let built = self.tls.get_or_init(|| {
            let config = OriginationConfig {
                roots: self.roots.as_deref().map_or(Roots::System, Roots::Pem),
                names: Vec::new(),
                identity: None,
                is_verified: true,
            };
            Originator::new(&config).map_err(|error| error.to_string())
        });
        let originator = built.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        let alpn = if to.http2 { Alpn::Http2 } else { Alpn::Http1 };
        let stream = originator.connect(&to.host, alpn, stream).await;
        Ok(Box::new(stream.map_err(|error| io::Error::other(error.to_string()))?))
    }
}

impl Dial for Collectors {
    fn dial(&self, to: CollectorAddress) -> Dialling<'_> {
        Box::pin(async move {
            let stream = self.open(&to).await?;
            if to.tls {
                self.secure(&to, stream).await
            } else {
                Ok(stream)
            }
        })
    }
}

/// The Service of this host and port. Dials are rare: it is looked for among all.
fn service(snapshot: &Snapshot, to: &CollectorAddress) -> Option<Arc<Cluster>> {
    let is_it = |cluster: &Cluster| {
        cluster.subset.is_none() && cluster.port == to.port && cluster.service.host.eq_ignore_ascii_case(&to.host)
    };
    let mut clusters = snapshot.clusters().map(|(_, cluster)| cluster);
    clusters
        .find(|cluster| is_it(cluster) && !cluster.endpoints.is_empty())
        .cloned()
}
