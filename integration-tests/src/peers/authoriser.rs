//! An external authoriser: Envoy's gRPC check and the plain HTTP one on one port, with the answers that a test wants,
//! and an account of all that it was asked.
//!
//! The messages are written down here once more, from Envoy's API and not from the waypoint's code: two readings of one
//! text that must agree.

use super::echo::EchoBody;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running authoriser. It stops, with all its connections, when dropped.
pub struct Authoriser {
    address: SocketAddr,
    asked: Arc<watch::Sender<Vec<Asked>>>,
    connections: Arc<watch::Sender<u64>>,
    accept: JoinHandle<()>,
}

/// One question.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// By gRPC.
    pub grpc: bool,
    /// About a connection, not a request.
    pub tcp: bool,
    /// Method of the request.
    pub method: String,
    /// Path and query of the request.
    pub path: String,
    /// Its Host.
    pub host: String,
    /// Its headers, of those that were sent.
    pub headers: HashMap<String, String>,
    /// Its body, of what was sent.
    pub body: Vec<u8>,
    /// The body came as `raw_body`.
    pub raw: bool,
    /// gRPC: `size`.
    pub size: i64,
    /// gRPC: `id`.
    pub id: String,
    /// gRPC: `protocol`.
    pub protocol: String,
    /// gRPC: address and principal of the source.
    pub source: (String, String),
    /// gRPC: address and principal of the destination.
    pub destination: (String, String),
}

/// One answer.
#[derive(Clone, Debug)]
pub enum Says {
    /// Yes, with changes of the request's headers (an empty value removes) and headers for the client.
    Yes {
        /// For the backend.
        upstream: Vec<(&'static str, &'static str)>,
        /// For the client (HTTP: all headers are in one answer; this list is added to it).
        client: Vec<(&'static str, &'static str)>,
    },
    /// No: status, headers, body.
    No(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// Nothing, ever.
    Nothing,
    /// gRPC: this `grpc-status` and no message. HTTP: this status.
    Fails(u16),
    /// gRPC: bytes that are no message.
    Nonsense,
}

impl Says {
    /// Yes.
    pub fn yes() -> Self {
        Self::Yes {
            upstream: Vec::new(),
            client: Vec::new(),
        }
    }
}

type Answer = dyn Fn(&Asked) -> Says + Send + Sync;

impl Authoriser {
    /// Listens on `ip:port` (0 = any).
    pub async fn start(ip: Ipv4Addr, port: u16, says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, port))
            .await
            .unwrap_or_else(|e| panic!("authoriser on {ip}:{port}: {e}"));
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(watch::Sender::default());
        let connections = Arc::new(watch::Sender::default());
        let says: Arc<Answer> = Arc::new(says);
        let accept = tokio::spawn(accept(listener, says, Arc::clone(&asked), Arc::clone(&connections)));
        Self {
            address,
            asked,
            connections,
            accept,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// The latest question; panics when there was none.
    pub fn last(&self) -> Asked {
        self.asked().pop().expect("nothing was asked")
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        *self.connections.borrow()
    }

    /// Waits until so many questions were asked.
    pub async fn until_asked(&self, count: usize) {
        let mut asked = self.asked.subscribe();
        let waited = tokio::time::timeout(super::waiting::SOON, asked.wait_for(|asked| asked.len() >= count)).await;
        assert!(waited.is_ok(), "asked {} times, not {count}", self.asked().len());
    }
}

impl Drop for Authoriser {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(
    listener: TcpListener,
    says: Arc<Answer>,
    asked: Arc<watch::Sender<Vec<Asked>>>,
    count: Arc<watch::Sender<u64>>,
) {
    // The set aborts its connections when this task is aborted.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).ok();
        count.send_modify(|count| *count += 1);
        let (says, asked) = (Arc::clone(&says), Arc::clone(&asked));
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&says), Arc::clone(&asked)));
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    says: Arc<Answer>,
    asked: Arc<watch::Sender<Vec<Asked>>>,
) -> io::Result<Response<EchoBody>> {
    let is_grpc = request.uri().path() == "/envoy.service.auth.v3.Authorization/Check"
        && request
            .headers()
            .get("content-type")
            .is_some_and(|v| v == "application/grpc");
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let question = if is_grpc { by_grpc(body) } else { by_http(&head, &body) };
    let says = says(&question);
    asked.send_modify(|asked| asked.push(question));
    if matches!(says, Says::Nothing) {
        return std::future::pending().await;
    }
    Ok(if is_grpc {
        grpc_answer(&says)
    } else {
        http_answer(&says)
    })
}

