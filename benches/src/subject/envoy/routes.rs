//! The routes of the Service, each as Istio writes it.

use super::config::{INBOUND_VIP, typed};
use super::told::Told;
use crate::scenario::Mesh;
use serde_json::{Value, json};

/// In order: HTTPRoutes, or the default when there are none.
pub(super) fn of(told: &Told) -> Value {
    if told.routes == 0 {
        return json!([route("default", json!({ "prefix": "/" }))]);
    }
    let routes = (0..told.routes).map(|number| {
        let prefix = json!({ "path_separated_prefix": Mesh::route_prefix(number) });
        route(&format!("demo.route-{number}.0"), prefix)
    });
    Value::Array(routes.collect())
}

fn route(name: &str, matches: Value) -> Value {
    let config = "/apis/networking.istio.io/v1/namespaces/demo/virtual-service/";
    json!({
        "match": matches, "name": name, "decorator": { "operation": "echo:80/*" },
        "metadata": { "filter_metadata": { "istio": { "config": format!("{config}{name}") } } },
        "route": { "cluster": INBOUND_VIP, "timeout": "0s", "retry_policy": {
            "num_retries": 2, "retry_on": "connect-failure,refused-stream,unavailable,cancelled",
            "host_selection_retry_max_attempts": "5",
            "retry_host_predicate": [{ "name": "envoy.retry_host_predicates.previous_hosts", "typed_config":
                typed("retry.host.previous_hosts.v3.PreviousHostsPredicate", json!({})) }] } },
    })
}
