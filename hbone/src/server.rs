//! Tunnels that come in: TLS accept, identity check, CONNECT.

use crate::io::{Activity, Cork, RequeueOnce, Wire};
use crate::lifetime::{Due, Lifetime, Limits, NEVER};
use crate::read_ahead::ReadAhead;
use crate::recheck::{Recheck, Revoked};
use crate::slots::Slots;
use crate::trust::Usage;
use crate::{CertSource, ClientCertificate, Drain, ServeError, stream, tls};
use bytes::Bytes;
use h2::server::Connection;
use request::SpiffeId;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

mod connect;

pub use connect::Connect;

/// CONNECT header list, decoded, with 32 bytes of overhead a field (RFC 9113, 6.5.2). More is answered 431 by h2.
const HEADER_LIST_LIMIT_BYTES: u32 = 32 * 1024;
/// Streams the client cancelled before we saw them (rapid reset): more is GOAWAY ENHANCE_YOUR_CALM.
const PENDING_RESET_LIMIT: usize = 20;
/// Streams we had to reset because of the client's errors (made-you-reset), in a connection's life.
const ERROR_RESET_LIMIT: usize = 256;
/// Streams we reset whose late frames are still ignored rather than punished.
const RESET_MEMORY_STREAMS: usize = 100;
const RESET_MEMORY: Duration = Duration::from_secs(5);
/// RFC 9113, 6.9.1.
const WINDOW_LIMIT_BYTES: u32 = (1 << 31) - 1;
/// A connection that begins while we drain may open its first tunnel for this long.
const FIRST_TUNNEL: Duration = Duration::from_secs(1);
/// Preface, one frame head and one setting: with this much received, the client's SETTINGS have begun to come.
const PREFACE_AND_SETTINGS_BYTES: u64 = 24 + 9 + 6;

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// MAX_CONCURRENT_STREAMS announced; never below 100 (ztunnel assumes it). Default 100.
    pub max_streams: u32,
    /// TLS handshake limit. Default 10 s.
    pub handshake_timeout: Duration,
    /// HTTP/2 preface + SETTINGS limit. Default 10 s.
    pub preface_timeout: Duration,
    /// PING when nothing was received for this long. Default 10 s.
    pub ping_interval: Duration,
    /// The connection is closed when nothing is received for this long after a PING. Default 20 s.
    pub ping_timeout: Duration,
    /// Connections are asked to leave (two-step GOAWAY) at this age, jittered by 10 %. Default 1 h.
    pub max_age: Option<Duration>,
    /// Connections without streams are closed after this. Default 1 h.
    pub idle_timeout: Duration,
    /// Flow-control window of a stream: received and not yet read bytes a tunnel may hold. Default 256 KiB.
    pub stream_window: u32,
    /// Flow-control window of a connection, at least. It is never less than `max_streams` stream windows, so that stalled
    /// streams cannot starve the others: 25 MiB by default. A limit; nothing is allocated for it. To bound the memory
    /// of a connection, lower `stream_window`.
    pub connection_window: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_streams: 100,
            handshake_timeout: Duration::from_secs(10),
            preface_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(20),
            max_age: Some(Duration::from_secs(3600)),
            idle_timeout: Duration::from_secs(3600),
            stream_window: 256 * 1024,
            connection_window: 65_535,
        }
    }
}

/// Hooks for metrics. All default to nothing.
pub trait ServerEvents: Send + Sync + 'static {
    /// A handshake ended: `ok`, `no_certificate`, `untrusted`, `revoked`, `trust_domain`, `timeout`, `not_h2`, `other`.
    fn handshake(&self, _result: &'static str) {}
    /// A connection opened (+1) or closed (-1).
    fn connections(&self, _delta: i64) {}
    /// A request was refused here, before `on_connect`: not CONNECT (405), no usable authority (400), too many
    /// headers (431).
    fn refused(&self, _status: http::StatusCode, _identity: &SpiffeId, _peer: SocketAddr) {}
}

/// The server side of HBONE. One per listener, shared by `Arc`.
pub struct Server {
    config: ServerConfig,
    certs: Arc<dyn CertSource>,
    trusts: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    events: Arc<dyn ServerEvents>,
}

