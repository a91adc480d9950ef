//! Bytes: a port that is declared TCP or TLS, one that a TCPRoute or TLSRoute shapes, or where nothing else was found.
//!
//! The name in a ClientHello is read first wherever it decides (a TLSRoute, a policy that asks for it) and on every port
//! that is declared TLS; the handshake itself passes through.

use super::affinity::Affinity;
use super::client_hello::{self, Opening};
use super::consult;
use super::forward::Serving;
use super::reason::Reason;
use super::rehearsal;
use super::transport::Transport;
use super::tunnel::Tunnel;
use super::upgrade::{Primed, Through};
use super::witness;
use authz::{Policies, Verdict};
use hbone::TunnelStream;
use mesh::{ServicePort, Snapshot};
use rand::Rng;
use request::{Connection, ServiceName};
use routing::{Ask, Backend, Cluster, Endpoint, Outcome, Permit, Pick, Protocol, Rule, Table, Target};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use telemetry::{Plan, TcpOutcome};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// How often bytes of an open connection are counted (Istio's default).
const REPORT: Duration = Duration::from_secs(5);

/// Endpoints tried before a connection is given up.
const ATTEMPTS: usize = 3;

/// What a connection came to.
struct End {
    wall: SystemTime,
    /// What is told of it, as it was when it began.
    plan: Arc<Plan>,
    start: Instant,
    /// From its ClientHello, where that was read.
    sni: Option<String>,
    route: Option<Arc<Rule>>,
    /// The Service port that it is routed to, passed or not.
    backend: Option<(Arc<ServiceName>, u16)>,
    endpoint: Option<Arc<Endpoint>>,
    flags: &'static str,
    /// Why it was ended, in Envoy's words.
    details: String,
    /// Cut before both sides had ended.
    broken: bool,
    received: u64,
    sent: u64,
    /// What of both was counted while the connection was open.
    counted: (u64, u64),
}

/// The other half of a connection.
struct Reached {
    /// What it was judged by.
    judged: Arc<Policies>,
    endpoint: Arc<Endpoint>,
    upstream: Transport,
    serving: Serving,
    /// It lasts this long at most.
    longest: Option<Duration>,
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
    let node = &tunnel.node;
    let route = end.told_route();
    let outcome = outcome(tunnel, &end, route.as_deref());
    node.metrics.tcp_closed(&TcpOutcome {
        received: end.received.saturating_sub(end.counted.0),
        sent: end.sent.saturating_sub(end.counted.1),
        ..outcome.clone()
    });
    if end.plan.logs() {
        node.access_log.write_tcp(&outcome);
    }
}

async fn carry(tunnel: &Tunnel, stream: &mut Primed<TunnelStream>) -> End {
    let mut end = End {
        wall: SystemTime::now(),
        plan: tunnel.plan(&tunnel.node.snapshot.load()),
        start: Instant::now(),
        sni: None,
        route: None,
        backend: None,
        endpoint: None,
        flags: "-",
        details: String::new(),
        broken: false,
        received: 0,
        sent: 0,
        counted: (0, 0),
    };
    let changes = tunnel.node.changes.subscribe();
    let reached = begin(tunnel, stream, &mut end).await;
    let Reached {
        judged,
        endpoint,
        mut upstream,
        serving: _serving,
        longest,
    } = match reached {
        Ok(reached) => reached,
        Err(reason) => {
            end.refuse(&reason);
            tunnel.node.metrics.own.refusal(reason.refusal().label);
            if let Some(policy) = reason.policy() {
                tunnel.node.metrics.own.denial(policy);
                tunnel.denied(policy, || "a connection".to_owned());
            }
            tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end, None));
            return end;
        }
    };
    end.endpoint = Some(endpoint);
    tunnel.node.metrics.tcp_opened(&outcome(tunnel, &end, None));
    // Until its end is passed on: a client that breaks off must not look like one that has finished.
    upstream.cut_on_drop(true);
    let connection = connection(tunnel, end.sni.as_deref());
    let through = stream.through();
    let mut counted = (0, 0);
    let cut = tokio::select! {
        copied = tokio::io::copy_bidirectional(stream, &mut upstream) => copied.err().map(|error| {
            tracing::debug!(%error, "TCP connection broke");
            Reason::Reset
        }),
        reason = denied_later(tunnel, &connection, judged, changes) => Some(reason),
        () = aged(longest) => Some(Reason::Aged),
        () = report(tunnel, &end, &through, &mut counted) => None,
    };
    end.counted = counted;
    if let Some(reason) = cut {
        let is_ours = reason == Reason::Reset && stream.is_broken();
        end.refuse(if is_ours { &Reason::ClientGone } else { &reason });
        end.broken = true;
    }
    end
}

