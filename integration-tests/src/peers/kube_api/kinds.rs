//! The kinds that the server knows.

/// A kind with the versions it is served in.
#[derive(Clone, Debug)]
pub struct ApiKind {
    /// API group; empty for the core.
    pub group: String,
    /// Served versions; objects are the same in all.
    pub versions: Vec<String>,
    /// In paths.
    pub plural: String,
    /// `kind`.
    pub name: String,
    /// Whether its objects have a namespace.
    pub namespaced: bool,
}

impl ApiKind {
    /// A kind of a namespace.
    pub fn new(group: &str, versions: &[&str], plural: &str, name: &str) -> Self {
        Self {
            group: group.into(),
            versions: versions.iter().map(|v| (*v).to_owned()).collect(),
            plural: plural.into(),
            name: name.into(),
            namespaced: true,
        }
    }

    fn cluster(group: &str, version: &str, plural: &str, name: &str) -> Self {
        Self {
            namespaced: false,
            ..Self::new(group, &[version], plural, name)
        }
    }

    /// `v1`, `apps/v1`.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }
}

/// Kubernetes, Gateway API and Istio as a mesh has them.
pub(super) fn usual() -> Vec<ApiKind> {
    let gateway = "gateway.networking.k8s.io";
    let networking = "networking.istio.io";
    let security = "security.istio.io";
    vec![
        ApiKind::cluster("", "v1", "namespaces", "Namespace"),
        ApiKind::cluster("", "v1", "nodes", "Node"),
        ApiKind::new("", &["v1"], "services", "Service"),
        ApiKind::new("", &["v1"], "pods", "Pod"),
        ApiKind::new("", &["v1"], "configmaps", "ConfigMap"),
        ApiKind::new("", &["v1"], "secrets", "Secret"),
        ApiKind::new("", &["v1"], "serviceaccounts", "ServiceAccount"),
        ApiKind::new("", &["v1"], "events", "Event"),
        ApiKind::new("apps", &["v1"], "deployments", "Deployment"),
        ApiKind::new(
            "autoscaling",
            &["v2"],
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
        ),
        ApiKind::new("policy", &["v1"], "poddisruptionbudgets", "PodDisruptionBudget"),
        ApiKind::new("coordination.k8s.io", &["v1"], "leases", "Lease"),
        ApiKind::new("discovery.k8s.io", &["v1"], "endpointslices", "EndpointSlice"),
        ApiKind::cluster(
            "rbac.authorization.k8s.io",
            "v1",
            "clusterrolebindings",
            "ClusterRoleBinding",
        ),
        ApiKind::cluster(gateway, "v1", "gatewayclasses", "GatewayClass"),
        ApiKind::new(gateway, &["v1", "v1beta1"], "gateways", "Gateway"),
        ApiKind::new(gateway, &["v1", "v1beta1"], "httproutes", "HTTPRoute"),
        ApiKind::new(gateway, &["v1"], "grpcroutes", "GRPCRoute"),
        ApiKind::new(gateway, &["v1alpha2"], "tcproutes", "TCPRoute"),
        ApiKind::new(gateway, &["v1alpha2"], "tlsroutes", "TLSRoute"),
        ApiKind::new(gateway, &["v1beta1"], "referencegrants", "ReferenceGrant"),
        ApiKind::new(gateway, &["v1"], "backendtlspolicies", "BackendTLSPolicy"),
        ApiKind::new(
            security,
            &["v1", "v1beta1"],
            "authorizationpolicies",
            "AuthorizationPolicy",
        ),
        ApiKind::new(
            security,
            &["v1", "v1beta1"],
            "requestauthentications",
            "RequestAuthentication",
        ),
        ApiKind::new(networking, &["v1", "v1beta1"], "virtualservices", "VirtualService"),
        ApiKind::new(networking, &["v1", "v1beta1"], "destinationrules", "DestinationRule"),
        ApiKind::new(networking, &["v1", "v1beta1"], "serviceentries", "ServiceEntry"),
        ApiKind::new(networking, &["v1", "v1beta1"], "workloadentries", "WorkloadEntry"),
        ApiKind::new("telemetry.istio.io", &["v1"], "telemetries", "Telemetry"),
    ]
}
