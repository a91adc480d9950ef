//! The backend: says what reached it, misbehaves on demand, and knows how many requests are open on it.
//!
//! HTTP/1.1 and prior-knowledge HTTP/2 on one port. Any path is answered with a JSON account of the request (see
//! [`answers`]); paths under `/do/` do something particular; `/echo.Echo/*` is a gRPC service (see [`grpc`]).
//! It counts what tests need: an upstream request that is not cancelled when its client leaves shows as `open`.

mod answers;
mod gates;
mod grpc;

pub use answers::{Digest, fed_body, pattern, pattern_body};
pub use gates::Gates;
pub use grpc::{EchoMessage, framed, take_message};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Response bodies: any shape, and they can break.
pub type EchoBody = UnsyncBoxBody<Bytes, io::Error>;

/// A running backend. It stops, with all its connections, when dropped.
pub struct Echo {
    address: SocketAddr,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

/// What a backend has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Requests begun.
    pub requests: u64,
    /// Requests begun whose answer has not been sent to its end.
    pub open: u64,
    /// Requests that ended before their answer did: reset by the peer, or the connection closed.
    pub cancelled: u64,
    /// Body bytes received, of all requests, as they come.
    pub body_bytes: u64,
}

struct Shared {
    name: String,
    version: String,
    address: SocketAddr,
    counts: watch::Sender<Counts>,
    gates: Gates,
}

impl Echo {
    /// Listens on `ip:port` (0 = any) and answers as `name` and `version`.
    pub async fn start(ip: Ipv4Addr, port: u16, name: &str, version: &str) -> Self {
        let listener = TcpListener::bind((ip, port))
            .await
            .unwrap_or_else(|e| panic!("echo on {ip}:{port}: {e}"));
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: name.into(),
            version: version.into(),
            address,
            counts: watch::Sender::default(),
            gates: Gates::default(),
        });
        let accept = tokio::spawn(accept(listener, shared.clone()));
        Self {
            address,
            shared,
            accept,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits for counts that satisfy `wanted`; panics with what they are when they don't come.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        let waited = tokio::time::timeout(super::waiting::SOON, counts.wait_for(wanted)).await;
        match waited {
            Ok(counts) => *counts.unwrap(),
            Err(_) => panic!("{}: waited in vain until {what}: {:?}", self.shared.name, self.counts()),
        }
    }

    /// The gates at which `/do/gate/NAME` requests wait.
    pub fn gates(&self) -> &Gates {
        &self.shared.gates
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // The set aborts its connections when this task is aborted.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        socket.set_nodelay(true).ok();
        let shared = shared.clone();
        connections.spawn(async move {
            let _open = OpenConnection::new(&shared);
            let service = service_fn(|request| serve(request, shared.clone()));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().keep_alive(true);
            builder
                .http2()
                .max_concurrent_streams(1000)
                .initial_stream_window_size(1 << 20);
            let _ = builder
                .serve_connection_with_upgrades(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(request: http::Request<Incoming>, shared: Arc<Shared>) -> io::Result<http::Response<Counted>> {
    let open = OpenRequest::new(&shared);
    let no_body = request.method() == http::Method::HEAD;
    let response = if request.uri().path().starts_with("/echo.Echo/") {
        grpc::answer(request, &shared).await?
    } else {
        answers::answer(request, &shared).await?
    };
    Ok(response.map(|inner| Counted::new(inner, open, no_body)))
}

struct OpenConnection(Arc<Shared>);

impl OpenConnection {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.counts.send_modify(|c| {
            c.connections += 1;
            c.open_connections += 1;
        });
        Self(shared.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.counts.send_modify(|c| c.open_connections -= 1);
    }
}

/// Lives from the head of a request to the last byte of its answer.
struct OpenRequest {
    shared: Arc<Shared>,
    done: bool,
}

impl OpenRequest {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.counts.send_modify(|c| {
            c.requests += 1;
            c.open += 1;
        });
        Self {
            shared: shared.clone(),
            done: false,
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.shared.counts.send_modify(|c| {
            c.open -= 1;
            c.cancelled += u64::from(!self.done);
        });
    }
}

/// A response body that knows whether it was sent whole.
struct Counted {
    inner: EchoBody,
    open: OpenRequest,
}

impl Counted {
    fn new(inner: EchoBody, mut open: OpenRequest, no_body: bool) -> Self {
        open.done = no_body || inner.is_end_stream();
        Self { inner, open }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let last = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || self.inner.is_end_stream(),
            Poll::Ready(None) => true,
            _ => false,
        };
        self.open.done |= last;
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