impl Server {
    /// Makes it. `trusts` says whether a trust domain may connect (the mesh's own, or an alias).
    pub fn new(
        config: ServerConfig,
        certs: Arc<dyn CertSource>,
        trusts: Arc<dyn Fn(&str) -> bool + Send + Sync>,
        events: Arc<dyn ServerEvents>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            certs,
            trusts,
            events,
        })
    }

    /// Serves one accepted TCP connection until it ends: calls `on_connect` for each valid CONNECT (synchronously: it
    /// answers promptly and spawns what it needs). Other methods get 405, bad authorities 400, here.
    /// When `drain` starts: GOAWAY 2^31-1, a PING round trip, the real last id; returns when the streams have ended.
    ///
    /// Setting TCP_NODELAY on the socket is the caller's part.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn serve<IO>(
        &self,
        io: IO,
        peer: SocketAddr,
        drain: Drain,
        on_connect: impl FnMut(Connect) + Send,
    ) -> Result<(), ServeError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let _guard = drain.guard();
        // In a box of its own: what a handshake takes is not held for as long as the connection lives.
        let (mut serving, cork) = Box::pin(self.accept(io, peer, on_connect)).await?;
        let _counted = Counted::new(self.events.as_ref());
        serving.run(drain, cork).await
    }

    /// TLS, and HTTP/2 up to the client's preface.
    async fn accept<IO, F>(
        &self,
        io: IO,
        address: SocketAddr,
        on_connect: F,
    ) -> Result<(Serving<'_, Tls<IO>, F>, Cork<Tls<IO>>), ServeError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: FnMut(Connect) + Send,
    {
        let (tls, peer) = match self.accept_tls(io, address).await {
            Ok(accepted) => accepted,
            Err((label, error)) => {
                self.events.handshake(label);
                return Err(error);
            }
        };
        self.events.handshake("ok");
        let activity = Activity::new();
        let preface_limit = Instant::now() + self.config.preface_timeout;
        let wire = Wire::new(tls, Arc::clone(&activity));
        let cork = wire.cork();
        let handshake = self.h2().handshake::<_, Bytes>(wire);
        let connection = timeout(self.config.preface_timeout, handshake)
            .await
            .map_err(|_| ServeError::Timeout("the HTTP/2 preface"))??;
        let opened = Opened {
            connection,
            activity,
            preface_limit,
        };
        Ok((Serving::new(self, opened, peer, on_connect), cork))
    }

    async fn accept_tls<IO>(&self, io: IO, address: SocketAddr) -> Result<(Tls<IO>, Peer), (&'static str, ServeError)>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let ours = self.certs.current();
        let acceptor = TlsAcceptor::from(Arc::clone(&ours.server));
        let io = ReadAhead::new(io);
        let tls = match timeout(self.config.handshake_timeout, acceptor.accept(io)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return Err(handshake_failure(&error)),
            Err(_) => return Err(("timeout", ServeError::Timeout("the TLS handshake"))),
        };
        let session = tls.get_ref().1;
        if session.alpn_protocol() != Some(tls::ALPN) {
            return Err((
                "not_h2",
                ServeError::Handshake("expected ALPN h2, found none".to_owned()),
            ));
        }
        let identity =
            tls::peer_id(session.peer_certificates()).map_err(|reason| ("untrusted", ServeError::Peer(reason)))?;
        if !(self.trusts)(identity.trust_domain()) {
            let reason = format!("trust domain of {} is neither ours nor an alias", identity.as_str());
            return Err(("trust_domain", ServeError::Peer(reason)));
        }
        let chain = tls::chain(session.peer_certificates());
        let peer = Peer {
            identity,
            certificate: Arc::new(ClientCertificate::of(Arc::clone(&chain))),
            address,
            recheck: Recheck::new(&self.certs, &ours, chain, Usage::Client),
        };
        Ok((tls, peer))
    }

    fn h2(&self) -> h2::server::Builder {
        let streams = self.config.max_streams.max(100);
        let all_streams = self.config.stream_window.saturating_mul(streams);
        let window = self.config.connection_window.max(all_streams).min(WINDOW_LIMIT_BYTES);
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(streams)
            .initial_window_size(self.config.stream_window)
            .initial_connection_window_size(window)
            .max_header_list_size(HEADER_LIST_LIMIT_BYTES)
            .max_send_buffer_size(stream::SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(PENDING_RESET_LIMIT)
            .max_local_error_reset_streams(Some(ERROR_RESET_LIMIT))
            .max_concurrent_reset_streams(RESET_MEMORY_STREAMS)
            .reset_stream_duration(RESET_MEMORY);
        builder
    }

    fn limits(&self) -> Limits {
        Limits {
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            idle_timeout: self.config.idle_timeout,
            max_age: self
                .config
                .max_age
                .map(|age| age.min(NEVER).mul_f64(rand::random_range(0.9..=1.1))),
        }
    }
}

fn handshake_failure(error: &std::io::Error) -> (&'static str, ServeError) {
    match tls::failure_label(error) {
        label @ ("no_certificate" | "untrusted" | "revoked") => (label, ServeError::Peer(error.to_string())),
        label => (label, ServeError::Handshake(error.to_string())),
    }
}

/// Who is there.
struct Peer {
    identity: SpiffeId,
    certificate: Arc<ClientCertificate>,
    address: SocketAddr,
    recheck: Recheck,
}

/// What a connection comes in.
type Tls<IO> = TlsStream<ReadAhead<IO>>;

/// A connection that has begun, before anything on it.
struct Opened<S> {
    connection: Connection<Wire<S>, Bytes>,
    activity: Arc<Activity>,
    preface_limit: Instant,
}

/// One HTTP/2 connection with everything its task looks after.
struct Serving<'a, S, F> {
    connection: Connection<Wire<S>, Bytes>,
    lifetime: Lifetime,
    activity: Arc<Activity>,
    slots: Arc<Slots>,
    /// Until when the client's SETTINGS must have come; None when they have.
    preface_limit: Option<Pin<Box<tokio::time::Sleep>>>,
    /// A tunnel was opened.
    is_used: bool,
    /// Until when the first tunnel is waited for while we drain.
    first_tunnel_limit: Pin<Box<tokio::time::Sleep>>,
    recheck: Recheck,
    answers: connect::Answers<'a>,
    on_connect: F,
}

