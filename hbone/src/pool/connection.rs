//! One connection that goes out: TCP, TLS, who is there, HTTP/2, and the task that keeps it going.

use super::connector::Socket;
use super::entry::Entry;
use super::{Destination, Shared};
use crate::io::{Activity, Cork, RequeueOnce, Wire};
use crate::lifetime::{Due, Lifetime, Limits};
use crate::read_ahead::ReadAhead;
use crate::recheck::{Recheck, Revoked};
use crate::slots::{Slot, Slots};
use crate::trust::Usage;
use crate::{DialError, Identity, stream, tls};
use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use rustls::pki_types::ServerName;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A CONNECT answer carries next to nothing.
const HEADER_LIST_LIMIT_BYTES: u32 = 16 * 1024;
const RESET_MEMORY_STREAMS: usize = 100;
const RESET_MEMORY: Duration = Duration::from_secs(5);

type Tls = TlsStream<ReadAhead<Socket>>;

/// What the pool holds of a connection. When the pool lets go of it, the connection closes after its last stream.
pub(super) struct Conn {
    send: SendRequest<Bytes>,
    slots: Arc<Slots>,
    /// Ours: the certificate we showed. After a rotation it is not the current one, and takes no new tunnels.
    identity: Arc<Identity>,
    /// What the peer was seen to allow, when that is less than it says.
    limit: AtomicUsize,
    ended: AtomicBool,
}

impl Conn {
    /// A place on this connection, when it has one and still stands for `identity`. Called under the entry's lock.
    pub(super) fn take_slot(&self, most: usize) -> Option<Slot> {
        let limit = most
            .min(self.limit.load(Ordering::Relaxed))
            .min(self.send.current_max_send_streams());
        (self.slots.in_use() < limit).then(|| self.slots.take())
    }

