//! Envoy's configuration, in the shape of Istio's waypoint: three listeners, two of them inside the process.
//!
//! `connect_terminate` (mTLS, CONNECT) -> `main_internal` (picks the Service by the address asked for, routes HTTP) ->
//! `connect_originate` (CONNECT to the pod, mTLS). Istio's own filters (its statistics, peer metadata) are not in a
//! plain Envoy, so that this is a lower bound of what Istio's waypoint costs. The access log is off.

use super::filters;
use super::routes;
use super::told::{Backend, Told};
use crate::scenario::Speaks;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// A Service, by Istio's name for it.
pub(super) fn inbound_vip(service: &str) -> String {
    format!("inbound-vip|80|http|{service}.demo.svc.cluster.local")
}

/// The one that clients ask for.
pub(super) const SERVICE: &str = "inbound-vip|80|http|echo.demo.svc.cluster.local";
/// Where the original-destination filter looks, both in filter state and in endpoint metadata.
const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";

/// The bootstrap file.
pub(super) fn waypoint(told: &Told) -> Value {
    let mut clusters = vec![main_internal_cluster(), originate_cluster(told)];
    clusters.extend(told.backends.iter().map(|backend| vip_cluster(backend, told.speaks)));
    clusters.extend(told.collector.map(collector_cluster));
    json!({
        "node": { "id": "waypoint~127.0.0.1~waypoint.demo~demo.svc.cluster.local", "cluster": "waypoint.demo" },
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": typed("bootstrap.internal_listener.v3.InternalListener", json!({})),
        }],
        "static_resources": {
            "listeners": [connect_terminate(told), main_internal(told), connect_originate()],
            "clusters": clusters,
        },
    })
}

fn connect_terminate(told: &Told) -> Value {
    let state = |key: &str, format: &str| {
        json!({ "object_key": format!("{ORIGINAL_DST}.{key}"), "shared_with_upstream": "ONCE",
            "format_string": { "text_format_source": { "inline_string": format } } })
    };
    // For policies inside, as Istio does it.
    let principal = json!({ "object_key": filters::PRINCIPAL, "factory_key": "envoy.string",
        "shared_with_upstream": "ONCE",
        "format_string": { "text_format_source": { "inline_string": "%DOWNSTREAM_PEER_URI_SAN%" } } });
    let authority = json!({ "on_request_headers": [
        state("local_ip", "%REQ(:AUTHORITY)%"), state("remote_ip", "%DOWNSTREAM_REMOTE_ADDRESS%"), principal] });
    let filters = [filter("http.set_filter_state", "Config", authority), router()];
    let manager = manager(json!({
        "stat_prefix": "connect_terminate",
        "upgrade_configs": [{ "upgrade_type": "CONNECT" }],
        "http2_protocol_options": { "allow_connect": true, "max_concurrent_streams": 100,
            "connection_keepalive": { "interval": "10s", "timeout": "20s" } },
        "forward_client_cert_details": "APPEND_FORWARD",
        "set_current_client_cert_details": { "subject": true, "uri": true, "dns": true },
        "use_remote_address": false, "stream_idle_timeout": "0s", "generate_request_id": false,
        "http_filters": filters,
        "route_config": route_config("default", json!([{
            "match": { "connect_matcher": {} },
            "route": { "cluster": "main_internal",
                "upgrade_configs": [{ "upgrade_type": "CONNECT", "connect_config": {} }] },
        }])),
    }));
    let tls = tls(&told.certs, &told.clients);
    json!({
        "name": "connect_terminate", "address": socket(told.address),
        "connection_balance_config": { "exact_balance": {} },
        "filter_chains": [{ "filters": [manager], "transport_socket": {
            "name": "tls", "typed_config": typed("transport_sockets.tls.v3.DownstreamTlsContext",
                json!({ "common_tls_context": tls, "require_client_certificate": true })) } }],
    })
}

