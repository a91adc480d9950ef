//! Ways to an endpoint: pooled HTTP/1.1 connections and shared HTTP/2 ones, through HBONE or in clear.

use super::gate::Gates;
use super::origination;
use super::transport::{Plain, Transport};
use super::upstream::{RequestHead, Upstream, UpstreamFault};
use crate::http1::{ClientConn, Limits};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use hbone::{Alpn, Beyond, Destination, DialError, Originator, Pool};
use http::{HeaderMap, HeaderValue};
use request::SpiffeId;
use routing::{Endpoint, Keepalive, NetworkGateway, Tls, TrafficPolicy};
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use telemetry::Metrics;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// ztunnel's port.
pub(crate) const HBONE_PORT: u16 = 15008;
/// TCP connect to a pod outside the mesh, unless its Service says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is kept this long, likewise.
const IDLE: Duration = Duration::from_secs(60);
/// Idle HTTP/1.1 connections to one endpoint at most.
const IDLE_PER_ENDPOINT: usize = 256;
/// Streams of one inner HTTP/2 connection before another is opened.
const STREAMS: usize = 100;
/// Flow-control windows of inner HTTP/2 connections: streams whose clients do not read, however many, leave the others
/// their room. A limit; nothing is allocated for it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// Idle connections in clear are probed after this, and this often: a pod outside the mesh may go without a word.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const SHARDS: usize = 16;

/// Whose requests a connection carries. Tunnels announce their source to the destination (`baggage`), so
/// connections are not shared between sources.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Names the source in pool keys.
    pub(crate) source: u64,
    /// `baggage` of the source, for CONNECT.
    pub(crate) baggage: Option<HeaderValue>,
}

impl Lane {
    /// The waypoint's own, for requests that it makes itself.
    pub(crate) fn own() -> Self {
        Self {
            source: 0,
            baggage: None,
        }
    }
}

/// Why there is no way to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenFault {
    /// It could not be reached; the text is for the log.
    Connect(String),
    /// It was reached, and does not offer extended CONNECT (RFC 8441).
    NotOffered,
    /// It was reached and broke at once.
    Upstream(UpstreamFault),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    address: SocketAddr,
    /// `Some`: through HBONE, to exactly this identity.
    identity: Option<SpiffeId>,
    source: u64,
    /// `Some`: inside TLS by these settings, with the server of this name.
    tls: Option<Arc<Tls>>,
    /// `Some`: through the gateway of another network.
    gateway: Option<Arc<NetworkGateway>>,
    /// The worker whose connection it is: one that lives on another would wake its thread for each request, and this
    /// one for each answer.
    worker: Option<tokio::runtime::Id>,
}

/// Address and source tell nearly all keys apart; identity and TLS are compared, not hashed.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
        state.write_u64(self.source);
    }
}

impl Key {
    /// Spreads keys over the shards; any spread will do.
    fn shard(&self) -> usize {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) => u32::from(ip),
            IpAddr::V6(ip) => ip.segments().iter().fold(0, |sum, part| sum ^ u32::from(*part)),
        };
        let mixed = u64::from(ip) ^ u64::from(self.address.port()) ^ self.source;
        usize::try_from(mixed % SHARDS as u64).unwrap_or(0)
    }
}

#[derive(Debug)]
struct Idle {
    conn: Box<ClientConn<Transport>>,
    since: Instant,
    /// It is kept this long.
    keep: Duration,
}

/// A shared HTTP/2 connection, and how many streams it carries: each holds a clone of `streams`.
#[derive(Clone, Debug)]
struct H2Connection {
    sender: SendRequest<Bytes>,
    streams: Arc<()>,
    /// Until the endpoint's SETTINGS are known to have come: they come before the answer to a PING.
    settings: Arc<tokio::sync::Mutex<Option<PingPong>>>,
    /// When it was last seen in use.
    used: Instant,
    /// Unused, it is kept this long.
    keep: Duration,
    /// Streams it has carried and carries.
    carried: u32,
}

