//! A Service port's endpoints and the choice among them.

use request::Workload;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is spoken on a port: `appProtocol`, else the port name's prefix, else detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 towards the endpoint (either version from the client).
    Http,
    /// HTTP/2 prior knowledge towards the endpoint.
    H2c,
    /// gRPC: HTTP/2, with gRPC answers for refusals.
    Grpc,
    /// Bytes.
    Tcp,
    /// Bytes that begin with a TLS ClientHello.
    Tls,
    /// Undeclared: the first bytes decide.
    Detect,
}

/// The endpoints of one Service port. Immutable; load counters inside endpoints are shared across compiles.
#[derive(Debug)]
pub struct Cluster {
    /// `<name>.<namespace>.svc.<domain>`.
    pub host: Arc<str>,
    /// Service name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Service port.
    pub port: u16,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// Ready endpoints.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// One address behind a Service port.
#[derive(Debug)]
pub struct Endpoint {
    /// Pod IP and **target** port.
    pub address: SocketAddr,
    /// The workload there.
    pub workload: Arc<Workload>,
    /// Requests in flight, for least-request. Incremented by the proxy loop.
    pub in_flight: AtomicU32,
}

impl Cluster {
    /// Chooses an endpoint: least requests of two picked by `random`, uniform over u64 (power of two choices).
    /// `tried` are addresses not to be chosen again if another exists.
    pub fn choose(&self, random: u64, tried: &[SocketAddr]) -> Option<&Arc<Endpoint>> {
        let untried = || {
            self.endpoints
                .iter()
                .filter(|endpoint| !tried.contains(&endpoint.address))
        };
        let left = if tried.is_empty() {
            self.endpoints.len()
        } else {
            untried().count()
        };
        if tried.is_empty() || left == 0 {
            let (first, second) = two_of(self.endpoints.len(), random);
            less_loaded(self.endpoints.get(first), self.endpoints.get(second))
        } else {
            let (first, second) = two_of(left, random);
            less_loaded(untried().nth(first), untried().nth(second))
        }
    }
}

/// Two different indices below `len`; the same one twice when there is only one.
fn two_of(len: usize, random: u64) -> (usize, usize) {
    let scale = |half: u64, len: usize| ((u128::from(half) * len as u128) >> 32) as usize;
    let first = scale(random >> 32, len);
    if len < 2 {
        return (first, first);
    }
    let second = scale(random & u64::from(u32::MAX), len - 1);
    (first, if second >= first { second + 1 } else { second })
}

fn less_loaded<'a>(first: Option<&'a Arc<Endpoint>>, second: Option<&'a Arc<Endpoint>>) -> Option<&'a Arc<Endpoint>> {
    let load = |endpoint: &Arc<Endpoint>| endpoint.in_flight.load(Ordering::Relaxed);
    match (first, second) {
        (Some(first), Some(second)) if load(second) < load(first) => Some(second),
        (first, _) => first,
    }
}

#[cfg(test)]
mod tests;
