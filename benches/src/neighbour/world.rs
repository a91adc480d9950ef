//! What every subject is told: one Service `echo` in one namespace, the pods behind it, what a scenario adds to that, and
//! certificates for all.

mod changes;
mod manifests;
mod route_versions;

pub(crate) use changes::Changes;
pub(crate) use manifests::PolicyRule;
pub(crate) use route_versions::RouteVersions;

use super::Echo;
use crate::fault::{During, Fault};
use crate::scenario::{Mesh, Signing};
use hbone::{CertSource, FileCerts};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, POD_PORT, Vip};
use integration_tests::peers::pki::{Certs, spiffe};
use integration_tests::peers::tokens::TokenIssuer;
use request::SpiffeId;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// ztunnel's port, and the waypoints'.
const HBONE_PORT: u16 = 15008;
/// Service, pod and service account; a canary's versions have their number after it.
const ECHO: &str = "echo";
/// `iss` of tokens.
const ISSUER: &str = "https://issuer.example/";

/// The mesh as configuration. Its files go when it is dropped.
pub(crate) struct World {
    mesh: MeshWorld,
    vip: Vip,
    pods: Vec<Pod>,
    holds: Mesh,
    token: Option<Token>,
    versions: RouteVersions,
    /// The second version's, in percent.
    share: u32,
}

/// A pod and what answers in it.
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) echo: Echo,
    ip: Ipv4Addr,
}

/// A key set and a token by it.
pub(crate) struct Token {
    pub(crate) issuer: &'static str,
    pub(crate) jwks: Value,
    pub(crate) bearer: String,
}

impl World {
    /// On loopback addresses that nobody else uses now; the pods answer with bodies of this length.
    pub(crate) fn new(holds: Mesh, response_bytes: usize) -> Self {
        let mut mesh = MeshWorld::new();
        let names: &[&str] = if holds.has_canary {
            &["echo-v1", "echo-v2"]
        } else {
            &[ECHO]
        };
        let port_name = holds.speaks.port_name();
        let mut pods = Vec::new();
        for (name, number) in names.iter().zip(1..) {
            let ip = mesh.subnet().pod(number);
            mesh.apply(&format!("pod-{name}.yaml"), manifests::pod(name, ip));
            pods.push(Pod {
                name,
                echo: Echo::new(response_bytes),
                ip,
            });
            if holds.has_canary {
                mesh.service(name, port_name, &[ip]);
            }
        }
        let ips: Vec<_> = pods.iter().map(|pod| pod.ip).collect();
        let vip = mesh.service(ECHO, port_name, &ips);
        let token = holds.token.map(Token::new);
        let mut world = Self {
            mesh,
            vip,
            pods,
            holds,
            token,
            versions: RouteVersions::default(),
            share: 0,
        };
        world.add_routes();
        world.add_security();
        world
    }

    fn add_routes(&mut self) {
        for (file, text) in manifests::routes(self.holds.routes) {
            self.mesh.apply(&file, text);
        }
        if self.holds.has_canary {
            self.shift(0);
        }
    }

    fn add_security(&mut self) {
        let api = "security.istio.io/v1";
        if let Some(token) = &self.token {
            let rule = json!({ "issuer": token.issuer, "jwks": token.jwks.to_string() });
            let spec = json!({ "jwtRules": [rule] });
            self.mesh.attach(api, "RequestAuthentication", "tokens", ECHO, spec);
        }
        if self.holds.policy_rules > 0 {
            let rules = self.policy_rules();
            let rules: Vec<_> = rules.iter().map(PolicyRule::manifest).collect();
            self.mesh.policy("items", ECHO, "ALLOW", json!(rules));
        }
    }

    /// The rules of its policy.
    pub(crate) fn policy_rules(&self) -> Vec<PolicyRule> {
        let rule = |number| PolicyRule {
            principal: spiffe(self.trust_domain(), NAMESPACE, &self.holds.rule_account(number)),
            path_prefix: Mesh::rule_prefix(number),
        };
        (0..self.holds.policy_rules).map(rule).collect()
    }

    /// Sends so many percent to the second version.
    pub(crate) fn shift(&mut self, percent: u32) {
        self.share = percent.min(100);
        let weight = |name, weight| json!({ "name": name, "port": self.vip.port, "weight": weight });
        let backends = json!([
            weight("echo-v1", 100_u32.saturating_sub(percent)),
            weight("echo-v2", percent)
        ]);
        self.mesh
            .http_route("canary", ECHO, json!([{ "backendRefs": backends }]));
    }

