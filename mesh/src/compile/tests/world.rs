//! A small mesh in words, and questions to what it compiles to.

use crate::{Compiler, Finding, Resources, Scope, ServicePort, Severity, Snapshot};
use http::Method;
use request::{Authority, Connection, Head, Request, SpiffeId};
use routing::{Cluster, ClusterId, Target};
use std::path::Path;
use std::sync::Arc;

pub(super) const GATEWAY: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
";

pub(super) fn service(namespace: &str, name: &str, vip: &str, more: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}, {more}}}\n\
         spec: {{clusterIP: {vip}, selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}\n"
    )
}

pub(super) fn pod(namespace: &str, name: &str, app: &str, ip: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: {{app: {app}}}\n  \
         annotations: {{ambient.istio.io/redirection: enabled}}\nspec: {{serviceAccountName: {app}}}\n\
         status: {{phase: Running, podIP: {ip}}}\n"
    )
}

/// `parents` and `rules` are YAML in flow style.
pub(super) fn route(namespace: &str, name: &str, parents: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  parentRefs: [{parents}]\n  rules: [{rules}]\n"
    )
}

pub(super) struct World {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn compile(text: &str) -> World {
    compile_by(&mut Compiler::new(Scope::default()), text)
}

pub(super) fn compile_by(compiler: &mut Compiler, text: &str) -> World {
    let resources = Resources::from_yaml(Path::new("mesh.yaml"), text);
    let (snapshot, findings) = compiler.compile(&resources);
    World { snapshot, findings }
}

impl World {
    pub(super) fn errors(&self) -> Vec<String> {
        self.told(Severity::Error)
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.told(Severity::Warning)
    }

    fn told(&self, severity: Severity) -> Vec<String> {
        let all = self.findings.iter().filter(|finding| finding.severity == severity);
        all.map(|finding| format!("{}: {}", finding.field.clone().unwrap_or_default(), finding.message))
            .collect()
    }

    pub(super) fn port(&self, authority: &str) -> Option<Arc<ServicePort>> {
        self.snapshot.target(&Authority::parse(authority).unwrap())
    }

    pub(super) fn own_cluster(&self, authority: &str) -> Arc<Cluster> {
        let port = self.port(authority).unwrap();
        Arc::clone(self.snapshot.endpoints_of(&port.cluster).unwrap())
    }

    pub(super) fn id(&self, authority: &str) -> ClusterId {
        match self.port(authority).unwrap().cluster {
            Target::Cluster(id) => id,
            ref other => panic!("{other:?}"),
        }
    }

    /// `reviews.shop:80`, the address of a pod, or `invalid`.
    pub(super) fn name_of(&self, target: &Target) -> String {
        match target {
            Target::Direct(cluster) => cluster.endpoints[0].address.to_string(),
            Target::Cluster(id) => {
                let cluster = self.snapshot.cluster(*id).unwrap();
                format!(
                    "{}.{}:{}",
                    cluster.service.name, cluster.service.namespace, cluster.port
                )
            }
            Target::Invalid => "invalid".to_owned(),
        }
    }

    /// Where a GET by a client of a namespace goes: `reviews:80*1 v2:80*9`, `500` parts as `invalid`, or `404`.
    pub(super) fn get(&self, authority: &str, path: &str, client_namespace: &str) -> String {
        let port = self.port(authority).unwrap();
        let (parts, ()) = http::Request::get(format!("http://{authority}{path}"))
            .header("host", authority)
            .body(())
            .unwrap()
            .into_parts();
        let head = Head::parse(&parts, self.snapshot.settings.path_mode).unwrap();
        let connection = Connection {
            identity: Some(SpiffeId::of("cluster.local", client_namespace, "web").unwrap()),
            source_ip: [10, 9, 9, 9].into(),
            destination_ip: None,
            destination_port: port.port,
            sni: None,
        };
        let request = Request {
            method: &Method::GET,
            head: &head,
            headers: &parts.headers,
            connection: &connection,
            remote_ip: connection.source_ip,
        };
        let Some(found) = port.routes(client_namespace).find(&request) else {
            return "404".to_owned();
        };
        let backends = found.rule.backends.iter();
        let backends = backends.map(|backend| format!("{}*{}", self.name_of(&backend.target), backend.weight));
        let backends = backends.collect::<Vec<_>>().join(" ");
        if backends.is_empty() {
            "500".to_owned()
        } else {
            backends
        }
    }
}
