//! Bytes: a port that is declared TCP, or where nothing else was found.

use super::transport::Transport;
use super::tunnel::Tunnel;
use super::upgrade::Primed;
use authz::Verdict;
use hbone::TunnelStream;
use rand::Rng;
use routing::{Cluster, Endpoint};
use std::net::SocketAddr;
use std::sync::Arc;
use telemetry::TcpOutcome;
use tokio::io::AsyncWriteExt;

/// Endpoints tried before a connection is given up.
const ATTEMPTS: usize = 3;

/// What a connection came to.
struct End {
    endpoint: Option<Arc<Endpoint>>,
    flags: &'static str,
    received: u64,
    sent: u64,
}

/// Carries one connection.
pub(crate) async fn serve(tunnel: &Tunnel, mut stream: Primed<TunnelStream>) {
    let end = carry(tunnel, &mut stream).await;
    // A denied or unreachable client sees the end at once.
    let _ = stream.shutdown().await;
    tunnel.node.metrics.tcp_closed(&outcome(tunnel, &end));
}

async fn carry(tunnel: &Tunnel, stream: &mut Primed<TunnelStream>) -> End {
    let mut end = End {
        endpoint: None,
        flags: "-",
        received: 0,
        sent: 0,
    };
    let snapshot = tunnel.node.snapshot.load_full();
    let port = tunnel.port(&snapshot);
    let Some((port, cluster)) = port.and_then(|port| Some((Arc::clone(&port), snapshot.cluster(port.cluster)?))) else {
        end.flags = "NR";
        return end;
    };
    let decision = port.policies.decide_tcp(&tunnel.connection);
    if decision.verdict == Verdict::Deny {
        end.flags = "UAEX";
        tunnel.node.metrics.own.refusal("policy");
        tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end));
        return end;
    }
    let (endpoint, mut upstream) = match reach(tunnel, cluster).await {
        Ok(reached) => reached,
        Err(flag) => {
            end.flags = flag;
            tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end));
            return end;
        }
    };
    end.endpoint = Some(endpoint);
    tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end));
    match tokio::io::copy_bidirectional(stream, &mut upstream).await {
        Ok((received, sent)) => (end.received, end.sent) = (received, sent),
        Err(error) => {
            tracing::debug!(%error, "TCP connection broke");
            end.flags = "UC";
        }
    }
    end
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
