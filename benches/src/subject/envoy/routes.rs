//! The routes of the Service, each as Istio writes it.

use super::config::{SERVICE, typed};
use super::told::Told;
use crate::scenario::Mesh;
use serde_json::{Map, Value, json};

/// In order: HTTPRoutes, or the default when there are none.
pub(super) fn of(told: &Told) -> Value {
    if told.routes == 0 {
        return json!([route(told, "default", json!({ "prefix": "/" }), 0)]);
    }
    let routes = (0..told.routes).map(|number| {
        let prefix = json!({ "path_separated_prefix": Mesh::route_prefix(number) });
        let version = told.versions.of_route(number);
        route(told, &format!("demo.route-{number}.0"), prefix, version)
    });
    Value::Array(routes.collect())
}

fn route(told: &Told, name: &str, matches: Value, version: u64) -> Value {
    let config = "/apis/networking.istio.io/v1/namespaces/demo/virtual-service/";
    let mut action = Map::new();
    let (how, to) = clusters(told);
    action.insert(how.to_owned(), to);
    action.insert("timeout".to_owned(), json!("0s"));
    action.insert("retry_policy".to_owned(), retries());
    let mut route = json!({
        "match": matches, "name": name, "decorator": { "operation": "echo:80/*" },
        "metadata": { "filter_metadata": { "istio": { "config": format!("{config}{name}") } } },
        "route": action,
    });
    if let (Some(route), 1..) = (route.as_object_mut(), version) {
        let header = json!({ "key": "x-route-version", "value": version.to_string() });
        let set = json!([{ "header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" }]);
        route.insert("request_headers_to_add".to_owned(), set);
    }
    route
}

/// One cluster, or several with weights.
fn clusters(told: &Told) -> (&'static str, Value) {
    if told.backends.len() < 2 {
        return ("cluster", json!(SERVICE));
    }
    let weighted = told
        .backends
        .iter()
        .map(|backend| json!({ "name": backend.cluster, "weight": backend.weight }));
    ("weighted_clusters", json!({ "clusters": weighted.collect::<Vec<_>>() }))
}

fn retries() -> Value {
    json!({
        "num_retries": 2, "retry_on": "connect-failure,refused-stream,unavailable,cancelled",
        "host_selection_retry_max_attempts": "5",
        "retry_host_predicate": [{ "name": "envoy.retry_host_predicates.previous_hosts", "typed_config":
            typed("retry.host.previous_hosts.v3.PreviousHostsPredicate", json!({})) }],
    })
}
