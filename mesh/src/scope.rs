//! Which waypoint this is: what binds to it and what does not.

use std::net::IpAddr;

/// The waypoint's place in the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// Namespace of the Gateway. `None`: every Gateway of a waypoint class found in the config is ours.
    pub namespace: Option<String>,
    /// Name of the Gateway.
    pub gateway: Option<String>,
    /// Trust domain by flag; else MeshConfig's, else `cluster.local`.
    pub trust_domain: Option<String>,
    /// Root namespace, default `istio-system`. MeshConfig's `rootNamespace` goes before it.
    pub root_namespace: String,
    /// Name of the Pod that this waypoint is, in `namespace`: its locality is ours.
    pub pod: Option<String>,
    /// Its address, when its name is not known.
    pub ip: Option<IpAddr>,
    /// The node it runs on, by flag; else its Pod's.
    pub node: Option<String>,
    /// The zone, by flag; else its Pod's or its Node's.
    pub zone: Option<String>,
    /// The region, likewise.
    pub region: Option<String>,
    /// The access log by flag (`text` or `json`): before MeshConfig's, after that of Telemetry resources.
    pub access_log: Option<String>,
    /// Share of new traces by flag, likewise.
    pub trace_sampling: Option<f64>,
    /// CUSTOM policies of one Service may ask several providers. Istio's
    /// `PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS`, default false: such policies then deny what they match.
    pub several_auth_providers: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            namespace: None,
            gateway: None,
            trust_domain: None,
            root_namespace: "istio-system".to_owned(),
            pod: None,
            ip: None,
            node: None,
            zone: None,
            region: None,
            access_log: None,
            trace_sampling: None,
            several_auth_providers: false,
        }
    }
}