impl<'a, S, F> Serving<'a, S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnMut(Connect) + Send,
{
    fn new(server: &'a Server, opened: Opened<S>, peer: Peer, on_connect: F) -> Self {
        let Opened {
            mut connection,
            activity,
            preface_limit,
        } = opened;
        let slots = Slots::new();
        let pings = connection.ping_pong();
        Self {
            connection,
            lifetime: Lifetime::new(server.limits(), Arc::clone(&activity), Arc::clone(&slots), pings),
            activity,
            slots,
            preface_limit: Some(Box::pin(tokio::time::sleep_until(preface_limit))),
            is_used: false,
            first_tunnel_limit: Box::pin(tokio::time::sleep(FIRST_TUNNEL)),
            recheck: peer.recheck,
            answers: connect::Answers {
                events: server.events.as_ref(),
                identity: peer.identity,
                certificate: peer.certificate,
                peer: peer.address,
                leaving: Drain::new(),
            },
            on_connect,
        }
    }

    async fn run(&mut self, drain: Drain, cork: Cork<S>) -> Result<(), ServeError> {
        let mut drain_started = pin!(drain.started());
        // Registered once: this task's waker stays the same.
        let mut registered = false;
        let (mut draining, mut leaving) = (false, false);
        let this = self;
        let poll = std::future::poll_fn(|cx| {
            if !draining && (!registered || drain.is_started()) {
                registered = true;
                draining = drain_started.as_mut().poll(cx).is_ready();
            }
            cork.around(cx, |cx| {
                let polled = this.poll(cx);
                if polled.is_ready() || leaving || !draining || this.awaits_first_tunnel(cx) {
                    return polled;
                }
                leaving = true;
                this.connection.graceful_shutdown();
                this.poll(cx)
            })
        });
        RequeueOnce::new(poll).await
    }

    /// A client that connects while we drain has a tunnel to open: told to leave at once, it would come back as a new
    /// connection, and again.
    fn awaits_first_tunnel(&mut self, cx: &mut Context<'_>) -> bool {
        !self.is_used && self.first_tunnel_limit.as_mut().poll(cx).is_pending()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServeError>> {
        while let Poll::Ready(due) = self.lifetime.poll_due(cx) {
            match due {
                Due::Dead => return Poll::Ready(Err(ServeError::Timeout("the answer to a PING"))),
                // Nothing when it is leaving already.
                Due::Idle => self.connection.graceful_shutdown(),
                Due::Aged => {
                    self.answers.leaving.start();
                    self.connection.graceful_shutdown();
                }
            }
        }
        while let Poll::Ready(revoked) = self.recheck.poll_revoked(cx) {
            match revoked {
                Revoked::Now => self.connection.graceful_shutdown(),
                Revoked::Over => return Poll::Ready(Err(ServeError::Revoked(self.answers.identity.clone()))),
            }
        }
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.is_used = true;
                    if let Some(connect) = self.answers.judge(request, respond, &self.slots) {
                        (self.on_connect)(connect);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(ended(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        self.poll_preface_limit(cx)
    }

    fn poll_preface_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServeError>> {
        let Some(limit) = &mut self.preface_limit else {
            return Poll::Pending;
        };
        // Before SETTINGS h2 assumes that we may open no stream. A client may say so, too.
        if self.connection.max_concurrent_send_streams() > 0
            || self.activity.received_bytes() >= PREFACE_AND_SETTINGS_BYTES
        {
            self.preface_limit = None;
            return Poll::Pending;
        }
        ready!(limit.as_mut().poll(cx));
        Poll::Ready(Err(ServeError::Timeout("the HTTP/2 SETTINGS frame")))
    }
}

/// A peer that just goes away is how most connections end.
fn ended(error: h2::Error) -> Result<(), ServeError> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error.get_io().map(std::io::Error::kind) {
        Some(BrokenPipe | ConnectionReset | UnexpectedEof) => Ok(()),
        _ if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => Ok(()),
        _ => Err(ServeError::H2(error)),
    }
}

/// Reports the connection as open for as long as it lives.
struct Counted<'a>(&'a dyn ServerEvents);

impl<'a> Counted<'a> {
    fn new(events: &'a dyn ServerEvents) -> Self {
        events.connections(1);
        Self(events)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections(-1);
    }
}

#[cfg(test)]
mod tests;
