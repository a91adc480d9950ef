//! Services and ServiceEntries are handed over to the snapshot: every cluster, and a [`ServicePort`] for each port that
//! is ours, with its routes and policies.

use super::Report;
use super::policies::Policies;
use super::routes::Routes;
use super::service_entries::Face;
use super::services::{Entry, Services};
use super::telemetry::Plans;
use super::virtual_services::VirtualServices;
use crate::kinds::Body;
use crate::kinds::service_entry::Exports;
use crate::snapshot::{Builder, ServicePort};
use routing::Target;
use std::sync::Arc;

/// All that is handed over.
pub(super) struct HandOver<'a, 'r> {
    pub(super) services: &'a Services<'r>,
    pub(super) routes: Routes<'a, 'r>,
    pub(super) virtual_services: VirtualServices<'a, 'r>,
    pub(super) policies: Policies<'r>,
    pub(super) plans: &'a Plans,
    pub(super) report: &'a mut Report,
    pub(super) builder: &'a mut Builder,
}

impl<'r> HandOver<'_, 'r> {
    /// Does it.
    pub(super) fn finish(mut self) {
        for (number, entry) in self.services.numbered() {
            for (id, cluster) in entry.clusters.iter().chain(&entry.subsets) {
                self.builder.cluster(*id, Arc::clone(cluster));
            }
            for face in &entry.faces {
                face.clusters(self.builder);
            }
            // Routes of others may lead to the clusters, whoever serves the ports.
            if entry.gateways.is_empty() {
                continue;
            }
            if entry.faces.is_empty() {
                self.ports(number, entry, None);
            }
            for face in &entry.faces {
                self.ports(number, entry, Some(face));
            }
        }
        self.routes.finish();
    }

    /// The ports of a Service, or of one face of a ServiceEntry.
    fn ports(&mut self, number: usize, entry: &Entry<'r>, face: Option<&Face>) {
        let (authn, policies) = self.policies.of(number);
        let clusters = face.map_or(&entry.clusters, |face| &face.clusters);
        for (port, (id, cluster)) in entry.service.ports.iter().zip(clusters) {
            let tables = self.routes.tables(number, entry, port, *id, self.report);
            let producer = self.virtual_services.shape(
                self.services,
                &cluster.service.host,
                entry,
                port,
                tables.producer,
                self.report,
            );
            let service_port = Arc::new(ServicePort {
                host: Arc::clone(&cluster.service.host),
                name: Arc::clone(&cluster.service.name),
                namespace: Arc::clone(&cluster.service.namespace),
                port: cluster.port,
                judged_at: None,
                protocol: port.protocol,
                cluster: Target::Cluster(*id),
                authn: Arc::clone(&authn),
                policies: Arc::clone(&policies),
                telemetry: self.plans.of(number),
                bound: self.policies.names(number),
                producer,
                consumers: tables.consumers,
                asks: tables.asks,
                exports: exports(entry),
            });
            let (taken, field) = match face {
                None => (
                    self.builder.service_port(service_port, &entry.service.vips),
                    "spec.clusterIP",
                ),
                Some(face) => (
                    self.builder.entry_port(service_port, &face.host, &face.vips),
                    "spec.addresses",
                ),
            };
            if let Some(taken) = taken {
                let message = format!("{taken} already has this address and port {}", port.port);
                self.report.error(entry.object, field, message);
            }
        }
    }
}

fn exports(entry: &Entry<'_>) -> Exports {
    match &entry.object.body {
        Body::ServiceEntry(entry) => entry.exports.clone(),
        _ => Exports::Everywhere,
    }
}
