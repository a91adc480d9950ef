//! The waypoint's pod: unprivileged, read-only, and with the ports and probes of Istio's waypoints.

use super::{GATEWAY_CLASS_NAME, GATEWAY_NAME, MANAGED, MANAGED_BY, merged};
use crate::{Gateway, Settings};
use serde_json::{Value, json};

/// The user of Istio's proxies: the node's redirection leaves its traffic alone.
const USER: u32 = 1337;

/// `spec.template` of the Deployment.
pub(super) fn template(gateway: &Gateway, settings: &Settings) -> Value {
    json!({
        "metadata": { "labels": labels(gateway), "annotations": annotations(gateway) },
        "spec": {
            "serviceAccountName": gateway.service_account,
            "terminationGracePeriodSeconds": settings.termination_grace_seconds,
            "containers": [container(gateway, settings)],
            "volumes": volumes(settings),
        },
    })
}

fn labels(gateway: &Gateway) -> Value {
    let first = json!({
        "sidecar.istio.io/inject": "false",
        // The waypoint speaks HBONE itself: the node tunnel must not take its traffic.
        "istio.io/dataplane-mode": "none",
        "service.istio.io/canonical-name": gateway.deployment,
        "service.istio.io/canonical-revision": "latest",
    });
    let mut labels = merged(first, &gateway.labels);
    for (name, value) in [
        (GATEWAY_NAME, gateway.name.as_str()),
        (GATEWAY_CLASS_NAME, &gateway.class),
        (MANAGED, MANAGED_BY),
    ] {
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(name.to_owned(), json!(value));
        }
    }
    labels
}

fn annotations(gateway: &Gateway) -> Value {
    let scrape = json!({
        "prometheus.io/path": "/stats/prometheus",
        "prometheus.io/port": "15020",
        "prometheus.io/scrape": "true",
    });
    merged(scrape, &gateway.annotations)
}

fn container(gateway: &Gateway, settings: &Settings) -> Value {
    let mut container = json!({
        "name": "waypoint",
        "image": settings.image,
        "args": ["run", "--kubernetes", "--gateway", gateway.name],
        "env": env(settings),
        "ports": [
            { "name": "hbone", "containerPort": 15008, "protocol": "TCP" },
            { "name": "metrics", "containerPort": 15020, "protocol": "TCP" },
            { "name": "status-port", "containerPort": 15021, "protocol": "TCP" },
        ],
        "resources": settings.resources,
        "startupProbe": probe(1, 30),
        "readinessProbe": probe(15, 4),
        "securityContext": {
            "privileged": false, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "volumeMounts": [
            { "name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds" },
            { "name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": true },
            { "name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": true },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
    });
    if !settings.image_pull_policy.is_empty()
        && let Some(container) = container.as_object_mut()
    {
        container.insert("imagePullPolicy".to_owned(), json!(settings.image_pull_policy));
    }
    container
}

fn env(settings: &Settings) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    ];
    let set = |name: &str, value: &str| json!({ "name": name, "value": value });
    env.push(set("CA_ADDR", &settings.ca_address));
    env.push(set("TRUST_DOMAIN", &settings.trust_domain));
    env.push(set("ISTIO_META_CLUSTER_ID", &settings.cluster_id));
    env.extend(settings.env.iter().map(|(name, value)| set(name, value)));
    env
}

fn probe(period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": "/healthz/ready", "port": 15021, "scheme": "HTTP" },
        "periodSeconds": period_seconds, "failureThreshold": failures, "successThreshold": 1, "timeoutSeconds": 1,
    })
}

fn volumes(settings: &Settings) -> Value {
    let token =
        json!({ "serviceAccountToken": { "audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token" } });
    json!([
        { "name": "workload-socket", "emptyDir": {} },
        { "name": "istiod-ca-cert", "configMap": { "name": settings.root_config_map } },
        { "name": "istio-token", "projected": { "sources": [token] } },
        { "name": "tmp", "emptyDir": {} },
    ])
}
