//! What Envoy is told of a world: what Istio's control plane would know.

use crate::fault::Fault;
use crate::neighbour::{PolicyRule, World};
use crate::scenario::Speaks;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// All that its configuration is made of.
pub(super) struct Told {
    /// Where it takes tunnels.
    pub(super) address: SocketAddr,
    /// The folder with its certificates.
    pub(super) certs: PathBuf,
    /// What ids of clients begin with.
    pub(super) clients: String,
    /// The id of the destination.
    pub(super) destination: String,
    pub(super) vip_ip: Ipv4Addr,
    pub(super) vip_port: u16,
    /// The pod's address and port.
    pub(super) application: SocketAddr,
    /// Whether the pod is spoken to in HTTP/2.
    pub(super) is_http2: bool,
    pub(super) routes: usize,
    pub(super) rules: Vec<PolicyRule>,
    /// An issuer of tokens and its key set.
    pub(super) tokens: Option<(String, Value)>,
    /// Where spans go.
    pub(super) collector: Option<SocketAddr>,
}

impl Told {
    pub(super) fn new(world: &World, address: SocketAddr, collector: Option<SocketAddr>) -> Result<Self, Fault> {
        let (vip, holds) = (world.vip(), world.holds());
        Ok(Self {
            address,
            certs: world.proxy_certs().path().to_owned(),
            clients: format!("spiffe://{}/", world.trust_domain()),
            destination: world.destination_identity()?.as_str().to_owned(),
            vip_ip: vip.ip,
            vip_port: vip.port,
            application: world.application(),
            is_http2: holds.speaks == Speaks::Grpc,
            routes: holds.routes,
            rules: world.policy_rules(),
            tokens: world.token().map(|token| (token.issuer.to_owned(), token.jwks.clone())),
            collector,
        })
    }
}
