//! Which kinds are watched, where, and what it means when one may not be read.

use kube::core::{ApiResource, GroupVersionKind};

/// A watched kind.
#[derive(Debug)]
pub(super) struct Kind {
    /// API group; empty for the core.
    pub(super) group: &'static str,
    /// Versions that `kinds` reads, the best first.
    pub(super) versions: &'static [&'static str],
    /// As in RBAC rules.
    pub(super) plural: &'static str,
    /// `kind`.
    pub(super) name: &'static str,
    /// Where it is watched.
    pub(super) reach: Reach,
    /// What it means when it may not be read.
    pub(super) need: Need,
}

/// Where a kind is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// In the whole cluster: it is small, and what concerns us may be anywhere. A Service or Namespace names its waypoint by
    /// a label, a consumer's route names a Service of another namespace, and a policy must be known before its Service is.
    Everywhere,
    /// In the namespaces that count (see `interest`): there are too many of them elsewhere.
    Counting,
    /// In the waypoint's own namespace.
    Own,
    /// One by one, by name: others of the kind are none of our business.
    Named,
    /// In the whole cluster, what has the label of something that belongs to a Gateway.
    Labelled,
}

/// What it means when a kind may not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Without it requests could pass that must not, or go astray: not ready.
    Must,
    /// A warning.
    May,
    /// Nothing.
    Hint,
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const GATEWAY_API_X: &str = "gateway.networking.x-k8s.io";
const ISTIO_NETWORKING: &str = "networking.istio.io";
const ISTIO_SECURITY: &str = "security.istio.io";

/// The kinds. Those of the core are in every cluster, the others where their CRDs are.
pub(super) static KINDS: [Kind; 26] = [
    everywhere("", &["v1"], "namespaces", "Namespace", Need::Must),
    everywhere("", &["v1"], "services", "Service", Need::Must),
    everywhere("", &["v1"], "nodes", "Node", Need::Hint),
    watched("", &["v1"], "pods", "Pod", Reach::Counting, Need::Must),
    watched(
        "discovery.k8s.io",
        &["v1"],
        "endpointslices",
        "EndpointSlice",
        Reach::Counting,
        Need::Must,
    ),
    watched("", &["v1"], "configmaps", "ConfigMap", Reach::Named, Need::May),
    watched("", &["v1"], "secrets", "Secret", Reach::Named, Need::May),
    watched(
        GATEWAY_API,
        &["v1", "v1beta1"],
        "gateways",
        "Gateway",
        Reach::Own,
        Need::Must,
    ),
    everywhere(
        GATEWAY_API,
        &["v1", "v1beta1"],
        "gatewayclasses",
        "GatewayClass",
        Need::May,
    ),
    everywhere(GATEWAY_API, &["v1", "v1beta1"], "httproutes", "HTTPRoute", Need::Must),
    everywhere(GATEWAY_API, &["v1"], "grpcroutes", "GRPCRoute", Need::Must),
    everywhere(
        GATEWAY_API,
        &["v1", "v1alpha3", "v1alpha2"],
        "tlsroutes",
        "TLSRoute",
        Need::Must,
    ),
    everywhere(GATEWAY_API, &["v1", "v1alpha2"], "tcproutes", "TCPRoute", Need::Must),
    everywhere(
        GATEWAY_API,
        &["v1", "v1beta1"],
        "referencegrants",
        "ReferenceGrant",
        Need::May,
    ),
    everywhere(
        GATEWAY_API,
        &["v1", "v1alpha3"],
        "backendtlspolicies",
        "BackendTLSPolicy",
        Need::Must,
    ),
    everywhere(
        GATEWAY_API,
        &["v1alpha2"],
        "backendlbpolicies",
        "BackendLBPolicy",
        Need::May,
    ),
    everywhere(
        GATEWAY_API_X,
        &["v1alpha1"],
        "xbackendtrafficpolicies",
        "XBackendTrafficPolicy",
        Need::May,
    ),
    everywhere(
        ISTIO_SECURITY,
        &["v1", "v1beta1"],
        "authorizationpolicies",
        "AuthorizationPolicy",
        Need::Must,
    ),
    everywhere(
        ISTIO_SECURITY,
        &["v1", "v1beta1"],
        "requestauthentications",
        "RequestAuthentication",
        Need::Must,
    ),
    everywhere(
        ISTIO_NETWORKING,
        &["v1", "v1beta1", "v1alpha3"],
        "virtualservices",
        "VirtualService",
        Need::Must,
    ),
    everywhere(
        ISTIO_NETWORKING,
        &["v1", "v1beta1", "v1alpha3"],
        "destinationrules",
        "DestinationRule",
        Need::Must,
    ),
    everywhere(
        ISTIO_NETWORKING,
        &["v1", "v1beta1", "v1alpha3"],
        "serviceentries",
        "ServiceEntry",
        Need::Must,
    ),
    everywhere(
        ISTIO_NETWORKING,
        &["v1", "v1beta1", "v1alpha3"],
        "workloadentries",
        "WorkloadEntry",
        Need::May,
    ),
    watched(
        ISTIO_NETWORKING,
        &["v1alpha3"],
        "envoyfilters",
        "EnvoyFilter",
        Reach::Own,
        Need::Hint,
    ),
    everywhere(
        "telemetry.istio.io",
        &["v1", "v1alpha1"],
        "telemetries",
        "Telemetry",
        Need::May,
    ),
    watched(
        "extensions.istio.io",
        &["v1alpha1"],
        "wasmplugins",
        "WasmPlugin",
        Reach::Own,
        Need::Hint,
    ),
];

