//! A namespace of a mesh: Services, pods and routes as manifests in a folder, with something real behind each pod.
//!
//! Every world has addresses of its own (see [`Subnet`]), so tests run side by side. Services have port 80, pods
//! port 9080: whoever mixes them up fails.

use super::authoriser::{Asked, Authoriser, Says};
use super::client_tunnel::ClientTunnel;
use super::destination_tunnel::DestinationTunnel;
use super::echo::Echo;
use super::loopback::Subnet;
use super::pki::{Certs, Leaf, Pki};
use super::raw_http::RawHttp;
use super::scripted::Scripted;
use super::tcp_backend::{Manner, TcpBackend};
use super::tls_backend::TlsBackend;
use super::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// The port of every Service.
pub const SERVICE_PORT: u16 = 80;
/// The port of every pod's application.
pub const POD_PORT: u16 = 9080;
/// The namespace of everything in a world.
pub const NAMESPACE: &str = "demo";

/// The world. Its files and certificates go when it is dropped.
pub struct MeshWorld {
    /// The mesh's certificate authority.
    pub pki: Arc<Pki>,
    subnet: Subnet,
    config: TempDir,
    certs: Certs,
    next_pod: u8,
    next_vip: u8,
    vips: Vec<Vip>,
    objects: u32,
}

/// A Service's address.
#[derive(Clone, Debug)]
pub struct Vip {
    /// Service name.
    pub name: String,
    /// clusterIP.
    pub ip: Ipv4Addr,
    /// Service port.
    pub port: u16,
}

/// How a pod is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through a tunnel to its port 15008: it is in the mesh.
    Hbone,
    /// In clear.
    Clear,
    /// Through a tunnel that the test serves itself.
    HboneByTest,
}

/// A pod with what listens on it.
pub struct Pod<B> {
    /// What answers.
    pub app: B,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The Service in front of this pod alone.
    pub vip: Vip,
    /// Its tunnel endpoint, when it is in the mesh.
    pub tunnel: Option<DestinationTunnel>,
}

impl MeshWorld {
    /// An empty namespace `demo` whose Services use the waypoint of this name.
    pub fn new() -> Self {
        Self::with_trust_domain("cluster.local")
    }

    /// The same in another trust domain.
    pub fn with_trust_domain(trust_domain: &str) -> Self {
        let pki = Arc::new(Pki::new(trust_domain));
        let certs = pki.issue(NAMESPACE, "waypoint");
        let config = tempfile::tempdir().unwrap();
        let mut world = Self {
            pki,
            subnet: Subnet::lease(),
            config,
            certs,
            next_pod: 1,
            next_vip: 1,
            vips: Vec::new(),
            objects: 0,
        };
        world.annotate_gateway(json!({}));
        world
    }

    /// The folder for `--config`.
    pub fn config(&self) -> &Path {
        self.config.path()
    }

    /// The waypoint's certificates.
    pub fn certs(&self) -> &Certs {
        &self.certs
    }

    /// The addresses.
    pub fn subnet(&self) -> &Subnet {
        &self.subnet
    }

    /// Writes a manifest file, replacing it by rename as an editor or a kubelet does. JSON is YAML.
    pub fn apply(&self, file: &str, text: impl ToString) {
        put(self.config.path(), file, &text.to_string());
    }

