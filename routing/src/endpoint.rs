//! One address behind a Service port, and what is spoken there.

use crate::{Health, NetworkGateway, Tls};
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

/// One address, as one [`crate::Cluster`] has it.
#[derive(Debug)]
pub struct Endpoint {
    /// Pod IP and **target** port; behind a gateway, the gateway's address and tunnel port.
    pub address: SocketAddr,
    /// The workload there.
    pub workload: Arc<Workload>,
    /// Requests in flight, for least-request. Incremented by the proxy loop. Clusters with the same address (a Service
    /// and its subsets) share it.
    pub in_flight: Arc<AtomicU32>,
    /// Share among the endpoints of its priority, at least 1.
    pub weight: u32,
    /// 0 is used first (the nearest); others when no endpoint before them can be.
    pub priority: u8,
    /// What this cluster has seen of it.
    pub health: Arc<Health>,
    /// TLS of its own, inside whatever leads there; `None`: what is sent is what is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Through whom it is reached, when it is on another network.
    pub gateway: Option<Arc<NetworkGateway>>,
}

impl Endpoint {
    /// With weight 1, of the first priority, and nothing known of it.
    pub fn new(address: SocketAddr, workload: Arc<Workload>) -> Self {
        Self {
            address,
            workload,
            in_flight: Arc::default(),
            weight: 1,
            priority: 0,
            health: Arc::default(),
            tls: None,
            gateway: None,
        }
    }

    /// Its address is its own, and what is sent there is what is spoken.
    pub fn is_spoken_to_directly(&self) -> bool {
        self.tls.is_none() && self.gateway.is_none()
    }

    /// Requests in flight now.
    pub fn load(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }
}