/// Shared HTTP/2 connections of one key.
#[derive(Debug, Default)]
struct Shared {
    connections: Mutex<Vec<H2Connection>>,
    /// One dial at a time.
    dial: tokio::sync::Mutex<()>,
    /// Dials that failed: who waited for one of them has its answer, and does not try in its turn.
    failed: AtomicU64,
}

/// All ways to endpoints. Shared by `Arc`.
pub(crate) struct Connector {
    tunnels: Arc<Pool>,
    limits: Limits,
    metrics: Arc<Metrics>,
    /// Where clusters limit their connections.
    pub(crate) gates: Gates,
    idle: [Mutex<HashMap<Key, Vec<Idle>>>; SHARDS],
    shared: Mutex<HashMap<Key, Arc<Shared>>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub(crate) fn new(tunnels: Arc<Pool>, limits: Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            tunnels,
            limits,
            metrics,
            gates: Gates::default(),
            idle: Default::default(),
            shared: Mutex::default(),
        })
    }

    /// Opens a way to `endpoint` and writes the head of a request to it.
    pub(crate) async fn open(
        &self,
        endpoint: &Endpoint,
        policy: &TrafficPolicy,
        http2: bool,
        lane: &Lane,
        head: &RequestHead<'_>,
    ) -> Result<Upstream, OpenFault> {
        let key = key(endpoint, lane);
        if http2 {
            // Boxed, as what follows: every request would carry the room for it.
            let mut connection = match self.shared_with_room(&key, policy) {
                Some(connection) => connection,
                None => Box::pin(self.shared(&key, endpoint, policy, lane)).await?,
            };
            if head.extended && !Box::pin(connection.offers_extended_connect()).await {
                return Err(OpenFault::NotOffered);
            }
            return Upstream::start_h2(&mut connection.sender, connection.streams, head).map_err(OpenFault::Upstream);
        }
        if let Some(conn) = self.take_idle(&key) {
            self.metrics.own.reused_requests.inc();
            return Ok(Upstream::start_h1(conn, head));
        }
        let transport = Box::pin(self.dial_as(endpoint, policy, lane, Alpn::Http1)).await?;
        let conn = Box::new(ClientConn::new(transport, self.limits));
        Ok(Upstream::start_h1(conn, head))
    }

    /// A raw connection, for TCP.
    pub(crate) async fn dial(
        &self,
        endpoint: &Endpoint,
        policy: &TrafficPolicy,
        lane: &Lane,
    ) -> Result<Transport, OpenFault> {
        self.dial_as(endpoint, policy, lane, Alpn::Nothing).await
    }

    async fn dial_as(
        &self,
        endpoint: &Endpoint,
        policy: &TrafficPolicy,
        lane: &Lane,
        alpn: Alpn,
    ) -> Result<Transport, OpenFault> {
        let own = &self.metrics.own;
        own.dialled_requests.inc();
        let began = Instant::now();
        let plain = self.dial_plain(endpoint, policy, lane).await;
        if !endpoint.workload.hbone {
            // Tunnels are counted where they are dialled.
            own.dial(if plain.is_ok() { "ok" } else { "connect" });
        }
        let transport = match &endpoint.tls {
            None => Transport::plain(plain?),
            Some(tls) => {
                let originated = originate(tls, alpn, plain?).await;
                own.origination(if originated.is_ok() { "ok" } else { "failed" });
                originated?
            }
        };
        own.dial_took(began.elapsed());
        Ok(transport)
    }

    async fn dial_plain(&self, endpoint: &Endpoint, policy: &TrafficPolicy, lane: &Lane) -> Result<Plain, OpenFault> {
        let limit = policy.limits.connect_timeout;
        let workload = &endpoint.workload;
        if !workload.hbone {
            let keepalive = policy.limits.keepalive.unwrap_or_default();
            return dial_clear(endpoint.address, limit.unwrap_or(CONNECT_TIMEOUT), keepalive).await;
        }
        match limit {
            None => self.dial_tunnel(endpoint, lane).await,
            Some(limit) => tokio::time::timeout(limit, self.dial_tunnel(endpoint, lane))
                .await
                .unwrap_or_else(|_| Err(no_answer(endpoint.address, limit))),
        }
    }

    async fn dial_tunnel(&self, endpoint: &Endpoint, lane: &Lane) -> Result<Plain, OpenFault> {
        let mut headers = HeaderMap::new();
        if let Some(baggage) = &lane.baggage {
            headers.insert("baggage", baggage.clone());
        }
        if let Some(gateway) = &endpoint.gateway {
            return Box::pin(self.dial_beyond(endpoint.address, gateway, headers)).await;
        }
        let workload = &endpoint.workload;
        let Some(identity) = workload.identity.as_ref() else {
            let why = format!("{} speaks HBONE, and its identity is not known", endpoint.address);
            return Err(OpenFault::Connect(why));
        };
        let destination = Destination {
            address: SocketAddr::new(endpoint.address.ip(), HBONE_PORT),
            identity: identity.clone(),
        };
        let authority = endpoint.address.to_string();
        let tunnel = self
            .tunnels
            .dial(&destination, &authority, headers)
            .await
            .map_err(connect_fault)?;
        Ok(Plain::Tunnel(tunnel))
    }

    /// To another network: a tunnel to its gateway, and another inside.
    async fn dial_beyond(
        &self,
        address: SocketAddr,
        gateway: &NetworkGateway,
        headers: HeaderMap,
    ) -> Result<Plain, OpenFault> {
        let destination = Destination {
            address,
            identity: gateway.identity.clone(),
        };
        let beyond = Beyond {
            authority: &gateway.authority,
            identities: &gateway.beyond,
            network: &gateway.network,
        };
        let tunnel = self.tunnels.dial_beyond(&destination, &beyond, headers).await;
        tunnel.map(Plain::Tunnel).map_err(connect_fault)
    }

    /// Takes back a connection whose exchange is complete. What cannot be used again is closed.
    pub(crate) fn give_back(&self, endpoint: &Endpoint, policy: &TrafficPolicy, lane: &Lane, upstream: Upstream) {
        let Upstream::H1(mut conn) = upstream else { return };
        let most = policy.limits.requests_per_connection;
        if !conn.reusable() || most.is_some_and(|most| conn.requests() >= most) {
            return;
        }
        conn.io_mut().cut_on_drop(false);
        let key = key(endpoint, lane);
        let mut shard = self.shard(&key);
        let idle = shard.entry(key).or_default();
        if idle.len() < IDLE_PER_ENDPOINT {
            idle.push(Idle {
                conn,
                since: Instant::now(),
                keep: policy.limits.http_idle.unwrap_or(IDLE),
            });
            self.metrics.own.idle_connections.inc();
        }
    }

    /// Drops connections that were idle too long or that the endpoint closed. Called every few seconds. Without it the
    /// connections of sources and endpoints that have gone would stay for ever.
    pub(crate) fn sweep(&self) {
        self.gates.sweep();
        let now = Instant::now();
        for shard in &self.idle {
            lock(shard).retain(|_, idle| {
                let before = idle.len();
                idle.retain_mut(|idle| now.duration_since(idle.since) < idle.keep && is_quiet(&mut idle.conn));
                self.fewer_idle(before.saturating_sub(idle.len()));
                !idle.is_empty()
            });
        }
        lock(&self.shared).retain(|_, shared| {
            let mut connections = lock(&shared.connections);
            connections.retain_mut(|connection| is_open(&mut connection.sender) && !connection.is_unused(now));
            !connections.is_empty() || Arc::strong_count(shared) > 1
        });
    }

    /// Forgets tunnels to workloads that have gone.
    pub(crate) fn retain(&self, keep: impl Fn(&Destination) -> bool) {
        self.tunnels.retain(keep);
    }

    fn fewer_idle(&self, count: usize) {
        let gone = i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.own.idle_connections.dec_by(gone);
    }

    fn take_idle(&self, key: &Key) -> Option<Box<ClientConn<Transport>>> {
        let mut shard = self.shard(key);
        let idle = shard.get_mut(key)?;
        let now = Instant::now();
        while let Some(mut candidate) = idle.pop() {
            self.fewer_idle(1);
            if now.duration_since(candidate.since) < candidate.keep && is_quiet(&mut candidate.conn) {
                return Some(candidate.conn);
            }
        }
        None
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        #[allow(clippy::indexing_slicing)] // below SHARDS, the length of the array
        lock(&self.idle[key.shard()])
    }

    /// A shared connection that takes one more stream.
    fn shared_with_room(&self, key: &Key, policy: &TrafficPolicy) -> Option<H2Connection> {
        let shared = Arc::clone(lock(&self.shared).get(key)?);
        let connection = shared.with_room(policy)?;
        self.metrics.own.reused_requests.inc();
        Some(connection)
    }

    /// The same, or a new one.
    async fn shared(
        &self,
        key: &Key,
        endpoint: &Endpoint,
        policy: &TrafficPolicy,
        lane: &Lane,
    ) -> Result<H2Connection, OpenFault> {
        let shared = Arc::clone(lock(&self.shared).entry(key.clone()).or_default());
        let failed = shared.failed.load(Ordering::Acquire);
        let _one = shared.dial.lock().await;
        if let Some(connection) = shared.with_room(policy) {
            self.metrics.own.reused_requests.inc();
            return Ok(connection);
        }
        if shared.failed.load(Ordering::Acquire) != failed {
            return Err(OpenFault::Connect("the dial that was waited for failed".to_owned()));
        }
        let dialled = async { handshake(self.dial_as(endpoint, policy, lane, Alpn::Http2).await?).await };
        match dialled.await {
            Ok((sender, ping)) => {
                let connection = H2Connection {
                    sender,
                    streams: Arc::new(()),
                    settings: Arc::new(tokio::sync::Mutex::new(ping)),
                    used: Instant::now(),
                    keep: policy.limits.http_idle.unwrap_or(IDLE),
                    carried: 1,
                };
                if connection.takes_more(policy) {
                    lock(&shared.connections).push(connection.clone());
                }
                Ok(connection)
            }
            Err(fault) => {
                shared.failed.fetch_add(1, Ordering::AcqRel);
                Err(fault)
            }
        }
    }
}

