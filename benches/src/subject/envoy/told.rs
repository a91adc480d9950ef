//! What Envoy is told of a world: what Istio's control plane would know.

use super::config::inbound_vip;
use crate::fault::Fault;
use crate::neighbour::{PolicyRule, RouteVersions, World};
use crate::scenario::Speaks;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// All that its configuration is made of.
pub(super) struct Told {
    /// Where it takes tunnels.
    pub(super) address: SocketAddr,
    /// The folder with its certificates.
    pub(super) certs: PathBuf,
    /// What ids of clients begin with.
    pub(super) clients: String,
    /// What the id of the destination begins with.
    pub(super) destination: String,
    pub(super) vip_ip: Ipv4Addr,
    pub(super) vip_port: u16,
    /// The pods behind the Service; several are versions, among which its route divides.
    pub(super) backends: Vec<Backend>,
    pub(super) speaks: Speaks,
    pub(super) routes: usize,
    /// How often each route was rewritten.
    pub(super) versions: RouteVersions,
    /// The folder of the file that routes are read from again and again; else they are in the bootstrap.
    pub(super) routes_folder: Option<PathBuf>,
    pub(super) rules: Vec<PolicyRule>,
    /// An issuer of tokens and its key set.
    pub(super) tokens: Option<(String, Value)>,
    /// Where spans go.
    pub(super) collector: Option<SocketAddr>,
}

/// A pod, which is a cluster.
pub(super) struct Backend {
    pub(super) cluster: String,
    /// Its application's address and port.
    pub(super) application: SocketAddr,
    pub(super) weight: u32,
}

impl Told {
    pub(super) fn new(
        world: &World,
        address: SocketAddr,
        collector: Option<SocketAddr>,
        folder: &Path,
    ) -> Result<Self, Fault> {
        let (vip, holds) = (world.vip(), world.holds());
        let backends = world.weighted_pods().map(|(pod, weight)| Backend {
            cluster: inbound_vip(pod.name),
            application: pod.application(),
            weight,
        });
        Ok(Self {
            address,
            certs: world.proxy_certs().path().to_owned(),
            clients: format!("spiffe://{}/", world.trust_domain()),
            // What it begins with: Envoy checks no more, and a canary's versions differ after it.
            destination: world
                .destination_identity()?
                .as_str()
                .trim_end_matches("-v1")
                .to_owned(),
            vip_ip: vip.ip,
            vip_port: vip.port,
            backends: backends.collect(),
            speaks: holds.speaks,
            routes: holds.routes,
            versions: world.route_versions().clone(),
            routes_folder: holds.is_changing().then(|| folder.to_owned()),
            rules: world.policy_rules(),
            tokens: world.token().map(|token| (token.issuer.to_owned(), token.jwks.clone())),
            collector,
        })
    }
}
