//! Resources -> Snapshot. Never fails: what cannot be is a finding, the rest is served.
//!
//! One step per module: `gateways` (which waypoint is ours, whose Services may use it), `workloads` (pods),
//! `destination_rules` (how endpoints are used, subsets), `clusters` (endpoints with a policy), `services` and `service_entries` (ports, endpoints, which are ours), `pods` (those addressed by themselves), `backend_policies` (sessions and retry budgets of Services), `routes` (rules with resolved backends, and which Service
//! they shape), `virtual_services` (the same where there is no route), `policies` (what binds where), `telemetry` (what is told of each Service). Every step is linear in the objects it reads.

mod backend_policies;
mod clusters;
mod destination_rules;
mod endpoints;
mod gateways;
mod grants;
mod hand_over;
mod kept;
mod locality;
mod origination;
mod pods;
mod policies;
mod providers;
mod remote;
mod report;
mod routes;
mod service_entries;
mod services;
mod telemetry;
mod topology;
mod virtual_services;
mod workloads;

use crate::kinds::Body;
use crate::kinds::extension_provider::AuthProvider;
use crate::kinds::mesh_config::{self, MeshConfig};
use crate::kinds::telemetry_provider::Defaults;
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot::{Builder, Settings, Topology};
use crate::{Finding, Resources, Scope, Snapshot};
use authz::TrustDomains;
pub(crate) use gateways::{Addressed, Gateways, Waypoint, bind_waypoints, waypoints_named};
pub(crate) use locality::Place;
pub(crate) use origination::ClusterTls;
pub(crate) use report::{Raised, Report};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiles, keeping what must survive a compile: cluster ids, endpoint load counters, routes that did not change,
/// token caches, the generation.
#[derive(Debug)]
pub struct Compiler {
    scope: Scope,
    generation: u64,
    kept_workloads: workloads::Kept,
    kept_services: kept::Kept<services::Built>,
    kept_own: locality::Known,
    kept_gateways: Vec<Arc<Object>>,
    kept_clusters: clusters::Kept,
    kept_routes: routes::Kept,
    kept_policies: policies::Kept,
    kept_budgets: backend_policies::Budgets,
    kept_plans: telemetry::Kept,
}

impl Compiler {
    /// For this waypoint.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            generation: 0,
            kept_workloads: workloads::Kept::default(),
            kept_services: kept::Kept::new(services::FREE),
            kept_own: locality::Known::default(),
            kept_gateways: Vec::new(),
            kept_clusters: clusters::Kept::default(),
            kept_routes: routes::Kept::default(),
            kept_policies: policies::Kept::default(),
            kept_budgets: backend_policies::Budgets::default(),
            kept_plans: telemetry::Kept::default(),
        }
    }

    /// Compiles. The snapshot's generation is one more than the one before. Findings stand where their object began;
    /// the file reader knows the very line.
    pub fn compile(&mut self, resources: &Resources) -> (Arc<Snapshot>, Vec<Finding>) {
        let (snapshot, raised) = self.compile_raised(resources);
        let mut findings: Vec<Finding> = raised.into_iter().map(|raised| raised.finding).collect();
        findings.sort_by(Finding::order);
        (snapshot, findings)
    }

    /// Every cluster may be ranked by our own workload, or lead through a gateway, and clusters are kept across changes of
    /// workloads: not of these.
    fn forget_ways(&mut self, own: &locality::Own<'_>, elsewhere: &remote::Gateways<'_>) {
        let (now, before) = (&elsewhere.workloads, &self.kept_gateways);
        let same = |(one, other): (&Arc<Object>, &Arc<Object>)| Arc::ptr_eq(one, other);
        let is_same_way = now.len() == before.len() && now.iter().zip(before).all(same);
        if !is_same_way || !own.is(&self.kept_own) {
            self.kept_services = kept::Kept::new(services::FREE);
            self.kept_own = own.known();
            self.kept_gateways.clone_from(now);
        }
    }

    pub(crate) fn compile_raised(&mut self, resources: &Resources) -> (Arc<Snapshot>, Vec<Raised>) {
        let mut report = Report::of(resources);
        let index = Index::new(resources, |object, first| {
            let place = Report::place_of(first).map(|place| format!(" at {}:{}", place.file.display(), place.line));
            let place = place.unwrap_or_default();
            report.error(
                object,
                "metadata.name",
                format!("{first} was read before{place}: this one is not used"),
            );
        });
        for object in index.objects() {
            report.problems(object, &object.problems);
        }

        let (mut settings, providers, defaults, mesh_object) = settings(&self.scope, &index, &mut report);
        let gateways = gateways::Gateways::find(&self.scope, &index, &mut report);
        settings.topology = gateways.topology(&index, &mut report);
        let workloads = workloads::Workloads::build(&index, &settings.trust, &mut self.kept_workloads);
        let rules = destination_rules::DestinationRules::build(&index, &settings.root_namespace, &mut report);
        let own = locality::Own::find(&self.scope, &workloads);
        settings.place = own.place.clone();
        self.forget_ways(&own, &workloads.elsewhere);
        workloads.elsewhere.report(&mut report);
        let originations = origination::Originations::build(&index, &mut report);
        let mut clusters = clusters::Clusters::new(
            &workloads,
            &rules,
            own,
            settings.locality.as_ref(),
            &originations,
            &mut self.kept_clusters,
        );
        let mut services = services::Services::build(
            &index,
            &gateways,
            &workloads,
            &mut clusters,
            &mut self.kept_services,
            &mut report,
        );
        service_entries::build(&index, &gateways, &workloads, &mut clusters, &mut services, &mut report);
        clusters.finish();
        originations.report(&mut report);
        rules.report_unused(&mut report);
        settings.auth_providers = providers::resolve(&providers, mesh_object, &services, &mut report);
        let pods = pods::Pods::find(&index, &gateways, &services);
        let traffic = backend_policies::BackendPolicies::bind(&index, &services, &mut report);
        let budgets = traffic.budgets(&mut self.kept_budgets);
        let routes = routes::Routes::build(
            &index,
            &gateways,
            &services,
            &traffic,
            &mut self.kept_routes,
            &mut report,
        );
        let virtual_services = virtual_services::VirtualServices::build(&index, &services, &traffic, &mut report);
        let policies = policies::Policies::bind(
            &index,
            &gateways,
            &services,
            &pods,
            &settings,
            &mut self.kept_policies,
            &mut report,
        );

        let plans = telemetry::Plans::build(
            &index,
            &gateways,
            &services,
            &pods,
            &telemetry::Mesh {
                scope: &self.scope,
                defaults: &defaults,
                access_log: settings.access_log.as_deref(),
                sampling: settings.trace_sampling_percent,
                root: &settings.root_namespace,
            },
            &mut self.kept_plans,
            &mut report,
        );
        settings.telemetry = Arc::clone(&plans.common);

        self.generation += 1;
        let mut builder = Builder::new(self.generation, settings);
        builder.retry_budgets(budgets);
        pods.finish(&services, &workloads, &policies, &plans, &mut builder);
        workloads.finish(&mut builder);
        hand_over::HandOver {
            services: &services,
            routes,
            virtual_services,
            policies,
            plans: &plans,
            report: &mut report,
            builder: &mut builder,
        }
        .finish();
        (Arc::new(builder.finish()), report.finish())
    }
}

