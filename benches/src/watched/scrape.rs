//! CPU and memory of a proxy by its metrics: the names that every Prometheus client library has, and Envoy's.

use super::Reading;
use crate::fault::{During, Fault};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Where Istio's proxies and ours have their metrics.
const PATH: &str = "/stats/prometheus";
/// A scrape may take so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// And be so large: 64 MiB, some 300,000 series.
const LIMIT_BYTES: usize = 64 * 1024 * 1024;
const CPU: &str = "process_cpu_seconds_total";
const RESIDENT: [&str; 2] = ["process_resident_memory_bytes", "envoy_server_memory_physical_size"];

/// An address of metrics.
pub(crate) struct Scrape {
    address: Uri,
    runtime: Runtime,
}

/// Reads `http://HOST:PORT/PATH`, or `HOST:PORT` for the usual path.
pub(crate) fn address(text: &str) -> Result<Uri, String> {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let uri: Uri = whole.parse().map_err(|error| format!("{error}"))?;
    if uri.scheme_str() != Some("http") || uri.port().is_none() {
        return Err("expected HOST:PORT or http://HOST:PORT/PATH".to_owned());
    }
    if uri.path() != "/" {
        return Ok(uri);
    }
    format!("{}{PATH}", whole.trim_end_matches('/'))
        .parse()
        .map_err(|error| format!("{error}"))
}

impl Scrape {
    pub(super) fn new(address: Uri) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            address,
            runtime: runtime.during("runtime")?,
        })
    }

    /// What is there now. At least one of the two must be.
    pub(super) fn read(&self) -> Result<Reading, Fault> {
        let fetched = async { tokio::time::timeout(PATIENCE, self.fetch()).await };
        let text = self.runtime.block_on(fetched).during(&self.address)??;
        let reading = reading(&text);
        if reading == Reading::default() {
            let [own, envoys] = RESIDENT;
            return Err(Fault::new(format!(
                "{}: expected {own}, {envoys} or {CPU}, found none of them: is it the proxy's own metrics port?",
                self.address
            )));
        }
        Ok(reading)
    }

    async fn fetch(&self) -> Result<String, Fault> {
        let told = &self.address;
        let authority = told.authority().during("--metrics without an address")?.as_str();
        let socket = TcpStream::connect(authority).await.during(told)?;
        let (mut send, connection) = http1::handshake(TokioIo::new(socket)).await.during(told)?;
        tokio::spawn(connection);
        let request = Request::get(told.path()).header("host", authority);
        let request = request.body(Empty::<Bytes>::new()).during(told)?;
        let response = send.send_request(request).await.during(told)?;
        if response.status() != StatusCode::OK {
            return Err(Fault::new(format!("{told}: {}", response.status())));
        }
        let body = Limited::new(response.into_body(), LIMIT_BYTES).collect().await;
        let body = body.during(told)?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

fn reading(text: &str) -> Reading {
    let resident = RESIDENT.iter().find_map(|name| value(text, name));
    Reading {
        cpu: value(text, CPU).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        resident_mib: resident.map(|bytes| bytes / (1024.0 * 1024.0)),
    }
}

/// The first series of this name.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests;
