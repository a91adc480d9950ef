//! A pod that is served by its own address, and any port of it as a tunnel needs it.
//!
//! Clients connect to ports that no Service and no container tells of (metrics, debuggers), so a port is made when it
//! is asked for: once for each tunnel and config.

use super::ServicePort;
use crate::kinds::route::any_request;
use crate::kinds::service;
use crate::kinds::service_entry::Exports;
use authz::{Authn, Policies};
use request::Workload;
use routing::{
    Backend, Cluster, Endpoint, Protocol, RouteId, RouteKind, RouteSpec, Rule, RuleSpec, Seldom, Sessions, Table,
    Target,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use telemetry::Plan;

/// A pod that is served by its own address.
#[derive(Debug)]
pub(crate) struct PodTarget {
    /// The pod.
    pub(crate) workload: Arc<Workload>,
    /// What Services tell of its ports; they count its requests too.
    pub(crate) known: Vec<(Protocol, Arc<Endpoint>)>,
    /// RequestAuthentications of its waypoint.
    pub(crate) authn: Arc<Authn>,
    /// AuthorizationPolicies of its waypoint.
    pub(crate) policies: Arc<Policies>,
    /// What is told of its requests.
    pub(crate) telemetry: Arc<Plan>,
    /// What binds here, by name.
    pub(crate) bound: Arc<[String]>,
}

impl PodTarget {
    /// One port: to this pod only, by no route but the implied one.
    pub(super) fn port(&self, ip: IpAddr, port: u16) -> Arc<ServicePort> {
        let address = SocketAddr::new(ip, port);
        let known = self.known.iter().find(|(_, endpoint)| endpoint.address == address);
        let (protocol, endpoint) = match known {
            Some((protocol, endpoint)) => (*protocol, Arc::clone(endpoint)),
            None => (service::protocol(None, "", port), self.endpoint(address)),
        };
        let namespace: Arc<str> = Arc::from(self.workload.namespace.as_str());
        let none: Arc<str> = Arc::from("");
        let cluster = Target::Direct(Arc::new(Cluster::direct(Arc::clone(&namespace), protocol, endpoint)));
        Arc::new(ServicePort {
            host: Arc::clone(&none),
            name: none,
            port,
            judged_at: None,
            protocol,
            producer: self.routes(&namespace, cluster.clone()),
            namespace,
            cluster,
            authn: Arc::clone(&self.authn),
            policies: Arc::clone(&self.policies),
            telemetry: Arc::clone(&self.telemetry),
            bound: self.bound.to_vec(),
            consumers: BTreeMap::new(),
            asks: false,
            exports: Exports::Everywhere,
        })
    }

    fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(address, Arc::clone(&self.workload)))
    }

    fn routes(&self, namespace: &Arc<str>, target: Target) -> Arc<Table> {
        let id = RouteId {
            kind: RouteKind::Implicit,
            namespace: Arc::clone(namespace),
            name: Arc::from(self.workload.pod.as_str()),
        };
        implicit(id, target, None)
    }
}

/// Whether no route says anything of the port.
pub(crate) fn is_implicit(table: &Table) -> bool {
    table.rules().any(|rule| rule.route.kind == RouteKind::Implicit)
}

/// What a port does without routes: everything goes to its own endpoints.
pub(crate) fn implicit(id: RouteId, target: Target, sessions: Option<Box<Sessions>>) -> Arc<Table> {
    let backend = Backend {
        target,
        weight: 1,
        filters: Seldom::default(),
    };
    let id = Arc::new(id);
    let rule = Arc::new(Rule {
        route: Arc::clone(&id),
        index: 0,
        name: None,
        filters: Seldom::default(),
        backends: [backend].into(),
        timeouts: Seldom::default(),
        retry: None,
        sessions,
    });
    let spec = RouteSpec {
        id,
        created: i64::MAX,
        hostnames: Vec::new(),
        rules: vec![RuleSpec {
            matches: any_request(),
            rule,
        }],
    };
    Arc::new(Table::build(vec![spec]))
}