/// Counts what goes through while it does, for as long as it is waited for.
async fn report(tunnel: &Tunnel, end: &End, through: &Through, counted: &mut (u64, u64)) {
    loop {
        tokio::time::sleep(REPORT).await;
        let bytes = through.bytes();
        if bytes != *counted {
            tunnel.node.metrics.tcp_bytes(&TcpOutcome {
                received: bytes.0.saturating_sub(counted.0),
                sent: bytes.1.saturating_sub(counted.1),
                ..outcome(tunnel, end, None)
            });
            *counted = bytes;
        }
    }
}

/// Judges the connection and opens its other half. The snapshot is let go then: a connection may outlive many.
async fn begin(tunnel: &Tunnel, stream: &mut Primed<TunnelStream>, end: &mut End) -> Result<Reached, Reason> {
    end.sni = server_name(tunnel, stream).await?;
    let snapshot = tunnel.node.snapshot.load_full();
    let port = tunnel.port(&snapshot).ok_or(Reason::NoService)?;
    let routed = route(&port, port.routes(tunnel.namespace()), end.sni.as_deref());
    let told = routed
        .as_ref()
        .ok()
        .and_then(|routed| snapshot.service_of(routed.target));
    end.backend = told.map(|(service, port)| (Arc::clone(service), port));
    judge(tunnel, &snapshot, &port, &connection(tunnel, end.sni.as_deref())).await?;
    let routed = routed?;
    if let Some((rule, backend)) = routed.by {
        end.route = Some(Arc::clone(rule));
        if let Some(backend) = backend {
            tunnel.node.shares.picked(rule, backend);
        }
    }
    let host = end.sni.as_deref().unwrap_or(tunnel.asked_host());
    let cluster = tunnel.node.dns.endpoints(&snapshot, routed.target, Some(host)).await?;
    reach(tunnel, &cluster, Arc::clone(&port.policies)).await
}

/// The name that the client asks for, where that is to be known.
async fn server_name(tunnel: &Tunnel, stream: &mut Primed<TunnelStream>) -> Result<Option<String>, Reason> {
    let snapshot = tunnel.node.snapshot.load_full();
    let port = tunnel.port(&snapshot).ok_or(Reason::NoService)?;
    let streams = port.routes(tunnel.namespace()).streams();
    let must_be_tls = streams.map_or(port.protocol == Protocol::Tls, |streams| streams.is_tls());
    if !must_be_tls && !port.policies.needs_sni() {
        return Ok(None);
    }
    drop(snapshot);
    let (first, stream) = stream.ahead();
    match client_hello::read(first, stream).await {
        Ok(Opening::Tls(name)) => Ok(name),
        Ok(Opening::Other) if !must_be_tls => Ok(None),
        Ok(Opening::Other) => Err(Reason::ClientHello("not TLS")),
        Err(why) => Err(Reason::ClientHello(why.0)),
    }
}

/// Where a connection goes.
struct Routed<'s> {
    target: &'s Target,
    /// The rule, with the backend that it picked.
    by: Option<(&'s Arc<Rule>, Option<&'s Backend>)>,
}

/// By its routes, else to the port's own endpoints.
fn route<'s>(port: &'s ServicePort, table: &'s Table, sni: Option<&str>) -> Result<Routed<'s>, Reason> {
    let Some(streams) = table.streams() else {
        return Ok(Routed {
            target: &port.cluster,
            by: None,
        });
    };
    let rule = streams.find(sni).ok_or(Reason::NoRoute)?;
    let backend = match rule.pick(rand::rng().random()) {
        Pick::Backend(backend) => Some(backend),
        Pick::Nothing => None,
    };
    Ok(Routed {
        target: backend.map_or(&Target::Invalid, |backend| &backend.target),
        by: Some((rule, backend)),
    })
}