/// The routes as Envoy's file of them: it is read anew when it is replaced by rename.
pub(super) fn routes_file(told: &Told) -> Value {
    let mut routes = route_config(SERVICE, routes::of(told));
    if let Some(routes) = routes.as_object_mut() {
        let message = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
        routes.insert("@type".to_owned(), json!(message));
    }
    json!({ "resources": [routes] })
}

/// The name of that file.
pub(super) const ROUTES_FILE: &str = "routes.json";

fn main_internal(told: &Told) -> Value {
    let chain_filter = if told.speaks == Speaks::Tcp {
        bytes()
    } else {
        requests(told)
    };
    let chain = json!({ "action": { "name": SERVICE, "typed_config": {
        "@type": "type.googleapis.com/google.protobuf.StringValue", "value": SERVICE } } });
    let ports = json!({ "matcher_tree": { "input": input("DestinationPortInput"),
        "exact_match_map": { "map": { told.vip_port.to_string(): chain } } } });
    let addresses = json!({ "matcher_tree": { "input": input("DestinationIPInput"), "custom_match": {
        "name": "ip", "typed_config": { "@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher",
            "range_matchers": [{ "ranges": [{ "address_prefix": told.vip_ip, "prefix_len": 32 }],
                "on_match": { "matcher": ports } }] } } } });
    json!({
        "name": "main_internal", "internal_listener": {}, "traffic_direction": "INBOUND",
        "listener_filters": [original_dst()],
        "filter_chain_matcher": addresses,
        "filter_chains": [{ "name": SERVICE, "filters": [chain_filter] }],
    })
}

/// A port that is not HTTP.
fn bytes() -> Value {
    filter(
        "network.tcp_proxy",
        "TcpProxy",
        json!({ "stat_prefix": SERVICE, "cluster": SERVICE }),
    )
}

fn requests(told: &Told) -> Value {
    let mut config = json!({
        "stat_prefix": SERVICE, "codec_type": "AUTO", "use_remote_address": false,
        "generate_request_id": true, "stream_idle_timeout": "0s", "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "http_filters": filters::of(told),
    });
    let (name, routes) = match &told.routes_folder {
        None => ("route_config", route_config(SERVICE, routes::of(told))),
        Some(folder) => {
            let path = json!({ "path": folder.join(ROUTES_FILE), "watched_directory": { "path": folder } });
            let source = json!({ "path_config_source": path, "resource_api_version": "V3" });
            ("rds", json!({ "route_config_name": SERVICE, "config_source": source }))
        }
    };
    if let Some(config) = config.as_object_mut() {
        config.insert(name.to_owned(), routes);
        if told.collector.is_some() {
            config.insert("tracing".to_owned(), filters::tracing());
        }
    }
    manager(config)
}

fn connect_originate() -> Value {
    let proxy = filter(
        "network.tcp_proxy",
        "TcpProxy",
        json!({ "stat_prefix": "connect_originate", "cluster": "connect_originate",
            "tunneling_config": { "hostname": "%DOWNSTREAM_LOCAL_ADDRESS%" } }),
    );
    json!({
        "name": "connect_originate", "internal_listener": {}, "use_original_dst": false,
        "listener_filters": [original_dst()],
        "filter_chains": [{ "filters": [proxy] }],
    })
}

/// From the outer HTTP connection manager to the listener of the Services.
fn main_internal_cluster() -> Value {
    json!({
        "name": "main_internal", "type": "STATIC",
        "load_assignment": { "cluster_name": "main_internal", "endpoints": [{ "lb_endpoints": [{ "endpoint": {
            "address": { "envoy_internal_address": { "server_listener_name": "main_internal" } } } }] }] },
        "transport_socket": internal_upstream(json!([])),
    })
}

