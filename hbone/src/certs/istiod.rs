//! Certificates by a CA that speaks `istio.v1.auth.IstioCertificateService`: istiod, istio-csr. We prove who we are with a
//! token of our service account, over TLS to a server that the mesh's root vouches for.
//!
//! The key is made here for each certificate and stays in memory. Root and token are read anew for each call: the root
//! may be replaced and the token expires.

use super::files::{FILE_LIMIT_BYTES, read_up_to};
use super::grpc::{Answers, Fault, call, within};
use super::rotation::{Authority, Rotation};
use super::{CertSource, Identity};
use crate::error::CertError;
use crate::origination::{Alpn, OriginationConfig, Originator, Roots};
use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::uri::Authority as HostAndPort;
use request::SpiffeId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

mod answer;
mod signing_request;

use signing_request::Request;

/// From connecting to the whole answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The one method.
const METHOD: &str = "istio.v1.auth.IstioCertificateService/CreateCertificate";
/// Which cluster's tokens these are, for a CA of several (Istio's header).
const CLUSTER: &str = "clusterid";

/// Whom to ask, and for what.
#[derive(Clone, Debug)]
pub struct IstiodConfig {
    /// `host:port` of the CA; its certificate must be for this host.
    pub address: String,
    /// File with the authorities for that certificate, PEM.
    pub root: PathBuf,
    /// File with the token of our service account.
    pub token: PathBuf,
    /// Who we are.
    pub id: SpiffeId,
    /// The cluster that the token is of.
    pub cluster: String,
}

/// Our identity by such a CA.
#[derive(Debug)]
pub struct Istiod(Rotation<Ca>);

impl Istiod {
    /// Asks until there is a certificate that can be used, however long that takes: what is missing is in the log.
    ///
    /// # Errors
    /// The address or the cluster's name cannot be used at all.
    pub async fn connect(config: IstiodConfig) -> Result<Arc<Self>, CertError> {
        Ok(Arc::new(Self(Rotation::start(Ca::new(config)?).await)))
    }

    /// Asks for the next certificate in time, for as long as it is polled. `taken` hears of every new one.
    pub async fn watch(self: Arc<Self>, taken: impl FnMut(&Identity) + Send) {
        self.0.watch(taken).await;
    }
}

impl CertSource for Istiod {
    fn current(&self) -> Arc<Identity> {
        self.0.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }
}

/// The CA, as far as we know it.
#[derive(Debug)]
struct Ca {
    config: IstiodConfig,
    host: String,
    cluster: HeaderValue,
}

impl Ca {
    fn new(config: IstiodConfig) -> Result<Self, CertError> {
        let host = host(&config.address).ok_or_else(|| CertError {
            file: config.address.clone(),
            reason: "expected host:port of a CA such as istiod.istio-system.svc:15012".to_owned(),
        })?;
        let cluster = HeaderValue::from_str(&config.cluster).map_err(|error| CertError {
            file: format!("cluster {}", config.cluster.escape_debug()),
            reason: error.to_string(),
        })?;
        Ok(Self { config, host, cluster })
    }

    fn fault(&self, why: impl ToString) -> CertError {
        CertError {
            file: self.config.address.clone(),
            reason: why.to_string(),
        }
    }

    async fn ask(&self, tls: &Originator, token: HeaderValue, message: &[u8]) -> Result<Bytes, Fault> {
        let connect = |error: String| Fault::Connect(error);
        let stream = TcpStream::connect(&self.config.address).await;
        let stream = stream.map_err(|error| connect(error.to_string()))?;
        let stream = tls.connect(&self.host, Alpn::Http2, stream).await;
        let stream = stream.map_err(|error| connect(error.to_string()))?;
        let call = call(&format!("https://{}/{METHOD}", self.config.address))
            .header(AUTHORIZATION, token)
            .header(CLUSTER, self.cluster.clone());
        Answers::open(stream, call, message).await?.only().await
    }
}

impl Authority for Ca {
    async fn sign(&self) -> Result<Identity, CertError> {
        let roots = read(&self.config.root).await?;
        let token = bearer(&self.config.token).await?;
        let tls = originator(&roots).map_err(|reason| CertError {
            file: self.config.root.display().to_string(),
            reason,
        })?;
        let request = Request::new(&self.config.id).map_err(|why| self.fault(why))?;
        let answer = within(ANSWER, self.ask(&tls, token, &request.message)).await;
        let answer = answer.map_err(|fault| self.fault(fault))?;
        answer::identity(&answer, request.key, &self.config.id)
            .map_err(|why| self.fault(format!("the CA's answer: {why}")))
    }
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