/// MeshConfig and the flags. Providers are not yet resolved; the object is where MeshConfig was read.
fn settings<'r>(
    scope: &Scope,
    index: &Index<'r>,
    report: &mut Report,
) -> (Settings, Vec<AuthProvider>, Defaults, Option<&'r Object>) {
    let (config, object) = mesh_config(scope, index, report);
    if let (Some(flag), Some(mesh), Some(object)) = (&scope.trust_domain, &config.trust_domain, object)
        && flag != mesh
    {
        let message = format!("trustDomain is {mesh:?} here, and {flag:?} by flag: the flag is in force");
        report.warning(object, "data.mesh", message);
    }
    let own = scope.trust_domain.clone().or(config.trust_domain);
    let settings = Settings {
        trust: TrustDomains {
            own: own.unwrap_or_else(|| "cluster.local".to_owned()),
            aliases: config.trust_domain_aliases,
        },
        root_namespace: config.root_namespace.unwrap_or_else(|| scope.root_namespace.clone()),
        path_mode: config.path_mode,
        access_log: config.access_log,
        trace_sampling_percent: config.trace_sampling_percent,
        topology: Topology::default(),
        locality: config.locality,
        place: locality::Place::default(),
        telemetry: Arc::default(),
        auth_providers: BTreeMap::new(),
        several_providers: scope.several_auth_providers,
    };
    (settings, config.auth_providers, config.telemetry, object)
}

/// ConfigMap `istio`, key `mesh`: of the root namespace, else of the namespace that it names as root itself.
fn mesh_config<'r>(scope: &Scope, index: &Index<'r>, report: &mut Report) -> (MeshConfig, Option<&'r Object>) {
    let named = index
        .all("ConfigMap")
        .iter()
        .filter(|object| &*object.meta.name == "istio");
    let mut best: Option<(MeshConfig, &Object)> = None;
    for object in named {
        let Body::ConfigMap(data) = &object.body else { continue };
        let Some(text) = data.get("mesh") else { continue };
        let problems = crate::decode::Problems::default();
        let config = mesh_config::parse(text, &problems);
        let is_root = *object.meta.namespace == *scope.root_namespace;
        let is_own_root = config.root_namespace.as_deref() == Some(&*object.meta.namespace);
        if !is_root && !is_own_root {
            continue;
        }
        report.problems(object, &problems.into_vec());
        if is_root || best.is_none() {
            best = Some((config, object));
        }
        if is_root {
            break;
        }
    }
    best.map_or_else(
        || (MeshConfig::default(), None),
        |(config, object)| (config, Some(object)),
    )
}

#[cfg(test)]
mod tests;