    pub(super) fn is_of(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.identity, identity)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.slots.in_use() == 0
    }

    pub(super) fn send(&self) -> SendRequest<Bytes> {
        self.send.clone()
    }

    /// The peer refused a stream (its slot is free again): it takes no more than those that are open now. Whether it
    /// takes any.
    pub(super) fn was_refused(&self) -> bool {
        let open = self.slots.in_use();
        self.limit.fetch_min(open, Ordering::Relaxed);
        open > 0
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// Dials, and spawns the connection's task, which takes the connection out of `entry` when it is over.
pub(super) async fn dial(
    shared: &Arc<Shared>,
    destination: &Destination,
    entry: Weak<Entry>,
    freed: Arc<Notify>,
) -> Result<Arc<Conn>, DialError> {
    let dialled = dial_and_spawn(shared, destination, entry, freed).await;
    shared.events.dialled(match &dialled {
        Ok(_) => "ok",
        Err((label, _)) => label,
    });
    dialled.map_err(|(_, error)| error)
}

type Failure = (&'static str, DialError);

async fn dial_and_spawn(
    shared: &Arc<Shared>,
    destination: &Destination,
    entry: Weak<Entry>,
    freed: Arc<Notify>,
) -> Result<Arc<Conn>, Failure> {
    let address = destination.address;
    let broken = |label: &'static str, reason: String| (label, DialError::Tls { address, reason });
    let socket = connect(shared, destination).await?;
    let identity = shared.identity();
    let activity = Activity::new();
    let handshake = async {
        let tls = handshake_tls(&identity, destination, socket).await?;
        let shown = tls::chain(tls.get_ref().1.peer_certificates());
        let recheck = Recheck::new(&shared.certs, &identity, shown, Usage::Server);
        let wire = Wire::new(tls, Arc::clone(&activity));
        let cork = wire.cork();
        let (send, connection) = handshake_h2(shared, wire)
            .await
            .map_err(|reason| broken("tls", reason))?;
        Ok((send, connection, cork, recheck))
    };
    let (send, mut connection, cork, recheck) = match timeout(shared.config.handshake_timeout, handshake).await {
        Ok(done) => done?,
        Err(_) => {
            let limit = shared.config.handshake_timeout;
            return Err(broken("timeout", format!("the handshake took longer than {limit:?}")));
        }
    };
    let slots = Slots::telling(freed);
    let lifetime = Lifetime::new(limits(shared), activity, Arc::clone(&slots), connection.ping_pong());
    let conn = Arc::new(Conn {
        send,
        slots,
        identity,
        limit: AtomicUsize::new(usize::MAX),
        ended: AtomicBool::new(false),
    });
    let task = Task {
        connection,
        cork,
        lifetime,
        recheck,
        conn: Arc::downgrade(&conn),
        entry,
    };
    tokio::spawn(run(task, Arc::clone(shared)));
    Ok(conn)
}

async fn connect(shared: &Shared, destination: &Destination) -> Result<Socket, Failure> {
    let address = destination.address;
    let limit = shared.config.connect_timeout;
    match timeout(limit, shared.connector.connect(address)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(source)) => Err(("connect", DialError::Connect { address, source })),
        Err(_) => {
            let source = std::io::Error::new(std::io::ErrorKind::TimedOut, format!("took longer than {limit:?}"));
            Err(("timeout", DialError::Connect { address, source }))
        }
    }
}

/// TLS, and the check that the very workload we want is there: before a byte of HTTP/2 is sent.
async fn handshake_tls(identity: &Identity, destination: &Destination, socket: Socket) -> Result<Tls, Failure> {
    let address = destination.address;
    let broken = |reason: String| ("tls", DialError::Tls { address, reason });
    let io = ReadAhead::new(socket);
    let name = ServerName::IpAddress(address.ip().into());
    let tls = TlsConnector::from(Arc::clone(&identity.client))
        .connect(name, io)
        .await
        .map_err(|error| broken(error.to_string()))?;
    let session = tls.get_ref().1;
    let found = tls::peer_id(session.peer_certificates()).map_err(broken)?;
    if found != destination.identity {
        let expected = destination.identity.clone();
        return Err((
            "identity",
            DialError::Identity {
                address,
                expected,
                found,
            },
        ));
    }
    if session.alpn_protocol() != Some(tls::ALPN) {
        return Err(broken("expected ALPN h2, found none".to_owned()));
    }
    Ok(tls)
}

/// HTTP/2 until the peer's SETTINGS have come: only then its stream limit is known, and that it took our certificate.
async fn handshake_h2(
    shared: &Shared,
    wire: Wire<Tls>,
) -> Result<(SendRequest<Bytes>, Connection<Wire<Tls>, Bytes>), String> {
    let config = &shared.config;
    let streams = u32::try_from(config.max_streams).unwrap_or(u32::MAX);
    let window = config
        .stream_window
        .saturating_mul(streams)
        .clamp(65_535, (1 << 31) - 1);
    let (send, mut connection) = h2::client::Builder::new()
        .initial_window_size(config.stream_window)
        .initial_connection_window_size(window)
        .max_header_list_size(HEADER_LIST_LIMIT_BYTES)
        .max_send_buffer_size(stream::SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(RESET_MEMORY_STREAMS)
        .reset_stream_duration(RESET_MEMORY)
        .enable_push(false)
        // Zero until SETTINGS say otherwise.
        .initial_max_send_streams(0)
        .handshake(wire)
        .await
        .map_err(|error| format!("HTTP/2: {error}"))?;
    std::future::poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err("HTTP/2: closed by the peer before its SETTINGS".to_owned())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(format!("HTTP/2: {error}"))),
        Poll::Pending if send.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((send, connection))
}

fn limits(shared: &Shared) -> Limits {
    Limits {
        ping_interval: shared.config.ping_interval,
        ping_timeout: shared.config.ping_timeout,
        idle_timeout: shared.config.idle_timeout,
        max_age: None,
    }
}

/// The connection itself, and where it is to be taken out of.
struct Task {
    connection: Connection<Wire<Tls>, Bytes>,
    cork: Cork<Tls>,
    lifetime: Lifetime,
    recheck: Recheck,
    conn: Weak<Conn>,
    entry: Weak<Entry>,
}

async fn run(mut task: Task, shared: Arc<Shared>) {
    shared.events.connections(1);
    let ended = RequeueOnce::new(std::future::poll_fn(|cx| task.poll(cx))).await;
    if let Err(reason) = ended {
        tracing::debug!(%reason, "tunnel connection broke");
    }
    task.leave();
    shared.events.connections(-1);
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        while let Poll::Ready(due) = self.lifetime.poll_due(cx) {
            match due {
                Due::Dead => return Poll::Ready(Err("a PING was not answered".to_owned())),
                Due::Idle | Due::Aged => self.leave_if_idle(),
            }
        }
        while let Poll::Ready(revoked) = self.recheck.poll_revoked(cx) {
            match revoked {
                Revoked::Now => self.leave(),
                Revoked::Over => return Poll::Ready(Err("the certificate of the peer was revoked".to_owned())),
            }
        }
        let connection = Pin::new(&mut self.connection);
        self.cork
            .around(cx, |cx| connection.poll(cx))
            .map_err(|error| error.to_string())
    }

    /// No new tunnels from now on. Without the pool's handle h2 closes the connection when its streams have ended.
    fn leave(&self) {
        if let Some(conn) = self.conn.upgrade() {
            conn.ended.store(true, Ordering::Release);
            if let Some(entry) = self.entry.upgrade() {
                entry.remove(&conn);
            }
        }
    }

    fn leave_if_idle(&self) {
        if let (Some(entry), Some(conn)) = (self.entry.upgrade(), self.conn.upgrade()) {
            entry.remove_if_idle(&conn);
        }
    }
}
