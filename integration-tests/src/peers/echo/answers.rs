//! What the backend answers to plain HTTP.
//!
//! | path | answer |
//! | --- | --- |
//! | anything else | 200 and a JSON account of the request, after its body was read |
//! | `/do/status/N` | that status; 204 and 304 have no body, others a short text |
//! | `/do/delay/MS` | the account, that much later |
//! | `/do/gate/NAME` | the account, once the test opens the gate |
//! | `/do/held/NAME` | head and a first chunk at once, the rest once the test opens the gate |
//! | `/do/hang` | nothing, ever |
//! | `/do/trailers` | a chunked account with trailers `x-digest` and `x-name` |
//! | `/do/stream` | the request's body, as it comes, trailers too (full duplex) |
//! | `/do/early` | 403 without reading the body |
//! | `/do/big/N` | N bytes of [`pattern`] |
//! | `/do/chunks/N` | N chunks of one byte |
//! | `/do/reset` | a head, some bytes, then a broken connection or stream |
//! | `/do/upgrade` | 101, then every byte comes back |
//! | `/do/headers/N` | the account with N extra headers |

use super::{EchoBody, Shared};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use std::hash::Hasher;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) async fn answer(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<EchoBody>> {
    let path = request.uri().path().to_owned();
    let mut steps = path.strip_prefix("/do/").unwrap_or_default().split('/');
    let (what, how) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
    match what {
        "status" => status(request, shared, how).await,
        "delay" => {
            tokio::time::sleep(Duration::from_millis(how.parse().unwrap_or(0))).await;
            account(request, shared).await
        }
        "gate" => {
            shared.gates.pass(how).await;
            account(request, shared).await
        }
        "held" => held(shared, how).await,
        "hang" => std::future::pending().await,
        "trailers" => trailers(request, shared).await,
        "stream" => Ok(Response::new(stream_back(request, shared))),
        "early" => Ok(with_status(
            StatusCode::FORBIDDEN,
            text("refused before the body was read"),
        )),
        "big" => Ok(Response::new(pattern_body(how.parse().unwrap_or(0)))),
        "chunks" => Ok(Response::new(chunks(how.parse().unwrap_or(0)))),
        "reset" => Ok(Response::new(broken())),
        "upgrade" => Ok(upgrade(request)),
        "headers" => {
            let mut response = account(request, shared).await?;
            for i in 0..how.parse().unwrap_or(0) {
                let name = http::HeaderName::try_from(format!("x-extra-{i}")).map_err(io::Error::other)?;
                response.headers_mut().insert(name, HeaderValue::from_static("v"));
            }
            Ok(response)
        }
        _ => account(request, shared).await,
    }
}

/// The bytes of big bodies, repeated: a prime length, so that a lost or doubled block of any usual size shows.
pub fn pattern() -> Bytes {
    static PATTERN: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    PATTERN
        .get_or_init(|| {
            (0..65_521u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect()
        })
        .clone()
}

/// A digest of a body that does not depend on how it was cut into frames.
#[derive(Default)]
pub struct Digest {
    hasher: std::hash::DefaultHasher,
    bytes: u64,
}

impl Digest {
    /// Adds the next bytes.
    pub fn add(&mut self, data: &[u8]) {
        self.hasher.write(data);
        self.bytes += data.len() as u64;
    }

    /// How many bytes it has taken.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest.
    pub fn hex(&self) -> String {
        format!("{:016x}", self.hasher.finish())
    }
}

async fn account(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<EchoBody>> {
    let json = describe(request, shared).await?;
    let mut response = Response::new(text(&json.to_string()));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert(
        "x-backend",
        HeaderValue::try_from(&shared.version).map_err(io::Error::other)?,
    );
    Ok(response)
}

async fn describe(request: Request<Incoming>, shared: &Shared) -> io::Result<serde_json::Value> {
    let (head, mut body) = request.into_parts();
    let mut digest = Digest::default();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        match frame.into_data() {
            Ok(data) => {
                digest.add(&data);
                shared.counts.send_modify(|c| c.body_bytes += data.len() as u64);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(serde_json::json!({
        "name": shared.name,
        "version": shared.version,
        "address": shared.address.to_string(),
        "protocol": match head.version { Version::HTTP_2 => "HTTP/2", Version::HTTP_10 => "HTTP/1.0", _ => "HTTP/1.1" },
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "host": head.uri.authority().map(|a| a.as_str()).or_else(|| head.headers.get("host").and_then(|h| h.to_str().ok())),
        "headers": joined(&head.headers),
        "body_bytes": digest.bytes(),
        "body_digest": digest.hex(),
        "trailers": joined(&trailers),
    }))
}

/// `name -> values joined by ","`, names in lower case.
fn joined(headers: &HeaderMap) -> serde_json::Value {
    let names = headers.keys().map(|name| {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .collect();
        (name.as_str().to_owned(), values.join(",").into())
    });
    serde_json::Value::Object(names.collect())
}

async fn status(request: Request<Incoming>, shared: &Shared, code: &str) -> io::Result<Response<EchoBody>> {
    let code = StatusCode::from_bytes(code.as_bytes()).unwrap_or(StatusCode::IM_A_TEAPOT);
    if code == StatusCode::NO_CONTENT || code == StatusCode::NOT_MODIFIED {
        return Ok(with_status(code, Empty::new().map_err(|e| match e {}).boxed_unsync()));
    }
    let (_, body) = account(request, shared).await?.into_parts();
    Ok(with_status(code, body))
}

async fn held(shared: &Shared, gate: &str) -> io::Result<Response<EchoBody>> {
    let (send, body) = fed_body();
    send.send(Ok(Frame::data(Bytes::from_static(b"first,")))).await.ok();
    // The gate is passed inside the body, so that the answer's head is already out.
    let (name, gates) = (gate.to_owned(), shared.gates.ticket(gate));
    tokio::spawn(async move {
        tokio::select! {
            () = gates => { send.send(Ok(Frame::data(Bytes::from(format!("last of {name}"))))).await.ok(); }
            () = send.closed() => {}
        }
    });
    Ok(Response::new(body))
}

async fn trailers(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<EchoBody>> {
    let json = describe(request, shared).await?.to_string();
    let mut digest = Digest::default();
    digest.add(json.as_bytes());
    let mut trailers = HeaderMap::new();
    trailers.insert(
        "x-digest",
        HeaderValue::try_from(digest.hex()).map_err(io::Error::other)?,
    );
    trailers.insert("x-name", HeaderValue::try_from(&shared.name).map_err(io::Error::other)?);
    let frames = [Ok(Frame::data(Bytes::from(json))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    response
        .headers_mut()
        .insert("trailer", HeaderValue::from_static("x-digest, x-name"));
    Ok(response)
}

fn stream_back(request: Request<Incoming>, shared: &Shared) -> EchoBody {
    let counts = shared.counts.clone();
    request
        .into_body()
        .map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                counts.send_modify(|c| c.body_bytes += data.len() as u64);
            }
            frame
        })
        .map_err(io::Error::other)
        .boxed_unsync()
}

/// A body of that many bytes of [`pattern`], of unannounced length, never held in memory.
pub fn pattern_body(bytes: u64) -> EchoBody {
    let frames = stream::unfold(bytes, |left| async move {
        let chunk = pattern();
        let n = left.min(chunk.len() as u64);
        (n > 0).then(|| (Ok(Frame::data(chunk.slice(..n as usize))), left - n))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn chunks(count: u64) -> EchoBody {
    let frames = (0..count).map(|_| Ok(Frame::data(Bytes::from_static(b"."))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn broken() -> EchoBody {
    let half = stream::iter([Ok(Frame::data(Bytes::from_static(b"half of ")))]);
    let end = stream::once(async {
        tokio::task::yield_now().await; // head and first half are flushed meanwhile
        Err(io::Error::other("as the test asked"))
    });
    StreamBody::new(half.chain(Box::pin(end))).boxed_unsync()
}

fn upgrade(mut request: Request<Incoming>) -> Response<EchoBody> {
    let wanted = request.headers().get("upgrade").cloned();
    let Some(protocol) = wanted else {
        return with_status(StatusCode::UPGRADE_REQUIRED, text("no Upgrade header"));
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(io) = upgraded.await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(io));
        tokio::io::copy(&mut read, &mut write).await.ok();
        tokio::io::AsyncWriteExt::shutdown(&mut write).await.ok();
    });
    let mut response = with_status(
        StatusCode::SWITCHING_PROTOCOLS,
        Empty::new().map_err(|e| match e {}).boxed_unsync(),
    );
    response.headers_mut().insert("upgrade", protocol);
    response
        .headers_mut()
        .insert("connection", HeaderValue::from_static("upgrade"));
    response
}

fn with_status(status: StatusCode, body: EchoBody) -> Response<EchoBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn text(text: &str) -> EchoBody {
    Full::new(Bytes::from(text.to_owned()))
        .map_err(|e| match e {})
        .boxed_unsync()
}

/// A body fed by whoever holds the sender.
pub fn fed_body() -> (mpsc::Sender<io::Result<Frame<Bytes>>>, EchoBody) {
    let (send, receive) = mpsc::channel(4);
    let frames = stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|f| (f, receive))
    });
    (send, StreamBody::new(frames).boxed_unsync())
}