/// What the controller makes and therefore follows as well, with the Lease that it holds.
pub(super) static MADE: [Kind; 6] = [
    made("apps", &["v1"], "deployments", "Deployment"),
    made("", &["v1"], "serviceaccounts", "ServiceAccount"),
    made(
        "autoscaling",
        &["v2"],
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    ),
    made("policy", &["v1"], "poddisruptionbudgets", "PodDisruptionBudget"),
    watched(
        "rbac.authorization.k8s.io",
        &["v1"],
        "clusterrolebindings",
        "ClusterRoleBinding",
        Reach::Named,
        Need::Must,
    ),
    watched(
        "coordination.k8s.io",
        &["v1"],
        "leases",
        "Lease",
        Reach::Named,
        Need::Must,
    ),
];

/// One of them all.
pub(super) fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().chain(&MADE).find(|kind| kind.name == name)
}

const fn made(
    group: &'static str,
    versions: &'static [&'static str],
    plural: &'static str,
    name: &'static str,
) -> Kind {
    watched(group, versions, plural, name, Reach::Labelled, Need::Must)
}

const fn everywhere(
    group: &'static str,
    versions: &'static [&'static str],
    plural: &'static str,
    name: &'static str,
    need: Need,
) -> Kind {
    watched(group, versions, plural, name, Reach::Everywhere, need)
}

const fn watched(
    group: &'static str,
    versions: &'static [&'static str],
    plural: &'static str,
    name: &'static str,
    reach: Reach,
    need: Need,
) -> Kind {
    Kind {
        group,
        versions,
        plural,
        name,
        reach,
        need,
    }
}

impl Kind {
    /// Part of Kubernetes itself: no CRD can be missing.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(
            self.group,
            "" | "apps"
                | "autoscaling"
                | "policy"
                | "discovery.k8s.io"
                | "coordination.k8s.io"
                | "rbac.authorization.k8s.io"
        )
    }

    /// `v1`, `networking.istio.io/v1`.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }

    /// What kube needs to know.
    pub(super) fn resource(&self, version: &str) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, version, self.name);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }

    /// `httproutes.gateway.networking.k8s.io`, as RBAC and kubectl name it.
    pub(super) fn rbac_name(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}
