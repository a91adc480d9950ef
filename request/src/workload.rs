//! A workload: the pod at one end of a request, with what telemetry tells about it.

use crate::SpiffeId;
use std::net::IpAddr;

/// A pod (or WorkloadEntry). Made when config is compiled, shared by `Arc`. Missing text is empty here and
/// becomes `unknown` where it is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Pod name.
    pub pod: String,
    /// Owner's name (Deployment without hash suffixes), Istio's `*_workload`.
    pub name: String,
    /// Owner's kind, lower case: `deployment`, `statefulset`, `job`, `cronjob`, `pod`.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Service account.
    pub service_account: String,
    /// Label `service.istio.io/canonical-name`, else `app.kubernetes.io/name`, `app`, else the workload's name.
    pub canonical_name: String,
    /// Label `service.istio.io/canonical-revision`, else `app.kubernetes.io/version`, `version`, else `latest`.
    pub canonical_revision: String,
    /// Label `app`.
    pub app: String,
    /// Label `version`.
    pub version: String,
    /// Cluster id.
    pub cluster: String,
    /// `topology.kubernetes.io/region`.
    pub region: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: String,
    /// Node name.
    pub node: String,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Its identity, when it is in the mesh.
    pub identity: Option<SpiffeId>,
    /// True when it is reached through HBONE (`ambient.istio.io/redirection: enabled`).
    pub hbone: bool,
}
