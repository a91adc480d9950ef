//! Bytes: a port that is declared TCP, or where nothing else was found.

use super::forward::Serving;
use super::transport::Transport;
use super::tunnel::Tunnel;
use super::upgrade::Primed;
use authz::Verdict;
use hbone::TunnelStream;
use mesh::ServicePort;
use rand::Rng;
use routing::{Cluster, Endpoint};
use std::net::SocketAddr;
use std::sync::Arc;
use telemetry::TcpOutcome;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// Endpoints tried before a connection is given up.
const ATTEMPTS: usize = 3;

/// What a connection came to.
struct End {
    endpoint: Option<Arc<Endpoint>>,
    flags: &'static str,
    /// Cut before both sides had ended.
    broken: bool,
    received: u64,
    sent: u64,
}

/// Carries one connection.
pub(crate) async fn serve(tunnel: &Tunnel, mut stream: Primed<TunnelStream>) {
    let mut end = carry(tunnel, &mut stream).await;
    if end.broken {
        stream.cut();
    } else {
        // A denied or unreachable client sees the end at once.
        let _ = stream.shutdown().await;
    }
    (end.received, end.sent) = (stream.read(), stream.written());
    tunnel.node.metrics.tcp_closed(&outcome(tunnel, &end));
}

async fn carry(tunnel: &Tunnel, stream: &mut Primed<TunnelStream>) -> End {
    let mut end = End {
        endpoint: None,
        flags: "-",
        broken: false,
        received: 0,
        sent: 0,
    };
    let changes = tunnel.node.changes.subscribe();
    let reached = begin(tunnel).await;
    let (endpoint, mut upstream) = match reached {
        Ok(reached) => reached,
        Err(flag) => {
            end.flags = flag;
            tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end));
            return end;
        }
    };
    let _counted = Serving::begin(&endpoint);
    end.endpoint = Some(endpoint);
    tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end));
    // Until its end is passed on: a client that breaks off must not look like one that has finished.
    upstream.cut_on_drop(true);
    let cut = tokio::select! {
        copied = tokio::io::copy_bidirectional(stream, &mut upstream) => copied.err().map(|error| {
            tracing::debug!(%error, "TCP connection broke");
            "UC"
        }),
        () = denied_later(tunnel, changes) => Some(refused(tunnel)),
    };
    if let Some(flag) = cut {
        end.flags = flag;
        end.broken = true;
    }
    end
}

/// Judges the connection and opens its other half. The snapshot is let go then: a connection may outlive many.
async fn begin(tunnel: &Tunnel) -> Result<(Arc<Endpoint>, Transport), &'static str> {
    let snapshot = tunnel.node.snapshot.load_full();
    let port = tunnel.port(&snapshot).ok_or("NR")?;
    let cluster = snapshot.endpoints_of(&port.cluster).ok_or("NR")?;
    if is_denied(tunnel, &port) {
        return Err(refused(tunnel));
    }
    reach(tunnel, cluster).await
}

/// Resolves when a change of the config denies the connection: what is open does not outlive a policy against it.
async fn denied_later(tunnel: &Tunnel, mut changes: watch::Receiver<u64>) {
    while changes.changed().await.is_ok() {
        let snapshot = tunnel.node.snapshot.load_full();
        if tunnel.port(&snapshot).is_some_and(|port| is_denied(tunnel, &port)) {
            return;
        }
    }
    // Only when the process ends.
    std::future::pending().await
}

fn is_denied(tunnel: &Tunnel, port: &ServicePort) -> bool {
    port.policies.decide_tcp(&tunnel.connection).verdict == Verdict::Deny
}

fn refused(tunnel: &Tunnel) -> &'static str {
    tunnel.node.metrics.own.refusal("policy");
    "UAEX"
}

/// A connection to one of the endpoints, or the response flag that says why there is none.
async fn reach(tunnel: &Tunnel, cluster: &Cluster) -> Result<(Arc<Endpoint>, Transport), &'static str> {
    let mut tried: Vec<SocketAddr> = Vec::new();
    while tried.len() < ATTEMPTS {
        let Some(endpoint) = cluster.choose(rand::rng().random(), &tried) else {
            return Err("UH");
        };
        match tunnel.node.connector.dial(endpoint, &tunnel.lane).await {
            Ok(transport) => return Ok((Arc::clone(endpoint), transport)),
            Err(fault) => tracing::debug!(endpoint = %endpoint.address, ?fault, "no way to the endpoint"),
        }
        tried.push(endpoint.address);
    }
    Err("UF")
}

fn outcome<'o>(tunnel: &'o Tunnel, end: &'o End) -> TcpOutcome<'o> {
    TcpOutcome {
        source: &tunnel.source,
        source_identity: tunnel.connection.identity.as_ref(),
        destination: end.endpoint.as_ref().map(|endpoint| &endpoint.workload),
        service: &tunnel.service,
        flags: end.flags,
        mtls: true,
        received: end.received,
        sent: end.sent,
    }
}
