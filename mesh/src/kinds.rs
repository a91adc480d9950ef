//! The kinds a waypoint reads: which there are, and the parser of each (one module per concept).
//!
//! A parser never refuses an object for one bad field; what it cannot use it tells, and what it tells as an error is
//! not in force (for security: denied).

pub(crate) mod backend_policy;
pub(crate) mod backend_ref;
pub(crate) mod backend_tls;
pub(crate) mod client_tls;
pub(crate) mod cors;
pub(crate) mod destination_rule;
pub(crate) mod discovered;
pub(crate) mod duration;
pub(crate) mod endpoint_slice;
pub(crate) mod extension_provider;
pub(crate) mod external_auth;
pub(crate) mod filter;
pub(crate) mod gateway;
pub(crate) mod go_duration;
pub(crate) mod grant;
pub(crate) mod labels;
pub(crate) mod matches;
pub(crate) mod mesh_config;
pub(crate) mod pod;
pub(crate) mod policy;
pub(crate) mod route;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod service_entry;
pub(crate) mod session;
pub(crate) mod stream_route;
pub(crate) mod telemetry;
pub(crate) mod telemetry_provider;
pub(crate) mod traffic_policy;
pub(crate) mod virtual_service;
pub(crate) mod workload_entry;

use crate::decode::{At, Problems, quoted, record};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an object says, by kind. The larger ones are boxed: every object has the room of the largest.
#[derive(Debug)]
pub(crate) enum Body {
    /// Its labels are all that matters.
    Namespace,
    /// Its labels tell region and zone.
    Node,
    /// `spec.controllerName`.
    GatewayClass(String),
    /// A Gateway: a waypoint or not.
    Gateway(gateway::Gateway),
    /// A Service.
    Service(Box<service::Service>),
    /// An EndpointSlice.
    EndpointSlice(endpoint_slice::EndpointSlice),
    /// A Pod.
    Pod(Box<pod::Pod>),
    /// A ServiceEntry.
    ServiceEntry(Box<service_entry::ServiceEntry>),
    /// A BackendTLSPolicy.
    BackendTls(Box<backend_tls::BackendTls>),
    /// A Secret.
    Secret(secret::Secret),
    /// A WorkloadEntry.
    WorkloadEntry(Box<workload_entry::Instance>),
    /// An HTTPRoute, GRPCRoute, TLSRoute or TCPRoute.
    Route(route::Route),
    /// A ReferenceGrant.
    Grant(grant::Grant),
    /// A DestinationRule.
    DestinationRule(Box<destination_rule::DestinationRule>),
    /// A traffic policy of Services.
    BackendPolicy(Box<backend_policy::BackendPolicy>),
    /// An AuthorizationPolicy.
    Authorization(Box<policy::Authorization>),
    /// A RequestAuthentication.
    Authentication(Box<policy::Authentication>),
    /// A Telemetry.
    Telemetry(Box<telemetry::Telemetry>),
    /// A VirtualService.
    VirtualService(Box<virtual_service::VirtualService>),
    /// A workload that istiod tells.
    Workload(Box<discovered::Discovered>),
    /// `data` of a ConfigMap.
    ConfigMap(BTreeMap<String, String>),
    /// Known, and of no concern (yet).
    Other,
}

impl Body {
    /// Kinds without a namespace.
    pub(crate) fn is_cluster_wide(&self) -> bool {
        matches!(self, Self::Namespace | Self::Node | Self::GatewayClass(_))
    }
}

/// API groups of which every kind is read, or told that it is not.
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// Istio's traffic resources.
const ISTIO_NETWORKING: &str = "networking.istio.io";

