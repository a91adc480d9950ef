//! `/config_dump`: the snapshot as a person reads it. Names and numbers only; no key, no token, no Secret.

use super::{ServicePort, Snapshot, cluster_dump};
use authz::KeyLocation;
use request::Workload;
use routing::{Table, Target};
use serde_json::{Value, json};

pub(super) fn dump(snapshot: &Snapshot, now_ms: u64) -> Value {
    let services: Vec<Value> = snapshot
        .ports
        .iter()
        .map(|port| service(snapshot, port, now_ms))
        .collect();
    let mut workloads: Vec<_> = snapshot.workloads.iter().collect();
    workloads.sort_by_key(|(ip, _)| **ip);
    let workloads: Vec<Value> = workloads
        .into_iter()
        .map(|(ip, workload)| self::workload(ip.to_string(), workload))
        .collect();
    let settings = &snapshot.settings;
    json!({
        "generation": snapshot.generation,
        "settings": {
            "trustDomain": settings.trust.own,
            "trustDomainAliases": settings.trust.aliases,
            "rootNamespace": settings.root_namespace,
            "pathNormalization": format!("{:?}", settings.path_mode),
            "accessLog": settings.access_log,
            "place": {
                "region": settings.place.region,
                "zone": settings.place.zone,
                "node": settings.place.node,
            },
            "numTrustedProxies": settings.topology.trusted_proxies,
            "tellForwardedFor": settings.topology.tell_forwarded_for,
            "tellForwarded": settings.topology.tell_forwarded,
            "clientCert": format!("{:?}", settings.topology.client_cert),
            "traceSamplingPercent": settings.trace_sampling_percent,
            "extensionProviders": settings.auth_providers.keys().map(|name| &**name).collect::<Vec<_>>(),
        },
        "services": services,
        "subsets": subsets(snapshot, now_ms),
        "pods": pods(snapshot),
        "workloads": workloads,
        "keySources": snapshot.key_sources.iter().map(|source| source_text(&source.location)).collect::<Vec<_>>(),
    })
}

fn service(snapshot: &Snapshot, port: &ServicePort, now_ms: u64) -> Value {
    let addresses = snapshot.addresses(port);
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let cluster = snapshot.endpoints_of(&port.cluster);
    json!({
        "host": &*port.host,
        "port": port.port,
        "protocol": format!("{:?}", port.protocol),
        "addresses": addresses,
        "endpoints": cluster.map(|cluster| cluster_dump::endpoints(cluster, now_ms)),
        "trafficPolicy": cluster.map(|cluster| cluster_dump::policy(&cluster.policy)),
        "inUse": cluster.map(|cluster| cluster_dump::usage(&cluster.state.usage)),
        "policies": port.bound,
        "rules": rules(snapshot, &port.producer),
        "consumers": port.consumers.iter()
            .map(|(namespace, table)| (namespace.to_string(), rules(snapshot, table)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

fn rules(snapshot: &Snapshot, table: &Table) -> Value {
    let rules = table.rules().map(|rule| {
        let route = &rule.route;
        json!({
            "route": format!("{:?} {}/{}", route.kind, route.namespace, route.name),
            "rule": rule.index,
            "name": rule.name.as_deref(),
            "backends": rule.backends.iter().map(|backend| json!({
                "target": target(snapshot, &backend.target),
                "weight": backend.weight,
            })).collect::<Vec<_>>(),
            "redirects": rule.filters.redirect.is_some(),
            "cors": rule.filters.cors.is_some(),
            "mirrors": rule.filters.mirrors.len(),
            "requestTimeoutMs": rule.timeouts.request.map(|limit| limit.as_millis().to_string()),
            "backendRequestTimeoutMs": rule.timeouts.backend_request.map(|limit| limit.as_millis().to_string()),
            "retries": rule.retry.as_ref().map(|retry| retry.attempts),
        })
    });
    Value::Array(rules.collect())
}

fn target(snapshot: &Snapshot, target: &Target) -> Option<String> {
    let cluster = snapshot.endpoints_of(target)?;
    Some(match &cluster.subset {
        Some(subset) => format!("{}:{} subset {subset}", cluster.service.host, cluster.port),
        None => format!("{}:{}", cluster.service.host, cluster.port),
    })
}

/// Clusters of subsets, of our own Services and of others that routes may lead to.
fn subsets(snapshot: &Snapshot, now_ms: u64) -> Vec<Value> {
    let clusters = snapshot.clusters().map(|(_, cluster)| cluster);
    let mut subsets: Vec<_> = clusters.filter(|cluster| cluster.subset.is_some()).collect();
    subsets.sort_by_key(|cluster| {
        (
            &cluster.service.host,
            cluster.port,
            &cluster.subset,
            &cluster.service.namespace,
        )
    });
    let subsets = subsets.into_iter().map(|cluster| {
        json!({
            "host": &*cluster.service.host,
            "port": cluster.port,
            "subset": cluster.subset.as_deref(),
            "endpoints": cluster_dump::endpoints(cluster, now_ms),
            "trafficPolicy": cluster_dump::policy(&cluster.policy),
            "inUse": cluster_dump::usage(&cluster.state.usage),
        })
    });
    subsets.collect()
}

fn pods(snapshot: &Snapshot) -> Vec<Value> {
    let mut pods: Vec<_> = snapshot.pods.iter().collect();
    pods.sort_by_key(|(ip, _)| **ip);
    let pod = |(ip, pod): (_, &std::sync::Arc<super::PodTarget>)| {
        json!({
            "address": format!("{ip}"),
            "pod": pod.workload.pod,
            "policies": *pod.bound,
        })
    };
    pods.into_iter().map(pod).collect()
}

fn workload(ip: String, workload: &Workload) -> Value {
    json!({
        "address": ip,
        "pod": workload.pod,
        "namespace": workload.namespace,
        "workload": workload.name,
        "kind": workload.kind,
        "canonicalService": workload.canonical_name,
        "canonicalRevision": workload.canonical_revision,
        "identity": workload.identity.as_ref().map(|identity| identity.as_str()),
        "hbone": workload.hbone,
    })
}

fn source_text(location: &KeyLocation) -> String {
    match location {
        KeyLocation::Jwks(uri) | KeyLocation::Issuer(uri) => without_secrets(uri),
    }
}

/// A URI without user info and query, where secrets stand.
fn without_secrets(uri: &str) -> String {
    let plain = uri.split(['?', '#']).next().unwrap_or_default();
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest
                .split_once('/')
                .map_or((rest, ""), |(authority, path)| (authority, path));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        None => plain.to_owned(),
    }
}