    /// Deletes a manifest file.
    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.config.path().join(file)).unwrap();
    }

    /// A pod with an HTTP echo backend that answers as `version`, and the Service `name` in front of it.
    pub async fn echo(&mut self, name: &str, version: &str, reach: Reach) -> Pod<Echo> {
        let ip = self.pod(name, version, reach);
        let app = Echo::start(ip, POD_PORT, name, version).await;
        self.finish_pod(name, "http", ip, reach, app).await
    }

    /// The same with a port of another protocol (`grpc`, `http2`, or an empty name for detection).
    pub async fn echo_as(&mut self, name: &str, port_name: &str, reach: Reach) -> Pod<Echo> {
        let ip = self.pod(name, "v1", reach);
        let app = Echo::start(ip, POD_PORT, name, "v1").await;
        self.finish_pod(name, port_name, ip, reach, app).await
    }

    /// A pod that is not HTTP.
    pub async fn tcp(&mut self, name: &str, port_name: &str, manner: Manner, reach: Reach) -> Pod<TcpBackend> {
        let ip = self.pod(name, "v1", reach);
        let app = TcpBackend::start(ip, POD_PORT, manner).await;
        self.finish_pod(name, port_name, ip, reach, app).await
    }

    /// A pod in clear that speaks TLS itself, with a certificate for these hosts.
    pub async fn tls(&mut self, name: &str, port_name: &str, hosts: &[&str]) -> Pod<TlsBackend> {
        let ip = self.pod(name, "v1", Reach::Clear);
        let app = TlsBackend::start(ip, POD_PORT, name, hosts).await;
        self.finish_pod(name, port_name, ip, Reach::Clear, app).await
    }

    /// A pod in clear that says its name to whoever connects, and that is all.
    pub async fn greeter(&mut self, name: &str, port_name: &str) -> Pod<Scripted> {
        let greeting: Arc<str> = name.into();
        let script = move |mut connection: RawHttp<TcpStream>| {
            let greeting = Arc::clone(&greeting);
            async move {
                let _ = connection.send(&*greeting).await;
            }
        };
        self.script_as(name, port_name, script).await
    }

    /// A pod in clear that answers with exact bytes.
    pub async fn script<F, Fut>(&mut self, name: &str, script: F) -> Pod<Scripted>
    where
        F: Fn(RawHttp<TcpStream>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.script_as(name, "http", script).await
    }

    /// The same with a port of another protocol.
    pub async fn script_as<F, Fut>(&mut self, name: &str, port_name: &str, script: F) -> Pod<Scripted>
    where
        F: Fn(RawHttp<TcpStream>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let ip = self.pod(name, "v1", Reach::Clear);
        let app = Scripted::start(ip, POD_PORT, script).await;
        self.finish_pod(name, port_name, ip, Reach::Clear, app).await
    }

    /// A pod with an external authoriser.
    pub async fn authoriser(
        &mut self,
        name: &str,
        port_name: &str,
        reach: Reach,
        says: impl Fn(&Asked) -> Says + Send + Sync + 'static,
    ) -> Pod<Authoriser> {
        let ip = self.pod(name, "v1", reach);
        let app = Authoriser::start(ip, POD_PORT, says).await;
        self.finish_pod(name, port_name, ip, reach, app).await
    }

    /// MeshConfig, as Istio has it.
    pub fn mesh_config(&mut self, config: Value) {
        let meta = self.meta("istio", Some("istio-system"), json!({}));
        let data = json!({ "mesh": config.to_string() });
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data });
        self.apply("mesh-config.yaml", object);
    }

    /// The address of a pod on which nothing listens, neither the application's port nor a tunnel's.
    pub fn dead_pod(&mut self, name: &str, reach: Reach) -> Ipv4Addr {
        self.pod(name, "v1", reach)
    }

    /// A Service over these pods. `port_name` tells the protocol (`http`, `grpc`, `tcp`, ..; empty = detect).
    pub fn service(&mut self, name: &str, port_name: &str, pods: &[Ipv4Addr]) -> Vip {
        let vip = Vip {
            name: name.into(),
            ip: self.subnet.vip(self.next_vip),
            port: SERVICE_PORT,
        };
        self.next_vip += 1;
        self.vips.push(vip.clone());
        let meta = self.meta(name, Some(NAMESPACE), json!({ "labels": { "app": name } }));
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": { "type": "ClusterIP", "clusterIP": vip.ip, "clusterIPs": [vip.ip], "selector": { "app": name },
                "ports": [{ "name": port_name, "port": SERVICE_PORT, "targetPort": POD_PORT, "protocol": "TCP" }] },
        });
        self.apply(&format!("service-{name}.yaml"), service);
        self.endpoints(name, port_name, pods);
        vip
    }

    /// A Service of this world by name.
    pub fn vip(&self, name: &str) -> Vip {
        let known = self.vips.iter().find(|vip| vip.name == name);
        known.unwrap_or_else(|| panic!("no Service {name}")).clone()
    }

    /// (Re)writes the EndpointSlice of a Service.
    pub fn endpoints(&mut self, service: &str, port_name: &str, pods: &[Ipv4Addr]) {
        let labels = json!({ "labels": { "kubernetes.io/service-name": service } });
        let meta = self.meta(&format!("{service}-abcde"), Some(NAMESPACE), labels);
        let ready = json!({ "ready": true, "serving": true, "terminating": false });
        let endpoints: Vec<_> = pods
            .iter()
            .map(|ip| json!({ "addresses": [ip], "conditions": ready }))
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4",
            "ports": [{ "name": port_name, "port": POD_PORT, "protocol": "TCP" }], "endpoints": endpoints,
        });
        self.apply(&format!("endpointslice-{service}.yaml"), slice);
    }

    /// An HTTPRoute `name` bound to a Service, with these rules.
    pub fn http_route(&mut self, name: &str, service: &str, rules: Value) {
        self.route("HTTPRoute", name, service, rules);
    }

    /// A route of any kind bound to a Service, with these rules.
    pub fn route(&mut self, kind: &str, name: &str, service: &str, rules: Value) {
        let meta = self.meta(name, Some(NAMESPACE), json!({}));
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": meta,
            "spec": { "parentRefs": [{ "group": "", "kind": "Service", "name": service }], "rules": rules },
        });
        self.apply(&format!("route-{name}.yaml"), route);
    }

    /// A security or telemetry resource with this spec, targeting a Service.
    pub fn attach(&mut self, api_version: &str, kind: &str, name: &str, service: &str, mut spec: Value) {
        spec["targetRefs"] = json!([{ "group": "", "kind": "Service", "name": service }]);
        let meta = self.meta(name, Some(NAMESPACE), json!({}));
        let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec });
        self.apply(&format!("{}-{name}.yaml", kind.to_lowercase()), object);
    }

    /// A DestinationRule for a Service of this namespace: `trafficPolicy`, `subsets`, ..
    pub fn destination_rule(&mut self, service: &str, mut spec: Value) {
        spec["host"] = json!(service);
        let meta = self.meta(service, Some(NAMESPACE), json!({}));
        let object = json!({ "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta,
            "spec": spec });
        self.apply(&format!("destinationrule-{service}.yaml"), object);
    }

    /// An AuthorizationPolicy on a Service.
    pub fn policy(&mut self, name: &str, service: &str, action: &str, rules: Value) {
        let spec = json!({ "action": action, "rules": rules });
        self.attach("security.istio.io/v1", "AuthorizationPolicy", name, service, spec);
    }

    /// An AuthorizationPolicy on a Service, in dry run.
    pub fn dry_run(&mut self, name: &str, service: &str, action: &str, rules: Value) {
        let meta = self.meta(
            name,
            Some(NAMESPACE),
            json!({ "annotations": { "istio.io/dry-run": "true" } }),
        );
        let targets = json!([{ "group": "", "kind": "Service", "name": service }]);
        let object = json!({ "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta,
            "spec": { "action": action, "rules": rules, "targetRefs": targets } });
        self.apply(&format!("dry-run-{name}.yaml"), object);
    }

    /// Starts a waypoint for this world.
    pub async fn start(&self) -> Waypoint {
        self.start_with(Launch::default()).await
    }

    /// Starts a waypoint with more flags or environment.
    pub async fn start_with(&self, launch: Launch) -> Waypoint {
        Waypoint::start(
            self.config(),
            self.certs.path(),
            NAMESPACE,
            self.pki.trust_domain(),
            launch,
        )
        .await
    }

    /// Starts a waypoint for this world that is configured by a cluster, and waits until it is ready.
    pub async fn start_by_cluster(&self, kubeconfig: &Path, launch: Launch) -> Waypoint {
        let waypoint = self.begin_by_cluster(kubeconfig, launch).await;
        waypoint.until_ready().await;
        waypoint
    }

    /// The same without waiting.
    pub async fn begin_by_cluster(&self, kubeconfig: &Path, launch: Launch) -> Waypoint {
        // CRDs are looked for often: tests wait for it.
        let launch = launch
            .arg("--kubeconfig", kubeconfig.display())
            .arg("--discovery-seconds", 1)
            .arg("--certs", self.certs.path().display());
        Waypoint::begin(&["--kubernetes"], NAMESPACE, self.pki.trust_domain(), launch).await
    }

    /// Tunnels to the waypoint as the service account `client` of this namespace.
    pub fn client(&self, waypoint: &Waypoint) -> Arc<ClientTunnel> {
        self.client_as(waypoint, NAMESPACE, "client")
    }

    /// Tunnels as somebody else.
    pub fn client_as(&self, waypoint: &Waypoint, namespace: &str, service_account: &str) -> Arc<ClientTunnel> {
        Arc::new(ClientTunnel::new(
            waypoint.hbone,
            &self.pki,
            NAMESPACE,
            namespace,
            service_account,
        ))
    }

    /// Tunnels with a certificate for this URI, whatever it is.
    pub fn client_with(&self, waypoint: &Waypoint, uri: &str) -> Arc<ClientTunnel> {
        let leaf = Leaf {
            uri: Some(uri.into()),
            ..Leaf::workload(self.pki.trust_domain(), NAMESPACE, "client")
        };
        let certs = self.pki.issue_leaf(&leaf);
        Arc::new(ClientTunnel::with_certs(waypoint.hbone, &self.pki, NAMESPACE, certs))
    }

    /// Gives the waypoint's Gateway these annotations, and no others.
    pub fn annotate_gateway(&mut self, annotations: Value) {
        let namespace = self.meta(
            NAMESPACE,
            None,
            json!({ "labels": {
            "kubernetes.io/metadata.name": NAMESPACE, "istio.io/dataplane-mode": "ambient",
            "istio.io/use-waypoint": "waypoint" } }),
        );
        let class = self.meta("istio-waypoint", None, json!({}));
        let gateway = self.meta(
            "waypoint",
            Some(NAMESPACE),
            json!({ "labels": { "istio.io/waypoint-for": "service" }, "annotations": annotations }),
        );
        let objects = [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": namespace }),
            json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": class,
                "spec": { "controllerName": "istio.io/mesh-controller" } }),
            json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": gateway,
                "spec": { "gatewayClassName": "istio-waypoint",
                    "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] } }),
        ];
        self.apply("00-mesh.yaml", objects.map(|o| o.to_string()).join("\n---\n"));
    }

    /// Writes the Pod and gives its address. It belongs to the Deployment `name`.
    fn pod(&mut self, name: &str, version: &str, reach: Reach) -> Ipv4Addr {
        let ip = self.subnet.pod(self.next_pod);
        self.next_pod += 1;
        let redirection = if reach == Reach::Clear { "disabled" } else { "enabled" };
        let hash = "7c5ddbdf54";
        let meta = self.meta(
            &format!("{name}-{hash}-x2x4k"),
            Some(NAMESPACE),
            json!({
                "labels": { "app": name, "version": version, "pod-template-hash": hash },
                "annotations": { "ambient.istio.io/redirection": redirection },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-{hash}"),
                    "uid": "0", "controller": true }],
            }),
        );
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": meta,
            "spec": { "serviceAccountName": name, "nodeName": "node-1", "containers": [{ "name": "app", "image": "x" }] },
            "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
                "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        self.apply(&format!("pod-{name}.yaml"), pod);
        ip
    }

    async fn finish_pod<B>(&mut self, name: &str, port_name: &str, ip: Ipv4Addr, reach: Reach, app: B) -> Pod<B> {
        let vip = self.service(name, port_name, &[ip]);
        let tunnel = match reach {
            Reach::Hbone => Some(DestinationTunnel::start(&self.pki, ip, NAMESPACE, name, NAMESPACE).await),
            Reach::Clear | Reach::HboneByTest => None,
        };
        Pod { app, ip, vip, tunnel }
    }

    /// Metadata; each object is a second younger than the one before, so that ages are a total order.
    fn meta(&mut self, name: &str, namespace: Option<&str>, more: Value) -> Value {
        self.objects += 1;
        let (minute, second) = (self.objects / 60 % 60, self.objects % 60);
        let mut meta = more;
        meta["name"] = json!(name);
        meta["creationTimestamp"] = json!(format!("2026-01-01T00:{minute:02}:{second:02}Z"));
        if let Some(namespace) = namespace {
            meta["namespace"] = json!(namespace);
        }
        meta
    }
}

impl Default for MeshWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl Vip {
    /// What CONNECT asks for.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// What an application puts into Host.
    pub fn host_port(&self) -> String {
        if self.port == 80 {
            self.name.clone()
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }
}

/// `to("v1", 90)`: a backendRef.
pub fn backend(service: &str, weight: u32) -> Value {
    json!({ "name": service, "port": SERVICE_PORT, "weight": weight })
}

/// Writes a file by rename.
pub fn put(dir: &Path, file: &str, text: &str) {
    let tmp = dir.join(format!(".{file}.new"));
    std::fs::write(&tmp, text).unwrap();
    std::fs::rename(tmp, dir.join(file)).unwrap();
}
