//! The HTTP filters of the Service: tokens, policies, the router; and tracing.

use super::config::{filter, router, typed};
use super::told::Told;
use crate::neighbour::PolicyRule;
use serde_json::{Map, Value, json};

/// Where the client's id is, for policies.
pub(super) const PRINCIPAL: &str = "io.istio.peer_principal";
/// The cluster that takes spans.
pub(super) const COLLECTOR: &str = "collector";

/// In Istio's order.
pub(super) fn of(told: &Told) -> Vec<Value> {
    let tokens = told.tokens.as_ref().map(|(issuer, keys)| jwt_authn(issuer, keys));
    let rbac = (!told.rules.is_empty()).then(|| rbac(&told.rules));
    [tokens, rbac, Some(router())].into_iter().flatten().collect()
}

/// A token that comes must be good; none may come: RequestAuthentication.
fn jwt_authn(issuer: &str, keys: &Value) -> Value {
    let provider = json!({
        "issuer": issuer, "forward": true, "payload_in_metadata": "payload",
        "local_jwks": { "inline_string": keys.to_string() },
    });
    filter(
        "http.jwt_authn",
        "JwtAuthentication",
        json!({
            "providers": { "origins-0": provider },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "requires_any": { "requirements": [
                { "provider_name": "origins-0" }, { "allow_missing": {} }] } } }],
            "bypass_cors_preflight": true,
        }),
    )
}

/// An ALLOW policy.
fn rbac(rules: &[PolicyRule]) -> Value {
    let mut policies = Map::new();
    for (number, rule) in rules.iter().enumerate() {
        // Envoy asks in the order of the names.
        policies.insert(format!("ns[demo]-policy[items]-rule[{number:04}]"), policy(rule));
    }
    filter(
        "http.rbac",
        "RBAC",
        json!({ "rules": { "action": "ALLOW", "policies": policies } }),
    )
}

fn policy(rule: &PolicyRule) -> Value {
    let any = |rules: Value| json!({ "or_rules": { "rules": rules } });
    let method = any(json!([{ "header": { "name": ":method", "string_match": { "exact": "GET" } } }]));
    let path = any(json!([{ "url_path": { "path": { "prefix": rule.path_prefix } } }]));
    let principal = json!({ "filter_state": { "key": PRINCIPAL, "string_match": { "exact": rule.principal } } });
    json!({
        "permissions": [{ "and_rules": { "rules": [method, path] } }],
        "principals": [{ "and_ids": { "ids": [{ "or_ids": { "ids": [principal] } }] } }],
    })
}

/// Every request, with the tags that Istio adds to its spans.
pub(super) fn tracing() -> Value {
    let tag = |name: &str, value: &str| json!({ "tag": name, "literal": { "value": value } });
    let mut provider = typed(
        "",
        json!({ "grpc_service": { "envoy_grpc": { "cluster_name": COLLECTOR }, "timeout": "0.250s" },
            "service_name": "waypoint.demo" }),
    );
    if let Some(provider) = provider.as_object_mut() {
        let message = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig";
        provider.insert("@type".to_owned(), json!(message));
    }
    json!({
        "client_sampling": { "value": 100 }, "random_sampling": { "value": 100 }, "overall_sampling": { "value": 100 },
        "custom_tags": [
            tag("istio.canonical_revision", "latest"), tag("istio.canonical_service", "waypoint"),
            tag("istio.cluster_id", "Kubernetes"), tag("istio.mesh_id", "cluster.local"), tag("istio.namespace", "demo")],
        "provider": { "name": "envoy.tracers.opentelemetry", "typed_config": provider },
    })
}
