//! What all waypoints of a cluster share, as the controller's flags and environment say it.

use serde_json::{Value, json};

/// The GatewayClass that the chart installs.
pub const CLASS_NAME: &str = "waypoint";
/// `spec.controllerName` of our classes, and `controllerName` in the status of routes. istiod leaves such Gateways alone.
pub const CONTROLLER_NAME: &str = "waypoint-proxy.io/controller";

/// The defaults of every waypoint's Deployment. A Gateway's own overlay goes before them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Image of the waypoint, with its tag.
    pub image: String,
    /// `imagePullPolicy`; empty: the cluster's default.
    pub image_pull_policy: String,
    /// Where istiod's CA is, `host:port`.
    pub ca_address: String,
    /// The mesh's trust domain.
    pub trust_domain: String,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The cluster's id in telemetry.
    pub cluster_id: String,
    /// The ConfigMap with the mesh's root certificate; istiod keeps it in every namespace.
    pub root_config_map: String,
    /// `resources` of the container.
    pub resources: Value,
    /// More environment of the container, by name, for example `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub env: Vec<(String, String)>,
    /// Seconds between SIGTERM and SIGKILL: longer than `--drain-grace`.
    pub termination_grace_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: concat!("waypoint:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: String::new(),
            ca_address: "istiod.istio-system.svc:15012".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            cluster_id: "Kubernetes".to_owned(),
            root_config_map: "istio-ca-root-cert".to_owned(),
            // A waypoint without load needs 5 m and 20 MiB; the limit leaves room for 10,000 routes.
            resources: json!({ "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } }),
            env: Vec::new(),
            termination_grace_seconds: 45,
        }
    }
}