/// Parses the body of an object.
pub(crate) fn body(kind: &str, api_version: &str, value: &Value, problems: &Problems) -> Body {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let root = At::Root;
    let spec_at = root.field("spec");
    let spec = value.get("spec").filter(|spec| !spec.is_null());
    let check_version = |known: &[&str]| {
        if !known.contains(&version) {
            let message = format!(
                "expected {kind} of {}, found version {}",
                known.join(" or "),
                quoted(version)
            );
            problems.warning(&root.field("apiVersion"), message);
        }
    };
    if matches!(
        group,
        GATEWAY_API | ISTIO_NETWORKING | "security.istio.io" | "telemetry.istio.io"
    ) {
        let _ = record(value, &root, problems, |fields| {
            fields.ignore(&["apiVersion", "kind", "metadata", "spec", "status"]);
        });
    }
    let none = Value::Object(serde_json::Map::new());
    let spec = spec.unwrap_or(&none);
    match (group, kind) {
        ("", "Namespace") => Body::Namespace,
        ("", "Node") => Body::Node,
        ("", "Service") => service::parse(spec, &spec_at, problems),
        ("", "Pod") => pod::parse(spec, value.get("status").unwrap_or(&none), problems),
        ("", "ConfigMap") => config_map(value, problems),
        ("", "Secret") => secret::parse(value, problems),
        ("discovery.k8s.io", "EndpointSlice") => endpoint_slice::parse(value, problems),
        (GATEWAY_API, "GatewayClass") => gateway::class(spec, &spec_at, problems),
        (GATEWAY_API, "Gateway") => {
            check_version(&["v1", "v1beta1"]);
            gateway::parse(spec, &spec_at, problems)
        }
        (GATEWAY_API, "HTTPRoute") => {
            check_version(&["v1", "v1beta1"]);
            route::http(spec, &spec_at, problems)
        }
        (GATEWAY_API, "GRPCRoute") => {
            check_version(&["v1"]);
            route::grpc(spec, &spec_at, problems)
        }
        (GATEWAY_API, "TLSRoute") => {
            check_version(&["v1", "v1alpha3", "v1alpha2"]);
            stream_route::tls(spec, &spec_at, problems)
        }
        (GATEWAY_API, "TCPRoute") => {
            check_version(&["v1", "v1alpha2"]);
            stream_route::tcp(spec, &spec_at, problems)
        }
        (GATEWAY_API, "ReferenceGrant") => grant::parse(spec, &spec_at, problems),
        (GATEWAY_API, "BackendTLSPolicy") => {
            check_version(&["v1", "v1alpha3"]);
            backend_tls::parse(spec, &spec_at, problems)
        }
        (ISTIO_NETWORKING, "DestinationRule") => {
            check_version(&["v1", "v1beta1", "v1alpha3"]);
            destination_rule::parse(spec, &spec_at, problems)
        }
        ("gateway.networking.x-k8s.io", "XBackendTrafficPolicy") | (GATEWAY_API, "BackendLBPolicy") => {
            check_version(&["v1alpha1", "v1alpha2"]);
            backend_policy::parse(spec, &spec_at, problems)
        }
        ("security.istio.io", "AuthorizationPolicy") => {
            check_version(&["v1", "v1beta1"]);
            policy::authorization(spec, &spec_at, problems)
        }
        ("security.istio.io", "RequestAuthentication") => {
            check_version(&["v1", "v1beta1"]);
            policy::authentication(spec, &spec_at, problems)
        }
        ("telemetry.istio.io", "Telemetry") => {
            check_version(&["v1", "v1alpha1"]);
            telemetry::parse(spec, &spec_at, problems)
        }
        (ISTIO_NETWORKING, "ServiceEntry") => {
            check_version(&["v1", "v1beta1", "v1alpha3"]);
            service_entry::parse(spec, &spec_at, value.get("status").unwrap_or(&none), problems)
        }
        (ISTIO_NETWORKING, "WorkloadEntry") => {
            check_version(&["v1", "v1beta1", "v1alpha3"]);
            workload_entry::parse(spec, &spec_at, problems)
        }
        (ISTIO_NETWORKING, "VirtualService") => {
            check_version(&["v1", "v1beta1", "v1alpha3"]);
            virtual_service::parse(spec, &spec_at, problems)
        }
        _ => other(group, kind, problems),
    }
}

/// Kinds that are not read: silence for those that are no concern of a waypoint, a word for those that could be.
fn other(group: &str, kind: &str, problems: &Problems) -> Body {
    let at = At::Root;
    let at = at.field("kind");
    let quiet = match group {
        ""
        | "apps"
        | "batch"
        | "autoscaling"
        | "policy"
        | "storage.k8s.io"
        | "rbac.authorization.k8s.io"
        | "networking.k8s.io"
        | "coordination.k8s.io"
        | "discovery.k8s.io"
        | "apiextensions.k8s.io"
        | "admissionregistration.k8s.io"
        | "apiregistration.k8s.io"
        | "scheduling.k8s.io" => true,
        // Transport security is the node tunnel's business.
        "security.istio.io" => kind == "PeerAuthentication",
        _ => false,
    };
    if quiet {
        return Body::Other;
    }
    let message = match group {
        GATEWAY_API
        | "networking.istio.io"
        | "security.istio.io"
        | "telemetry.istio.io"
        | "extensions.istio.io"
        | "gateway.networking.x-k8s.io" => {
            format!("{kind} of {group} is not supported yet: it is not in force")
        }
        _ => format!("a waypoint knows no {kind} of {}: it is skipped", quoted(group)),
    };
    problems.warning(&at, message);
    Body::Other
}

fn config_map(value: &Value, problems: &Problems) -> Body {
    let at = At::Root;
    let data = record(value, &at, problems, |fields| {
        fields.leave_open();
        fields.text_map("data")
    });
    Body::ConfigMap(data.unwrap_or_default())
}
