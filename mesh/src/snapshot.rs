//! The compiled config: immutable, published by `ArcSwap`, held by every request from start to end.

use authz::{Authn, Policies, TrustDomains};
use request::{Authority, Mode, SpiffeId, Workload};
use routing::{Cluster, ClusterId, Protocol, Table};
use std::net::IpAddr;
use std::sync::Arc;

/// Everything a request can ask of the config.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows by one with each published snapshot; 0 is the empty one before the first compile.
    pub generation: u64,
    /// Mesh-wide settings.
    pub settings: Settings,
}

/// Mesh-wide settings (MeshConfig).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Trust domain and aliases.
    pub trust: TrustDomains,
    /// `pathNormalization.normalization`.
    pub path_mode: Mode,
    /// Access log to standard output: MeshConfig `accessLogFile: /dev/stdout` (`accessLogEncoding` TEXT or JSON).
    pub access_log: Option<String>,
    /// `defaultConfig.tracing.sampling`, per cent.
    pub trace_sampling_percent: Option<f64>,
}

/// One port of one Service that is ours: all a tunnel to it needs.
#[derive(Debug)]
pub struct ServicePort {
    /// `<name>.<namespace>.svc.<domain>`.
    pub host: Arc<str>,
    /// Service name.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Service port.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Its own endpoints.
    pub cluster: ClusterId,
    /// RequestAuthentications.
    pub authn: Authn,
    /// AuthorizationPolicies.
    pub policies: Policies,
}

impl ServicePort {
    /// The table for clients of this namespace: a consumer route replaces the producer's for its own namespace.
    pub fn routes(&self, _client_namespace: &str) -> &Table {
        todo!()
    }
}

impl Snapshot {
    /// The Service port a CONNECT authority names (VIP:port or host:port), when it is ours to serve.
    pub fn target(&self, _authority: &Authority) -> Option<&Arc<ServicePort>> {
        todo!()
    }
    /// A cluster by the id that backends hold.
    pub fn cluster(&self, _id: ClusterId) -> Option<&Arc<Cluster>> {
        todo!()
    }
    /// The workload with this address.
    pub fn workload(&self, _ip: IpAddr) -> Option<&Arc<Workload>> {
        todo!()
    }
    /// Some workload with this identity (for telemetry, when the address is unknown).
    pub fn workload_by_identity(&self, _id: &SpiffeId) -> Option<&Arc<Workload>> {
        todo!()
    }
    /// A readable dump for `/config_dump`: no key, no token.
    pub fn dump(&self) -> serde_json::Value {
        todo!()
    }
}
