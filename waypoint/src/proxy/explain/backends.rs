//! Where a rule sends a request: shares, endpoints, and what each share comes to.

use super::super::reason::Reason;
use super::{Answer, Walk, Where};
use crate::explain::acts;
use crate::explain::report::{BackendTold, EndpointTold};
use request::Head;
use routing::{Backend, Cluster, Target};

/// Endpoints told of one backend.
const MOST_ENDPOINTS: usize = 100;

impl Walk<'_> {
    /// One backend; `own`: what its filters answer themselves.
    pub(super) fn backend_told(
        &self,
        backend: &Backend,
        share: f64,
        head: &Head,
        prefix: Option<&str>,
        own: Option<Answer>,
    ) -> BackendTold {
        let mut told = self.target_told(&backend.target, head.authority.host(), self.report.request.grpc);
        told.weight = backend.weight;
        // To a hundredth of a per cent.
        told.percent = (share * 10_000.0).round() / 100.0;
        told.filters = acts::of(&backend.filters, head, prefix);
        if let Some(answer) = own {
            told.answer = answer;
        }
        told
    }

    /// A target with its endpoints.
    pub(super) fn target_told(&self, target: &Target, host: &str, grpc: bool) -> BackendTold {
        let refused = |reason: &Reason| Answer::refused(reason, grpc);
        match self.endpoints(target, host) {
            Where::Nowhere => BackendTold {
                name: "a reference that leads nowhere".to_owned(),
                answer: refused(&Reason::NoBackend),
                ..BackendTold::default()
            },
            Where::InDns => BackendTold {
                name: self.named(target),
                answer: Answer::served("by an endpoint that is looked up in DNS, which is not done here"),
                ..BackendTold::default()
            },
            Where::Known(cluster) => {
                let now = self.now_ms();
                let usable = |endpoint: &&std::sync::Arc<routing::Endpoint>| !cluster.is_ejected(endpoint, now);
                let any = cluster.endpoints.iter().any(|endpoint| usable(&endpoint));
                let all = cluster
                    .endpoints
                    .iter()
                    .take(MOST_ENDPOINTS)
                    .map(|endpoint| EndpointTold {
                        address: endpoint.address.to_string(),
                        workload: endpoint.workload.pod.clone(),
                        hbone: endpoint.workload.hbone,
                        ejected: cluster.is_ejected(endpoint, now),
                    });
                BackendTold {
                    name: cluster_name(&cluster),
                    endpoints: all.collect(),
                    more_endpoints: cluster.endpoints.len().saturating_sub(MOST_ENDPOINTS),
                    answer: if any {
                        Answer::served("by the backend")
                    } else {
                        refused(&Reason::NoEndpoint)
                    },
                    ..BackendTold::default()
                }
            }
        }
    }

    fn named(&self, target: &Target) -> String {
        let cluster = self.world.snapshot.endpoints_of(target);
        cluster.map_or_else(|| "names in DNS".to_owned(), |cluster| cluster_name(cluster))
    }
}

/// As people know it: the Service's host and port, and the subset; a pod by its address.
fn cluster_name(cluster: &Cluster) -> String {
    let host = match (&*cluster.service.host, cluster.endpoints.first()) {
        ("", Some(endpoint)) => return endpoint.address.to_string(),
        (host, _) => host,
    };
    match &cluster.subset {
        Some(subset) => format!("{host}:{} subset {subset}", cluster.port),
        None => format!("{host}:{}", cluster.port),
    }
}