fn by_http(head: &http::request::Parts, body: &Bytes) -> Asked {
    let text = |v: &HeaderValue| v.to_str().unwrap().to_owned();
    let host = head.headers.get("host").map(text);
    Asked {
        method: head.method.to_string(),
        path: head.uri.path_and_query().unwrap().to_string(),
        host: host
            .or(head.uri.authority().map(ToString::to_string))
            .unwrap_or_default(),
        headers: head.headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect(),
        body: body.to_vec(),
        ..Asked::default()
    }
}

fn http_answer(says: &Says) -> Response<EchoBody> {
    let (status, headers, body) = match says {
        Says::Yes { upstream, client } => (200, [upstream.clone(), client.clone()].concat(), "yes"),
        Says::No(status, headers, body) => (*status, headers.clone(), *body),
        Says::Fails(status) => (*status, Vec::new(), "broken"),
        Says::Nothing | Says::Nonsense => (500, Vec::new(), ""),
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(whole(body.as_bytes())).unwrap()
}

fn whole(body: &'static [u8]) -> EchoBody {
    Full::new(Bytes::from_static(body))
        .map_err(|e| match e {})
        .boxed_unsync()
}

fn by_grpc(mut body: Bytes) -> Asked {
    assert_eq!(body.get_u8(), 0, "not compressed");
    assert_eq!(body.get_u32() as usize, body.len(), "one whole message");
    let attributes = CheckRequest::decode(body).unwrap().attributes.unwrap();
    let peer = |peer: Option<Peer>| {
        let peer = peer.unwrap_or_default();
        let address = peer.address.and_then(|a| a.socket_address).unwrap_or_default();
        (format!("{}:{}", address.address, address.port), peer.principal)
    };
    let http = attributes.request.and_then(|r| r.http);
    let tcp = http.is_none();
    let http = http.unwrap_or_default();
    Asked {
        grpc: true,
        tcp,
        method: http.method,
        path: http.path,
        host: http.host,
        headers: http.headers,
        raw: !http.raw_body.is_empty(),
        body: if http.raw_body.is_empty() {
            http.body.into_bytes()
        } else {
            http.raw_body
        },
        size: http.size,
        id: http.id,
        protocol: http.protocol,
        source: peer(attributes.source),
        destination: peer(attributes.destination),
    }
}

fn grpc_answer(says: &Says) -> Response<EchoBody> {
    let (message, status) = match says {
        Says::Yes { upstream, client } => (ok(upstream, client), 0),
        Says::No(status, headers, body) => (denied(*status, headers, body), 0),
        Says::Fails(status) => (CheckResponse::default(), *status),
        Says::Nothing | Says::Nonsense => (CheckResponse::default(), 0),
    };
    let mut frame = BytesMut::from(&[0][..]);
    let encoded = if matches!(says, Says::Nonsense) {
        vec![0xff; 9]
    } else {
        message.encode_to_vec()
    };
    frame.extend_from_slice(&u32::try_from(encoded.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&encoded);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let mut frames = vec![Ok(Frame::trailers(trailers))];
    if status == 0 {
        frames.insert(0, Ok(Frame::data(frame.freeze())));
    }
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(HeaderName::from_static("content-type"), grpc);
    response
}

fn ok(upstream: &[(&str, &str)], client: &[(&str, &str)]) -> CheckResponse {
    let (set, removed): (Vec<_>, Vec<_>) = upstream.iter().partition(|(_, value)| !value.is_empty());
    CheckResponse {
        status: Some(Status { code: 0 }),
        denied: None,
        ok: Some(OkHttpResponse {
            headers: options(&set),
            headers_to_remove: removed.iter().map(|(name, _)| (*name).to_owned()).collect(),
            response_headers_to_add: options(client),
        }),
    }
}

fn denied(status: u16, headers: &[(&str, &str)], body: &str) -> CheckResponse {
    CheckResponse {
        status: Some(Status { code: 7 }),
        denied: Some(DeniedHttpResponse {
            status: (status != 0).then_some(HttpStatus { code: status.into() }),
            headers: options(headers),
            body: body.to_owned(),
        }),
        ok: None,
    }
}

fn options(headers: &[(&str, &str)]) -> Vec<HeaderValueOption> {
    let option = |(name, value): &(&str, &str)| HeaderValueOption {
        header: Some(Header {
            key: (*name).to_owned(),
            value: (*value).to_owned(),
        }),
    };
    headers.iter().map(option).collect()
}

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "2")]
    destination: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<RequestAttributes>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    address: Option<Address>,
    #[prost(string, tag = "4")]
    principal: String,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "1")]
    socket_address: Option<SocketAddressMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SocketAddressMessage {
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, tag = "3")]
    port: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RequestAttributes {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpAttributes>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpAttributes {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(int64, tag = "9")]
    size: i64,
    #[prost(string, tag = "10")]
    protocol: String,
    #[prost(string, tag = "11")]
    body: String,
    #[prost(bytes = "vec", tag = "12")]
    raw_body: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    ok: Option<OkHttpResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    response_headers_to_add: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}
