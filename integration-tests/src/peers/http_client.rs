//! An HTTP client over any byte stream (a tunnel above all): HTTP/1.1 keep-alive or prior-knowledge HTTP/2.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Request bodies.
pub type ClientBody = UnsyncBoxBody<Bytes, io::Error>;

/// One connection. It closes when this is dropped.
pub struct HttpClient {
    sender: Sender,
    host: String,
    connection: JoinHandle<()>,
}

enum Sender {
    H1(http1::SendRequest<ClientBody>),
    H2(http2::SendRequest<ClientBody>),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Version it came in.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Trailers, empty when there were none.
    pub trailers: HeaderMap,
}

impl HttpClient {
    /// Speaks HTTP/1.1. `host` is the Host header of requests that bring none.
    pub async fn http1<IO>(io: IO, host: &str) -> hyper::Result<Self>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let connection = tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(Self {
            sender: Sender::H1(sender),
            host: host.into(),
            connection,
        })
    }

    /// Speaks HTTP/2. `host` is the :authority of requests whose URI has none.
    pub async fn http2<IO>(io: IO, host: &str) -> hyper::Result<Self>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self {
            sender: Sender::H2(sender),
            host: host.into(),
            connection,
        })
    }

    /// GET, whole answer.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(get(path)).await
    }

    /// Sends and reads to the end; panics when the connection fails.
    pub async fn send(&mut self, request: Request<ClientBody>) -> Reply {
        let what = format!("{} {}", request.method(), request.uri());
        match self.try_send(request).await {
            Ok(reply) => reply,
            Err(e) => panic!("{what} to {}: {e:?}", self.host),
        }
    }

    /// Sends and reads to the end.
    ///
    /// # Errors
    /// The connection or stream broke, before or within the answer.
    pub async fn try_send(&mut self, request: Request<ClientBody>) -> hyper::Result<Reply> {
        Reply::read(self.begin(request).await?).await
    }

    /// Sends and returns with the answer's head.
    ///
    /// # Errors
    /// The connection or stream broke.
    pub async fn begin(&mut self, mut request: Request<ClientBody>) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::H1(sender) => {
                if !request.headers().contains_key("host") {
                    request
                        .headers_mut()
                        .insert("host", HeaderValue::try_from(&self.host).unwrap());
                }
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::H2(sender) => {
                let host = request.headers_mut().remove("host");
                if request.uri().authority().is_none() {
                    let host = host.as_ref().map_or(self.host.as_str(), |h| h.to_str().unwrap());
                    let path = request.uri().path_and_query().unwrap().clone();
                    let uri = Uri::builder().scheme("http").authority(host).path_and_query(path);
                    *request.uri_mut() = uri.build().unwrap();
                }
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Whether the other side has ended the connection.
    pub fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }

    /// Waits until the other side ends the connection.
    pub async fn closed(&mut self) {
        super::waiting::soon("the other side closes the connection", &mut self.connection)
            .await
            .ok();
    }

    /// The handle of requests only (HTTP/2 streams run side by side on it); HTTP/1 has none.
    pub fn http2_sender(&self) -> Option<http2::SendRequest<ClientBody>> {
        match &self.sender {
            Sender::H1(_) => None,
            Sender::H2(sender) => Some(sender.clone()),
        }
    }
}

impl Drop for HttpClient {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Reply {
    /// Reads an answer to its end.
    ///
    /// # Errors
    /// It broke off.
    pub async fn read(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, mut body) = response.into_parts();
        let (mut data, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        let (status, version, headers) = (head.status, head.version, head.headers);
        Ok(Self {
            status,
            version,
            headers,
            body: data.freeze(),
            trailers,
        })
    }

    /// The body as JSON (the echo backend's account); panics with the body when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}) in {self:?}"))
    }

    /// A field of the account, as text ("" when absent).
    pub fn field(&self, name: &str) -> String {
        match &self.json()[name] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// A header of the request as the backend saw it.
    pub fn seen_header(&self, name: &str) -> Option<String> {
        self.json()["headers"][name].as_str().map(str::to_owned)
    }

    /// A header of the answer, "" when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A GET without a body.
pub fn get(path: &str) -> Request<ClientBody> {
    Request::get(path).body(empty()).unwrap()
}

/// A GET with these headers.
pub fn get_with(path: &str, headers: &[(&str, &str)]) -> Request<ClientBody> {
    let request = headers
        .iter()
        .fold(Request::get(path), |r, (name, value)| r.header(*name, *value));
    request.body(empty()).unwrap()
}

/// A POST with this body.
pub fn post(path: &str, body: impl Into<Bytes>) -> Request<ClientBody> {
    Request::post(path).body(full(body)).unwrap()
}

/// No body.
pub fn empty() -> ClientBody {
    Empty::new().map_err(|e| match e {}).boxed_unsync()
}

/// A body of known length.
pub fn full(body: impl Into<Bytes>) -> ClientBody {
    Full::new(body.into()).map_err(|e| match e {}).boxed_unsync()
}

/// A body made of these frames.
pub fn frames(frames: Vec<Frame<Bytes>>) -> ClientBody {
    StreamBody::new(stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
}

/// A body of `bytes` bytes of the backend's pattern, never held in memory.
pub fn big(bytes: u64) -> ClientBody {
    super::echo::pattern_body(bytes)
}

/// A body fed by the test.
pub fn fed() -> (mpsc::Sender<io::Result<Frame<Bytes>>>, ClientBody) {
    super::echo::fed_body()
}