impl Shared {
    /// The connection with the fewest streams, when it has room.
    fn with_room(&self, policy: &TrafficPolicy) -> Option<H2Connection> {
        let mut connections = lock(&self.connections);
        // One that has carried its share ends with its last stream.
        connections.retain_mut(|connection| is_open(&mut connection.sender) && connection.takes_more(policy));
        let least = connections
            .iter_mut()
            .min_by_key(|connection| Arc::strong_count(&connection.streams))?;
        let most = policy.limits.streams_per_connection;
        let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(STREAMS);
        let room = most.min(STREAMS).min(least.sender.current_max_send_streams());
        // The pool itself holds one.
        if Arc::strong_count(&least.streams) > room {
            return None;
        }
        least.used = Instant::now();
        least.carried = least.carried.saturating_add(1);
        Some(least.clone())
    }
}

impl H2Connection {
    /// Whether the endpoint takes CONNECT with `:protocol`.
    async fn offers_extended_connect(&self) -> bool {
        let mut settings = self.settings.lock().await;
        if let Some(ping) = settings.as_mut() {
            let pong = tokio::time::timeout(CONNECT_TIMEOUT, ping.ping(Ping::opaque())).await;
            if !matches!(pong, Ok(Ok(_))) {
                return false;
            }
            *settings = None;
        }
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// No stream now, and none for long enough. To be asked again and again.
    fn is_unused(&mut self, now: Instant) -> bool {
        if Arc::strong_count(&self.streams) > 1 {
            self.used = now;
        }
        now.duration_since(self.used) >= self.keep
    }

    /// Whether `maxRequestsPerConnection` leaves it another stream.
    fn takes_more(&self, policy: &TrafficPolicy) -> bool {
        let most = policy.limits.requests_per_connection;
        most.is_none_or(|most| self.carried < most)
    }
}

fn key(endpoint: &Endpoint, lane: &Lane) -> Key {
    let workload = &endpoint.workload;
    let identity = workload.identity.as_ref().filter(|_| workload.hbone);
    let source = if identity.is_some() { lane.source } else { 0 };
    Key {
        address: endpoint.address,
        identity: identity.cloned(),
        source,
        tls: endpoint.tls.clone(),
        gateway: endpoint.gateway.clone(),
        worker: Handle::try_current().ok().map(|runtime| runtime.id()),
    }
}

/// True when a pooled connection neither ended nor spoke out of turn.
fn is_quiet(conn: &mut ClientConn<Transport>) -> bool {
    conn.poll_idle(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn is_open(sender: &mut SendRequest<Bytes>) -> bool {
    !matches!(
        sender.poll_ready(&mut Context::from_waker(Waker::noop())),
        std::task::Poll::Ready(Err(_))
    )
}

/// Speaks TLS over a connection. What it is spoken with is built once for all endpoints of a policy.
async fn originate(tls: &Tls, alpn: Alpn, plain: Plain) -> Result<Transport, OpenFault> {
    let built = tls.settings.built(origination::build);
    let originator: &Originator = match built {
        Some(Ok(originator)) => originator,
        Some(Err(error)) => return Err(OpenFault::Connect(error.to_string())),
        None => {
            return Err(OpenFault::Connect(
                "TLS settings are used for something else".to_owned(),
            ));
        }
    };
    let connecting = originator.connect(&tls.server_name, alpn, plain);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => Ok(Transport::tls(stream)),
        Ok(Err(error)) => Err(OpenFault::Connect(error.to_string())),
        Err(_) => Err(OpenFault::Connect(format!("TLS with {}: no answer", tls.server_name))),
    }
}

async fn dial_clear(address: SocketAddr, limit: Duration, keepalive: Keepalive) -> Result<Plain, OpenFault> {
    let fault = |why: std::io::Error| OpenFault::Connect(format!("connect to {address}: {why}"));
    let stream = tokio::time::timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| no_answer(address, limit))?
        .map_err(fault)?;
    stream.set_nodelay(true).map_err(fault)?;
    let mut probes = TcpKeepalive::new()
        .with_time(keepalive.time.unwrap_or(KEEP_ALIVE))
        .with_interval(keepalive.interval.unwrap_or(KEEP_ALIVE));
    if let Some(count) = keepalive.probes {
        probes = probes.with_retries(count);
    }
    SockRef::from(&stream).set_tcp_keepalive(&probes).map_err(fault)?;
    Ok(Plain::Tcp(stream))
}

fn no_answer(address: SocketAddr, limit: Duration) -> OpenFault {
    OpenFault::Connect(format!("connect to {address}: no answer in {limit:?}"))
}

async fn handshake(transport: Transport) -> Result<(SendRequest<Bytes>, Option<PingPong>), OpenFault> {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(64 * 1024)
        .max_send_buffer_size(64 * 1024)
        .enable_push(false);
    let handshake = tokio::time::timeout(CONNECT_TIMEOUT, builder.handshake(transport)).await;
    let (sender, mut connection) = match handshake {
        Ok(Ok(pair)) => pair,
        Ok(Err(error)) => return Err(OpenFault::Connect(format!("HTTP/2 handshake: {error}"))),
        Err(_) => return Err(OpenFault::Connect("HTTP/2 handshake: no answer".to_owned())),
    };
    let ping = connection.ping_pong();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "inner HTTP/2 connection ended");
        }
    });
    Ok((sender, ping))
}

fn connect_fault(error: DialError) -> OpenFault {
    OpenFault::Connect(error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned pool is still a pool: nothing in here panics while it holds the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
