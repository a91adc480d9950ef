//! `/config_dump`: what a cluster's policy is, and how its endpoints are.

use routing::{Balance, Cluster, HashKey, TrafficPolicy, Usage};
use serde_json::{Value, json};
use std::time::Duration;

/// Endpoints with their load and health.
pub(super) fn endpoints(cluster: &Cluster, now_ms: u64) -> Vec<Value> {
    let endpoints = cluster.endpoints.iter().map(|endpoint| {
        let health = &endpoint.health;
        let is_ejected = cluster.is_ejected(endpoint, now_ms);
        json!({
            "address": endpoint.address.to_string(),
            "workload": endpoint.workload.pod,
            "hbone": endpoint.workload.hbone,
            "gateway": endpoint.gateway.as_ref().map(|gateway| gateway.identity.as_str()),
            "inFlight": endpoint.load(),
            "weight": endpoint.weight,
            "priority": endpoint.priority,
            "ejected": is_ejected,
            "backInMs": is_ejected.then(|| health.ejected_until().saturating_sub(now_ms)),
            "ejections": health.ejections(),
        })
    });
    endpoints.collect()
}

/// What a DestinationRule sets.
pub(super) fn policy(policy: &TrafficPolicy) -> Value {
    let limits = &policy.limits;
    json!({
        "loadBalancer": balance(&policy.balance),
        "warmupMs": policy.warmup.map(|warmup| millis(warmup.duration)),
        "outlierDetection": policy.outliers.as_ref().map(|outliers| json!({
            "consecutive5xxErrors": outliers.consecutive_5xx,
            "consecutiveGatewayErrors": outliers.consecutive_gateway,
            "consecutiveLocalOriginFailures": outliers.split_local.then_some(outliers.consecutive_local),
            "intervalMs": millis(outliers.interval),
            "baseEjectionTimeMs": millis(outliers.base_ejection),
            "maxEjectionPercent": outliers.max_ejection_percent,
            "minHealthPercent": outliers.min_health_percent,
        })),
        "connectionPool": {
            "maxConnections": limits.connections,
            "http1MaxPendingRequests": limits.pending,
            "http2MaxRequests": limits.requests,
            "maxRetries": limits.retries,
            "retryBudget": limits.retry_share.map(|share| json!({
                "percent": f64::from(share.basis_points) / 100.0,
                "minRetryConcurrency": share.least,
            })),
            "maxRequestsPerConnection": limits.requests_per_connection,
            "maxConcurrentStreams": limits.streams_per_connection,
            "connectTimeoutMs": limits.connect_timeout.map(millis),
            "httpIdleTimeoutMs": limits.http_idle.map(millis),
            "maxConnectionDurationMs": limits.connection_age.map(millis),
        },
    })
}

/// What is in use of the limits.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "connections": usage.connections.now(),
        "pending": usage.pending.now(),
        "requests": usage.requests.now(),
        "retries": usage.retries.now(),
    })
}

fn balance(balance: &Balance) -> String {
    match balance {
        Balance::LeastRequest => "LEAST_REQUEST".to_owned(),
        Balance::RoundRobin => "ROUND_ROBIN".to_owned(),
        Balance::Random => "RANDOM".to_owned(),
        Balance::Hash(HashKey::Header(name)) => format!("hash of header {name}"),
        Balance::Hash(HashKey::Cookie(cookie)) => format!("hash of cookie {}", cookie.name),
        Balance::Hash(HashKey::SourceIp) => "hash of the source address".to_owned(),
        Balance::Hash(HashKey::Query(name)) => format!("hash of query parameter {name}"),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
