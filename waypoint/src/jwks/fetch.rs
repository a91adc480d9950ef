//! One fetch of a key set: bounded in time, size and redirects, and only from where a waypoint may go.

use super::address::Place;
use crate::proxy::Node;
use async_trait::async_trait;
use authz::{KeyLocation, KeySource};
use bytes::Bytes;
use hbone::{Alpn, OriginationConfig, Originator, Roots};
use http::header::{ACCEPT, HOST, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Largest document.
const LARGEST: usize = 1 << 20;
/// Redirects that are followed.
const REDIRECTS: usize = 3;
/// Largest head of an answer, and most fields.
const HEAD: usize = 64 << 10;
const FIELDS: usize = 100;
/// Where an issuer says where its keys are (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Gets the text of a key set.
#[async_trait]
pub(super) trait Fetch: Send + Sync + 'static {
    /// # Errors
    /// Why there is none.
    async fn fetch(&self, source: &KeySource) -> Result<String, FetchFault>;
}

/// Why a fetch failed. No text of the server is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchFault {
    /// Nobody should go there.
    #[error("the URI: {0}")]
    Uri(&'static str),
    /// No address, none that is permitted, or no connection to it.
    #[error("no connection: {0}")]
    Connect(String),
    /// It took too long.
    #[error("no complete answer in time")]
    Timeout,
    /// The answer is not 200.
    #[error("expected status 200, found {0}")]
    Status(u16),
    /// More redirects than are followed.
    #[error("more than 3 redirects")]
    Redirects,
    /// It broke off, is no HTTP, or is too large.
    #[error("the answer: {0}")]
    Answer(String),
    /// The issuer's configuration does not name its keys.
    #[error("expected the issuer's configuration with a jwks_uri")]
    Discovery,
    /// Its task panicked, or was killed.
    #[error("the fetch broke off: {0}")]
    Broke(String),
}

impl FetchFault {
    /// The label of its metric.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Uri(_) => "refused",
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Status(_) => "status",
            Self::Redirects => "redirects",
            Self::Answer(_) => "answer",
            Self::Discovery => "discovery",
            Self::Broke(_) => "broke",
        }
    }
}

/// Over the network.
pub(super) struct Http {
    node: Arc<Node>,
}

impl Http {
    pub(super) fn new(node: &Arc<Node>) -> Self {
        Self { node: Arc::clone(node) }
    }
}

#[async_trait]
impl Fetch for Http {
    async fn fetch(&self, source: &KeySource) -> Result<String, FetchFault> {
        let whole = async {
            match &source.location {
                KeyLocation::Jwks(uri) => self.document(uri).await,
                KeyLocation::Issuer(issuer) => {
                    let at = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
                    let uri = jwks_uri(&self.document(&at).await?)?;
                    self.document(&uri).await
                }
            }
        };
        let in_time = tokio::time::timeout(source.timeout, whole).await;
        in_time.unwrap_or(Err(FetchFault::Timeout))
    }
}

fn jwks_uri(configuration: &str) -> Result<String, FetchFault> {
    let parsed: Value = serde_json::from_str(configuration).map_err(|_| FetchFault::Discovery)?;
    let uri = parsed.get("jwks_uri").and_then(Value::as_str);
    uri.map(str::to_owned).ok_or(FetchFault::Discovery)
}

impl Http {
    async fn document(&self, uri: &str) -> Result<String, FetchFault> {
        let mut place = Place::parse(uri).map_err(FetchFault::Uri)?;
        for _ in 0..=REDIRECTS {
            let answer = self.ask(&place).await?;
            let status = answer.status();
            if !status.is_redirection() {
                return match status {
                    StatusCode::OK => text(answer.into_body()).await,
                    status => Err(FetchFault::Status(status.as_u16())),
                };
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or(FetchFault::Status(status.as_u16()))?;
            place = place.follow(location).map_err(FetchFault::Uri)?;
        }
        Err(FetchFault::Redirects)
    }

    async fn ask(&self, place: &Place) -> Result<Response<Incoming>, FetchFault> {
        let stream = self.connect(place).await?;
        if !place.is_tls {
            return exchange(stream, place).await;
        }
        let tls = TLS.as_ref().map_err(|why| FetchFault::Connect(why.clone()))?;
        let connected = tls.connect(&place.host, Alpn::Http1, stream).await;
        exchange(
            connected.map_err(|error| FetchFault::Connect(error.to_string()))?,
            place,
        )
        .await
    }

    /// Every address is looked at before it is dialled, whoever named it: a name, an answer, a redirect.
    async fn connect(&self, place: &Place) -> Result<TcpStream, FetchFault> {
        let found = self.node.dns.addresses(&place.host).await;
        let addresses = found.map_err(|failure| FetchFault::Connect(format!("{}: {failure}", place.host)))?;
        let mut fault = FetchFault::Connect(format!("{} has no address", place.host));
        for ip in addresses {
            let address = SocketAddr::new(ip, place.port);
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => fault = FetchFault::Connect(format!("{address}: {error}")),
            }
        }
        Err(fault)
    }
}

/// Servers are known by the system's certificate authorities.
static TLS: LazyLock<Result<Originator, String>> = LazyLock::new(|| {
    let config = OriginationConfig {
        roots: Roots::System,
        names: Vec::new(),
        identity: None,
        is_verified: true,
    };
    Originator::new(&config).map_err(|error| error.to_string())
});

async fn exchange<S>(stream: S, place: &Place) -> Result<Response<Incoming>, FetchFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = |error: hyper::Error| FetchFault::Answer(error.to_string());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD).max_headers(FIELDS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(answer)?;
    // It ends with the answer's body, or when that is dropped.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = Request::get(&place.target)
        .header(HOST, &place.authority)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchFault::Uri("expected a URI such as https://host/keys"))?;
    sender.send_request(request).await.map_err(answer)
}

async fn text(body: Incoming) -> Result<String, FetchFault> {
    let whole = Limited::new(body, LARGEST).collect().await;
    let bytes = whole.map_err(|error| FetchFault::Answer(error.to_string()))?.to_bytes();
    String::from_utf8(bytes.into()).map_err(|_| FetchFault::Answer("expected UTF-8 text".to_owned()))
}