    /// Rewrites a file of routes; every version of it has another header in its filters.
    pub(crate) fn rewrite_routes(&mut self, file: usize) {
        let version = self.versions.rewrite(file);
        if let Some((name, text)) = manifests::routes_file(self.holds.routes, file, version) {
            self.mesh.apply(&name, text);
        }
    }

    /// How often each file of them was rewritten.
    pub(crate) fn route_versions(&self) -> &RouteVersions {
        &self.versions
    }

    /// The pods with their shares of the Service's requests.
    pub(crate) fn weighted_pods(&self) -> impl Iterator<Item = (&Pod, u32)> {
        let weights = [100_u32.saturating_sub(self.share), self.share];
        self.pods.iter().zip(weights)
    }

    /// Files of routes.
    pub(crate) fn route_files(&self) -> usize {
        self.holds.routes.div_ceil(route_versions::ROUTES_A_FILE)
    }

    /// What a scenario put into it.
    pub(crate) fn holds(&self) -> &Mesh {
        &self.holds
    }

    /// The pods.
    pub(crate) fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// The token of its clients.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// The folder of manifests.
    pub(crate) fn manifests(&self) -> &Path {
        self.mesh.config()
    }

    /// The certificates a proxy under test shows.
    pub(crate) fn proxy_certs(&self) -> &Certs {
        self.mesh.certs()
    }

    /// The namespace of everything.
    pub(crate) fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    /// The mesh's trust domain.
    pub(crate) fn trust_domain(&self) -> &str {
        self.mesh.pki.trust_domain()
    }

    /// A folder with certificates of some workload; it goes when this is dropped.
    pub(crate) fn certs_of(&self, service_account: &str) -> Certs {
        self.mesh.pki.issue(NAMESPACE, service_account)
    }

    /// Certificates of some workload, ready for use.
    pub(crate) fn workload(&self, service_account: &str) -> Result<Arc<dyn CertSource>, Fault> {
        let certs = self.certs_of(service_account);
        // Read here and never again: the folder may go.
        let loaded = FileCerts::load(certs.path()).during(format_args!("certificates of {service_account}"))?;
        Ok(loaded)
    }

    /// Who a proxy under test is.
    pub(crate) fn proxy_identity(&self) -> Result<SpiffeId, Fault> {
        self.identity("waypoint")
    }

    /// Who the first pod is.
    pub(crate) fn destination_identity(&self) -> Result<SpiffeId, Fault> {
        self.identity(self.pods.first().map_or(ECHO, |pod| pod.name))
    }

    /// An address for the tunnel listener of the nth subject.
    pub(crate) fn proxy_address(&self, n: u8) -> SocketAddr {
        (self.mesh.subnet().pod(n.saturating_add(100)), HBONE_PORT).into()
    }

    /// The first pod's tunnels.
    pub(crate) fn destination_address(&self) -> SocketAddr {
        let first = self.pods.first().map(Pod::tunnels);
        first.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, HBONE_PORT).into())
    }

    /// The first pod's application, as its tunnel reaches it.
    pub(crate) fn application(&self) -> SocketAddr {
        let first = self.pods.first().map(Pod::application);
        first.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, POD_PORT).into())
    }

    /// The Service, as clients ask for it.
    pub(crate) fn vip(&self) -> &Vip {
        &self.vip
    }

    fn identity(&self, service_account: &str) -> Result<SpiffeId, Fault> {
        let id = spiffe(self.trust_domain(), NAMESPACE, service_account);
        SpiffeId::parse(&id).map_err(|error| format!("{error:?}")).during(id)
    }
}

impl Pod {
    /// Where it takes tunnels.
    pub(crate) fn tunnels(&self) -> SocketAddr {
        (self.ip, HBONE_PORT).into()
    }

    /// Its application, as its tunnel reaches it.
    pub(crate) fn application(&self) -> SocketAddr {
        (self.ip, POD_PORT).into()
    }
}

impl Token {
    fn new(signing: Signing) -> Self {
        let issuer = match signing {
            Signing::Rs256 => TokenIssuer::rs256(ISSUER, "k"),
            Signing::Es256 => TokenIssuer::new(ISSUER, "k"),
        };
        let claims = json!({
            "aud": ["shop", "bank"], "email": "somebody@example.com", "groups": ["readers", "writers", "auditors"],
        });
        let token = issuer.sign("8f14e45f-ceea-467f-a0e6-1a2b3c4d5e6f", claims);
        Self {
            issuer: ISSUER,
            jwks: issuer.jwks(),
            bearer: format!("Bearer {token}"),
        }
    }
}
