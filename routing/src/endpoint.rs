//! A Service port's endpoints and the choice among them.

use request::Workload;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

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
    /// Chooses an endpoint: least requests of two picked by `random` (power of two choices).
    /// `tried` are addresses not to be chosen again if another exists.
    pub fn choose(&self, _random: u64, _tried: &[SocketAddr]) -> Option<&Arc<Endpoint>> {
        todo!()
    }
}