/// Resolves when a change of the policies denies the connection: what is open does not outlive a policy against it.
async fn denied_later(
    tunnel: &Tunnel,
    connection: &Connection,
    mut judged: Arc<Policies>,
    mut changes: watch::Receiver<u64>,
) -> Reason {
    while changes.changed().await.is_ok() {
        let snapshot = tunnel.node.snapshot.load_full();
        let Some(port) = tunnel.port(&snapshot) else { continue };
        if Arc::ptr_eq(&judged, &port.policies) {
            continue;
        }
        if let Err(reason) = judge(tunnel, &snapshot, &port, connection).await {
            tunnel.node.metrics.own.refusal(reason.refusal().label);
            return reason;
        }
        judged = Arc::clone(&port.policies);
    }
    // Only when the process ends.
    std::future::pending().await
}

/// By the providers of CUSTOM policies, then by the other policies.
async fn judge(
    tunnel: &Tunnel,
    snapshot: &Snapshot,
    port: &ServicePort,
    connection: &Connection,
) -> Result<(), Reason> {
    if port.policies.has_custom() {
        Box::pin(consult::connection(tunnel, snapshot, port, connection)).await?;
    }
    rehearsal::of_connection(tunnel, &port.policies, connection);
    let decision = port.policies.decide_tcp(connection);
    match decision.verdict {
        Verdict::Allow => Ok(()),
        Verdict::Deny => Err(Reason::denied(decision.by)),
    }
}

/// Resolves when a connection has lasted as long as it may.
async fn aged(longest: Option<Duration>) {
    match longest {
        Some(longest) => tokio::time::sleep(longest).await,
        None => std::future::pending().await,
    }
}

/// What is known of the connection by now.
fn connection<'t>(tunnel: &'t Tunnel, sni: Option<&str>) -> Cow<'t, Connection> {
    match sni {
        None => Cow::Borrowed(&tunnel.connection),
        Some(name) => Cow::Owned(Connection {
            sni: Some(name.to_owned()),
            ..tunnel.connection.clone()
        }),
    }
}

/// A connection to one of the endpoints, or the response flag that says why there is none.
async fn reach(tunnel: &Tunnel, cluster: &Cluster, judged: Arc<Policies>) -> Result<Reached, Reason> {
    let node = &tunnel.node;
    let passage = node.connector.gates.pass_now(cluster);
    let passage = passage.inspect_err(|_| node.metrics.own.overflow("connections"))?;
    let affinity = Affinity::of_connection(cluster, tunnel.peer.ip());
    let mut tried: Vec<SocketAddr> = Vec::new();
    while tried.len() < ATTEMPTS {
        let ask = Ask {
            random: rand::rng().random(),
            now_ms: node.clock.now_ms(),
            hash: affinity.hash,
            tried: &tried,
        };
        let Some(endpoint) = cluster.choose(&ask) else {
            return Err(Reason::NoEndpoint);
        };
        match node.connector.dial(endpoint, &cluster.policy, &tunnel.lane).await {
            Ok(upstream) => {
                witness::report(node, cluster, endpoint, Outcome::Answered(200));
                return Ok(Reached {
                    judged,
                    endpoint: Arc::clone(endpoint),
                    upstream,
                    serving: Serving::begin(endpoint, Permit::default(), passage),
                    longest: cluster.policy.limits.connection_age,
                });
            }
            Err(fault) => {
                witness::report(node, cluster, endpoint, Outcome::NotConnected);
                tracing::debug!(endpoint = %endpoint.address, ?fault, "no way to the endpoint");
            }
        }
        tried.push(endpoint.address);
    }
    Err(Reason::Connect)
}

impl End {
    fn refuse(&mut self, reason: &Reason) {
        self.flags = reason.refusal().flag;
        self.details = reason.details();
    }

    /// As the access log names it.
    fn told_route(&self) -> Option<String> {
        self.route.as_ref().map(|rule| super::record::route_name(rule))
    }
}

fn outcome<'o>(tunnel: &'o Tunnel, end: &'o End, route: Option<&'o str>) -> TcpOutcome<'o> {
    TcpOutcome {
        start: end.wall,
        duration: end.start.elapsed(),
        source: &tunnel.source,
        source_identity: tunnel.connection.identity.as_ref(),
        source_address: tunnel.peer,
        destination: end.endpoint.as_ref().map(|endpoint| &endpoint.workload),
        upstream_address: end.endpoint.as_ref().map(|endpoint| endpoint.address),
        service: &tunnel.service,
        port: tunnel.connection.destination_port,
        backend: end.backend.as_ref().map(|(service, port)| (service, *port)),
        sni: end.sni.as_deref(),
        route,
        flags: end.flags,
        details: &end.details,
        mtls: true,
        received: end.received,
        sent: end.sent,
        plan: &end.plan,
        local_address: tunnel.local_address(),
    }
}
