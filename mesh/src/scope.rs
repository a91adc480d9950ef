//! Which waypoint this is: what binds to it and what does not.

/// The waypoint's place in the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Namespace of the Gateway. `None`: every Gateway of a waypoint class found in the config is ours.
    pub namespace: Option<String>,
    /// Name of the Gateway.
    pub gateway: Option<String>,
    /// Trust domain by flag; else MeshConfig's, else `cluster.local`.
    pub trust_domain: Option<String>,
    /// Root namespace, default `istio-system`. MeshConfig's `rootNamespace` goes before it.
    pub root_namespace: String,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            namespace: None,
            gateway: None,
            trust_domain: None,
            root_namespace: "istio-system".to_owned(),
        }
    }
}
