//! The mesh's control plane (istiod, istio-csr) as we call it: gRPC over TLS to a server that the mesh's root vouches for,
//! with the token of our service account. What is said is for others to know.
//!
//! Root and token are read anew for each call: the root may be replaced and the token expires.

use crate::backoff::Backoff;
use crate::certs::{FILE_LIMIT_BYTES, read_up_to};
use crate::error::CertError;
use crate::grpc::{Answers, Exchange, Fault, call, within};
use crate::origination::{Alpn, OriginatedStream, OriginationConfig, Originator, Roots};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::Authority as HostAndPort;
use http::{HeaderValue, request};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// From connecting to the whole answer of a call that has one; and to the first answer of one that has many.
const ANSWER: Duration = Duration::from_secs(10);
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// Sending takes at most this long.
const SEND: Duration = Duration::from_secs(30);
/// The first wait after a failure; the next are twice as long each, up to 30 s.
const RETRY: Duration = Duration::from_millis(500);
/// Which cluster's tokens these are, for a control plane of several (Istio's header).
const CLUSTER: &str = "clusterid";

/// Where the control plane is, and who we are to it.
#[derive(Clone, Debug)]
pub struct ControlPlaneConfig {
    /// `host:port`; its certificate must be for this host.
    pub address: String,
    /// File with the authorities for that certificate, PEM.
    pub root: PathBuf,
    /// File with the token of our service account.
    pub token: PathBuf,
    /// The cluster that the token is of.
    pub cluster: String,
}

/// What is said on calls that stay open, one after the other, and what becomes of the answers.
pub trait Conversation: Send {
    /// The first message of a new call.
    fn hello(&mut self) -> Vec<u8>;

    /// Takes an answer in, and gives back what is said to it.
    ///
    /// # Errors
    /// Why the call is of no use any more: another one is begun after a while.
    fn take(&mut self, answer: Bytes) -> Result<Vec<u8>, String>;

    /// The call is over, or did not come about.
    fn lost(&mut self, why: &str);
}

/// The control plane, as far as we know it.
#[derive(Debug)]
pub struct ControlPlane {
    config: ControlPlaneConfig,
    host: String,
    cluster: HeaderValue,
}

impl ControlPlane {
    /// Nothing is read or asked yet.
    ///
    /// # Errors
    /// The address or the cluster's name cannot be used at all.
    pub fn new(config: ControlPlaneConfig) -> Result<Self, CertError> {
        let host = host(&config.address).ok_or_else(|| CertError {
            file: config.address.clone(),
            reason: "expected host:port such as istiod.istio-system.svc:15012".to_owned(),
        })?;
        let cluster = HeaderValue::from_str(&config.cluster).map_err(|error| CertError {
            file: format!("cluster {}", config.cluster.escape_debug()),
            reason: error.to_string(),
        })?;
        Ok(Self { config, host, cluster })
    }

    /// Holds a conversation over `method` (`package.Service/Method`) for as long as it is polled: a call that ends is
    /// followed by another, after 0.5 s to 30 s. Answers have `limit` bytes at most.
    pub async fn converse(&self, method: &str, limit: usize, talk: &mut impl Conversation) {
        let mut backoff = Backoff::new(RETRY);
        loop {
            let why = self.talk(method, limit, talk, &mut backoff).await;
            talk.lost(&why);
            sleep(backoff.next()).await;
        }
    }

    /// One call, until something is wrong with it.
    async fn talk(&self, method: &str, limit: usize, talk: &mut impl Conversation, backoff: &mut Backoff) -> String {
        let access = match self.access().await {
            Ok(access) => access,
            Err(error) => return error.to_string(),
        };
        let open = async {
            let (stream, call) = self.connect(&access, method).await?;
            let mut exchange = Exchange::open(stream, call, &talk.hello(), limit).await?;
            let answer = exchange.next().await?;
            Ok((exchange, answer))
        };
        let (mut exchange, mut answer) = match within(FIRST_ANSWER, open).await {
            Ok(opened) => opened,
            Err(fault) => return self.fault(fault).to_string(),
        };
        loop {
            let said = match talk.take(answer) {
                Ok(said) => said,
                Err(why) => return self.fault(why).to_string(),
            };
            *backoff = Backoff::new(RETRY);
            if let Err(fault) = within(SEND, exchange.send(&said)).await {
                return self.fault(fault).to_string();
            }
            // A server that has nothing to say is well as long as it answers PINGs.
            answer = match exchange.next().await {
                Ok(answer) => answer,
                Err(fault) => return self.fault(fault).to_string(),
            };
        }
    }

    pub(crate) fn fault(&self, why: impl ToString) -> CertError {
        CertError {
            file: self.config.address.clone(),
            reason: why.to_string(),
        }
    }

    /// What a call needs beside its message.
    pub(crate) async fn access(&self) -> Result<Access, CertError> {
        let roots = read(&self.config.root).await?;
        let token = bearer(&self.config.token).await?;
        let tls = originator(&roots).map_err(|reason| CertError {
            file: self.config.root.display().to_string(),
            reason,
        })?;
        Ok(Access { tls, token })
    }

    /// The one answer to one message.
    pub(crate) async fn ask(&self, access: &Access, method: &str, message: &[u8]) -> Result<Bytes, Fault> {
        let ask = async {
            let (stream, call) = self.connect(access, method).await?;
            Answers::open(stream, call, message).await?.only().await
        };
        within(ANSWER, ask).await
    }

    async fn connect(
        &self,
        access: &Access,
        method: &str,
    ) -> Result<(OriginatedStream<TcpStream>, request::Builder), Fault> {
        let connect = |error: String| Fault::Connect(error);
        let stream = TcpStream::connect(&self.config.address).await;
        let stream = stream.map_err(|error| connect(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| connect(error.to_string()))?;
        let stream = access.tls.connect(&self.host, Alpn::Http2, stream).await;
        let stream = stream.map_err(|error| connect(error.to_string()))?;
        let call = call(&format!("https://{}/{method}", self.config.address))
            .header(AUTHORIZATION, access.token.clone())
            .header(CLUSTER, self.cluster.clone());
        Ok((stream, call))
    }
}

/// Root and token as they are now.
pub(crate) struct Access {
    tls: Originator,
    token: HeaderValue,
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn host(address: &str) -> Option<String> {
    let parsed: HostAndPort = address.parse().ok()?;
    let port = parsed.port_u16().filter(|port| *port != 0);
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    (port.is_some() && !host.is_empty() && !address.contains('@')).then(|| host.to_owned())
}

fn originator(roots: &[u8]) -> Result<Originator, String> {
    let config = OriginationConfig {
        roots: Roots::Pem(roots),
        names: Vec::new(),
        identity: None,
        is_verified: true,
    };
    Originator::new(&config).map_err(|error| error.to_string())
}

/// The token as a header. It is repeated nowhere.
async fn bearer(path: &Path) -> Result<HeaderValue, CertError> {
    let expected = |what: &str| CertError {
        file: path.display().to_string(),
        reason: format!("expected a token, found {what}"),
    };
    let token = read(path).await?;
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err(expected("nothing"));
    }
    let mut bearer = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|_| expected("something else"))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

async fn read(path: &Path) -> Result<Vec<u8>, CertError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_up_to(FILE_LIMIT_BYTES, &owned)).await;
    read.unwrap_or_else(|error| {
        Err(CertError {
            file: path.display().to_string(),
            reason: error.to_string(),
        })
    })
}

#[cfg(test)]
mod tests;
