//! What every subject is told: one Service `echo` in one namespace, one pod behind it, and certificates for all.

use hbone::FileCerts;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, POD_PORT, Vip};
use integration_tests::peers::pki::{Certs, spiffe};
use request::SpiffeId;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::fault::{During, Fault};

/// ztunnel's port, and the waypoints'.
const HBONE_PORT: u16 = 15008;
/// Service, pod and service account.
const ECHO: &str = "echo";

/// The mesh as configuration. Its files go when it is dropped.
pub(crate) struct World {
    mesh: MeshWorld,
    vip: Vip,
    pod: Ipv4Addr,
}

impl World {
    /// On loopback addresses that nobody else uses now.
    pub(crate) fn new() -> Self {
        let mut mesh = MeshWorld::new();
        let pod = mesh.subnet().pod(1);
        mesh.apply("pod-echo.yaml", pod_manifest(pod));
        let vip = mesh.service(ECHO, "http", &[pod]);
        Self { mesh, vip, pod }
    }

    /// The folder of manifests.
    pub(crate) fn manifests(&self) -> &Path {
        self.mesh.config()
    }

    /// The certificates a proxy under test shows.
    pub(crate) fn proxy_certs(&self) -> &Certs {
        self.mesh.certs()
    }

    /// The namespace of everything.
    pub(crate) fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    /// The mesh's trust domain.
    pub(crate) fn trust_domain(&self) -> &str {
        self.mesh.pki.trust_domain()
    }

    /// Certificates of some workload, ready for use.
    pub(crate) fn workload(&self, service_account: &str) -> Result<Arc<FileCerts>, Fault> {
        let certs = self.mesh.pki.issue(NAMESPACE, service_account);
        // Read here and never again: the folder may go.
        FileCerts::load(certs.path()).during(format_args!("certificates of {service_account}"))
    }

    /// Who a proxy under test is.
    pub(crate) fn proxy_identity(&self) -> Result<SpiffeId, Fault> {
        self.identity("waypoint")
    }

    /// Who the destination is.
    pub(crate) fn destination_identity(&self) -> Result<SpiffeId, Fault> {
        self.identity(ECHO)
    }

    /// An address for the tunnel listener of the nth subject.
    pub(crate) fn proxy_address(&self, n: u8) -> SocketAddr {
        (self.mesh.subnet().pod(n.saturating_add(100)), HBONE_PORT).into()
    }

    /// Where the destination takes tunnels.
    pub(crate) fn destination_address(&self) -> SocketAddr {
        (self.pod, HBONE_PORT).into()
    }

    /// The application, as the destination's tunnel reaches it.
    pub(crate) fn application(&self) -> SocketAddr {
        (self.pod, POD_PORT).into()
    }

    /// The Service, as clients ask for it.
    pub(crate) fn vip(&self) -> &Vip {
        &self.vip
    }

    fn identity(&self, service_account: &str) -> Result<SpiffeId, Fault> {
        let id = spiffe(self.trust_domain(), NAMESPACE, service_account);
        SpiffeId::parse(&id).map_err(|error| format!("{error:?}")).during(id)
    }
}

fn pod_manifest(ip: Ipv4Addr) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "echo-5d8f9c7b64-bench", "namespace": NAMESPACE,
            "labels": { "app": ECHO, "version": "v1", "pod-template-hash": "5d8f9c7b64" },
            "annotations": { "ambient.istio.io/redirection": "enabled" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "echo-5d8f9c7b64", "uid": "0",
                "controller": true }],
        },
        "spec": { "serviceAccountName": ECHO, "nodeName": "node-1", "containers": [{ "name": "app", "image": "x" }] },
        "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": "True" }] },
    })
    .to_string()
}
