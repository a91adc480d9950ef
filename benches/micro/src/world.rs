//! Manifests of a namespace with many routes, as JSON objects.

use mesh::{Compiler, Resources, Scope, ServicePort, Snapshot};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where everything is.
pub const NAMESPACE: &str = "demo";
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// How large a mesh is.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Services, each with one pod.
    pub services: usize,
    /// HTTPRoutes, dealt to the Services in turn.
    pub routes: usize,
    /// Rules of each route.
    pub rules: usize,
    /// What each rule says.
    pub rule: RuleKind,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// A path prefix and a backendRef.
    Plain,
    /// Two matches, one of them with a header; a header filter; two weighted backendRefs.
    Rich,
}

impl World {
    /// All objects.
    pub fn objects(&self) -> Vec<Value> {
        let mut objects = vec![namespace(), gateway()];
        for number in 0..self.services {
            objects.extend([service(number), slice(number)]);
        }
        objects.extend((0..self.routes).map(|number| self.route(number, "v1")));
        objects
    }

    /// One of the routes. Each rule has a path of its own; `mark` tells one version of the route from another.
    pub fn route(&self, number: usize, mark: &str) -> Value {
        let service = format!("svc-{}", number % self.services.max(1));
        let rules: Vec<Value> = (0..self.rules)
            .map(|rule| match self.rule {
                RuleKind::Plain => plain(number, rule, &service),
                RuleKind::Rich => rich(number, rule, &service, mark),
            })
            .collect();
        json!({
            "apiVersion": GATEWAY_API, "kind": "HTTPRoute",
            "metadata": { "name": format!("route-{number}"), "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "parentRefs": [{ "group": "", "kind": "Service", "name": service, "port": 80 }], "rules": rules },
        })
    }

    /// Compiles it all.
    pub fn compile(&self) -> (Compiler, Resources, Arc<Snapshot>) {
        Self::compile_objects(self.objects())
    }

    /// Compiles these.
    pub fn compile_objects(objects: Vec<Value>) -> (Compiler, Resources, Arc<Snapshot>) {
        let resources = Resources::from_json(objects);
        let mut compiler = Compiler::new(Scope::default());
        let (snapshot, findings) = compiler.compile(&resources);
        assert!(findings.is_empty(), "{findings:?}");
        (compiler, resources, snapshot)
    }
}

/// The port of Service `svc-0`.
///
/// # Panics
/// When there is none.
pub fn first_port(snapshot: &Snapshot) -> &Arc<ServicePort> {
    let ports = snapshot.service_ports();
    match ports.iter().find(|port| &*port.name == "svc-0") {
        Some(port) => port,
        #[allow(clippy::panic)] // a bench without a Service is a mistake in the bench
        None => panic!("no Service svc-0 among {}", ports.len()),
    }
}

fn plain(route: usize, rule: usize, service: &str) -> Value {
    json!({ "matches": [{ "path": { "type": "PathPrefix", "value": format!("/api/{route}/{rule}") } }],
            "backendRefs": [{ "name": service, "port": 80 }] })
}

fn rich(route: usize, rule: usize, service: &str, mark: &str) -> Value {
    json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": format!("/api/{route}/{rule}") },
                      "headers": [{ "name": "x-version", "value": mark }] },
                    { "path": { "type": "Exact", "value": format!("/exact/{route}/{rule}") } }],
        "filters": [{ "type": "RequestHeaderModifier",
                      "requestHeaderModifier": { "set": [{ "name": "x-route", "value": mark }] } }],
        "backendRefs": [{ "name": service, "port": 80, "weight": 90 }, { "name": "svc-0", "port": 80, "weight": 10 }],
    })
}

fn namespace() -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": NAMESPACE, "labels": { "istio.io/use-waypoint": "waypoint" } } })
}

fn gateway() -> Value {
    json!({ "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": { "name": "waypoint", "namespace": NAMESPACE },
            "spec": { "gatewayClassName": "istio-waypoint",
                      "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }] } })
}

fn service(number: usize) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": format!("svc-{number}"), "namespace": NAMESPACE },
            "spec": { "clusterIP": address(10, number), "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] } })
}

fn slice(number: usize) -> Value {
    json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": format!("svc-{number}-1"), "namespace": NAMESPACE,
                          "labels": { "kubernetes.io/service-name": format!("svc-{number}") } },
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [{ "addresses": [address(127, number)], "conditions": { "ready": true } }] })
}

fn address(net: u8, number: usize) -> String {
    format!(
        "{net}.{}.{}.{}",
        number / 65_536 % 256,
        number / 256 % 256,
        number % 256
    )
}