/// The Service: its endpoint is the listener of outgoing tunnels, told where to go by metadata.
fn vip_cluster(backend: &Backend, speaks: Speaks) -> Value {
    let application = backend.application.to_string();
    let mut cluster = json!({
        "name": backend.cluster, "type": "STATIC", "lb_policy": "LEAST_REQUEST",
        "load_assignment": { "cluster_name": backend.cluster, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": { "envoy_internal_address": {
                "server_listener_name": "connect_originate", "endpoint_id": application } } },
            "metadata": { "filter_metadata": { ORIGINAL_DST: { "local": application } } },
        }] }] },
        "transport_socket": internal_upstream(json!([{ "kind": { "host": {} }, "name": ORIGINAL_DST }])),
    });
    if let (Some(cluster), true) = (cluster.as_object_mut(), speaks.is_multiplexed()) {
        cluster.insert("typed_extension_protocol_options".to_owned(), http2_only(json!({})));
    }
    cluster
}

/// Where spans go.
fn collector_cluster(address: SocketAddr) -> Value {
    json!({
        "name": filters::COLLECTOR, "type": "STATIC",
        "typed_extension_protocol_options": http2_only(json!({})),
        "load_assignment": { "cluster_name": filters::COLLECTOR, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": socket(address) } }] }] },
    })
}

/// mTLS to port 15008 of whatever pod the tunnel is for.
fn originate_cluster(told: &Told) -> Value {
    let tls = tls(&told.certs, &told.destination);
    let options = json!({ "allow_connect": true, "connection_keepalive": { "interval": "10s", "timeout": "20s" } });
    json!({
        "name": "connect_originate", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": { "upstream_port_override": 15008 }, "cleanup_interval": "60s",
        "typed_extension_protocol_options": http2_only(options),
        "transport_socket": { "name": "tls", "typed_config":
            typed("transport_sockets.tls.v3.UpstreamTlsContext", json!({ "common_tls_context": tls })) },
    })
}

fn http2_only(options: Value) -> Value {
    json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("upstreams.http.v3.HttpProtocolOptions",
        json!({ "explicit_http_config": { "http2_protocol_options": options } })) })
}

fn manager(config: Value) -> Value {
    filter("network.http_connection_manager", "HttpConnectionManager", config)
}

pub(super) fn router() -> Value {
    filter("http.router", "Router", json!({}))
}

fn original_dst() -> Value {
    filter("listener.original_dst", "OriginalDst", json!({}))
}

pub(super) fn filter(path: &str, message: &str, config: Value) -> Value {
    json!({ "name": format!("envoy.filters.{path}"),
        "typed_config": typed(&format!("filters.{path}.v3.{message}"), config) })
}

fn internal_upstream(metadata: Value) -> Value {
    json!({ "name": "envoy.transport_sockets.internal_upstream",
        "typed_config": typed("transport_sockets.internal_upstream.v3.InternalUpstreamTransport", json!({
            "passthrough_metadata": metadata,
            "transport_socket": { "name": "envoy.transport_sockets.raw_buffer",
                "typed_config": typed("transport_sockets.raw_buffer.v3.RawBuffer", json!({})) } })) })
}

/// TLS 1.3, h2, the proxy's certificate, and peers whose SPIFFE id begins so.
fn tls(certs: &Path, peers: &str) -> Value {
    let file = |name| json!({ "filename": certs.join(name) });
    json!({
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
        "alpn_protocols": ["h2"],
        "tls_certificates": [{ "certificate_chain": file("cert-chain.pem"), "private_key": file("key.pem") }],
        "validation_context": { "trusted_ca": file("root-cert.pem"),
            "match_typed_subject_alt_names": [{ "san_type": "URI", "matcher": { "prefix": peers } }] },
    })
}

fn route_config(name: &str, routes: Value) -> Value {
    json!({ "name": name, "validate_clusters": false,
        "virtual_hosts": [{ "name": name, "domains": ["*"], "routes": routes }] })
}

fn input(name: &str) -> Value {
    json!({ "name": name, "typed_config": typed(&format!("matching.common_inputs.network.v3.{name}"), json!({})) })
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

pub(super) fn typed(message: &str, mut config: Value) -> Value {
    if let Some(config) = config.as_object_mut() {
        config.insert(
            "@type".to_owned(),
            json!(format!("type.googleapis.com/envoy.extensions.{message}")),
        );
    }
    config
}

#[cfg(test)]
mod tests;
