//! Routes: backends resolved once per route, then attached to the Service ports that their parentRefs name.

mod parents;
mod tables;

use super::backend_policies::BackendPolicies;
use super::gateways::Gateways;
use super::grants::Grants;
use super::services::{Entry, SERVICE_DOMAIN, Services};
use super::{Report, kept};
use crate::kinds::Body;
use crate::kinds::backend_ref::{BackendRef, ParentRef};
use crate::kinds::discovered::WORKLOAD;
use crate::kinds::external_auth::ExternalAuthRef;
use crate::kinds::filter::FilterSet;
use crate::kinds::route::{Route, RouteRule};
use crate::kinds::service::Port;
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot;
use authz::Problem;
use http::HeaderValue;
use parents::Parent;
use routing::{
    Backend, ClusterId, CompiledRoute, ExternalAuth, Filters, Mirror, RouteId, RouteKind, RouteSpec, Rule, RuleSpec,
    Seldom, Table, Target,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter;
use std::sync::Arc;
use tables::Tables;

/// All kinds of routes.
const KINDS: [&str; 4] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"];

/// Kinds that compiled routes do not depend on. Pods and EndpointSlices change all the time: a route names clusters, and
/// their endpoints stand elsewhere.
const FREE: &[&str] = &[
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "TCPRoute",
    "Pod",
    "EndpointSlice",
    WORKLOAD,
    "AuthorizationPolicy",
    "RequestAuthentication",
    "VirtualService",
];

/// What survives a compile.
#[derive(Debug)]
pub(crate) struct Kept {
    outcomes: kept::Kept<Outcome>,
    tables: Tables,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            outcomes: kept::Kept::new(FREE),
            tables: Tables::default(),
        }
    }
}

/// What comes of a route.
#[derive(Debug)]
struct Outcome {
    route: Arc<CompiledRoute>,
    /// Its form for Gateways, where its hostnames or a missing ReferenceGrant make it another.
    general: Option<Arc<CompiledRoute>>,
    parents: Box<[Parent]>,
    /// What is wrong with its references.
    problems: Box<[Problem]>,
}

/// Tables by client namespace.
pub(crate) type Consumers = BTreeMap<Box<str>, Arc<Table>>;

/// All routes, and what they attach to.
#[derive(Debug)]
pub(crate) struct Routes<'a, 'r> {
    tables: &'a mut Tables,
    compiled: Vec<Compiled<'r>>,
    /// By the number of the Service.
    by_service: Vec<Vec<Attached<'r>>>,
    /// Into `compiled`.
    by_gateway: HashMap<*const Object, Vec<usize>>,
    outranked: HashSet<usize>,
    traffic: &'a BackendPolicies<'r>,
}

#[derive(Debug)]
struct Compiled<'r> {
    object: &'r Arc<Object>,
    route: Arc<CompiledRoute>,
    kind: RouteKind,
    asks: bool,
}

/// A route on ports of a Service.
#[derive(Debug)]
struct Attached<'r> {
    /// Which of `compiled`.
    route: usize,
    /// The ports it shapes.
    ports: Arc<[u16]>,
    /// Only for clients of this namespace.
    consumer: Option<&'r str>,
}

/// What shapes one port.
#[derive(Debug)]
pub(crate) struct PortTables {
    /// For everybody.
    pub(crate) producer: Arc<Table>,
    /// For client namespaces that have routes of their own.
    pub(crate) consumers: Consumers,
    /// Some route asks an external authoriser, or may: see [`Route::asks`].
    pub(crate) asks: bool,
}

impl<'a, 'r> Routes<'a, 'r> {
    /// Reads all routes.
    pub(crate) fn build(
        index: &Index<'r>,
        gateways: &Gateways<'r>,
        services: &Services<'r>,
        traffic: &'a BackendPolicies<'r>,
        kept: &'a mut Kept,
        report: &mut Report,
    ) -> Self {
        let Kept { outcomes, tables } = kept;
        tables.begin(outcomes.begin(index));
        let all = || KINDS.iter().flat_map(|kind| index.all(kind));
        let many = all().count();
        outcomes.expect(many);
        let mut routes = Self {
            tables,
            compiled: Vec::with_capacity(many),
            by_service: Vec::new(),
            by_gateway: HashMap::new(),
            outranked: HashSet::new(),
            traffic,
        };
        routes.by_service.resize_with(services.numbered().count(), Vec::new);
        let grants = Grants::of(index);
        for &object in all() {
            let Body::Route(route) = &object.body else { continue };
            let outcome = outcomes.outcome(object, &[], || {
                outcome(object, route, gateways, services, traffic, &grants)
            });
            report.problems(object, &outcome.problems);
            routes.add(object, route, outcome);
        }
        outcomes.finish();
        routes
    }

    fn add(&mut self, object: &'r Arc<Object>, route: &'r Route, outcome: &Outcome) {
        let number = self.compiled.len();
        let general = number.saturating_add(usize::from(outcome.general.is_some()));
        let forms = iter::once(&outcome.route).chain(&outcome.general);
        self.compiled.extend(forms.map(|form| Compiled {
            object,
            route: Arc::clone(form),
            kind: route.kind,
            asks: route.asks(),
        }));
        for parent in &outcome.parents {
            match parent {
                Parent::Service {
                    number: service,
                    ports,
                    is_consumer,
                } => {
                    let of_service = self.by_service.get_mut(*service);
                    let Some(of_service) = of_service else { continue };
                    of_service.push(Attached {
                        route: number,
                        ports: Arc::clone(ports),
                        consumer: is_consumer.then_some(&*object.meta.namespace),
                    });
                }
                Parent::Gateway(gateway) => {
                    let of_gateway = self.by_gateway.entry(Arc::as_ptr(gateway)).or_default();
                    of_gateway.push(general);
                }
            }
        }
    }

    /// The tables of one port: for everybody, and for the client namespaces that have routes of their own.
    pub(crate) fn tables(
        &mut self,
        service: usize,
        entry: &Entry<'_>,
        port: &Port,
        cluster: ClusterId,
        report: &mut Report,
    ) -> PortTables {
        let mut producers = Vec::new();
        let mut consumers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let attached = self.by_service.get(service).map_or(&[][..], Vec::as_slice);
        for one in attached.iter().filter(|one| one.ports.contains(&port.port)) {
            let list = match one.consumer {
                Some(namespace) => consumers.entry(namespace).or_default(),
                None => &mut producers,
            };
            list.push(one.route);
        }
        if producers.is_empty() {
            producers = self.general(entry, port);
        }
        let mut all = producers.iter().chain(consumers.values().flatten());
        let asks = all.any(|number| self.compiled.get(*number).is_some_and(|one| one.asks));
        let producer = if producers.is_empty() {
            self.implicit(entry, cluster)
        } else {
            self.table(cluster, None, producers, report)
        };
        let consumers = consumers.into_iter().map(|(namespace, list)| {
            let table = self.table(cluster, Some(namespace), list, report);
            (Box::from(namespace), table)
        });
        PortTables {
            consumers: consumers.collect(),
            producer,
            asks,
        }
    }

    /// The routes on the Gateways that a Service uses: a route on the Service itself goes before them.
    fn general(&self, entry: &Entry<'_>, port: &Port) -> Vec<usize> {
        let gateways = entry.gateways.iter().map(|gateway| std::ptr::from_ref(*gateway));
        let all = gateways.filter_map(|gateway| self.by_gateway.get(&gateway)).flatten();
        let fits = |number: &&usize| {
            let route = self.compiled.get(**number);
            route.is_some_and(|one| one.kind.is_stream() == parents::is_bytes(port))
        };
        let mut general: Vec<usize> = all.filter(fits).copied().collect();
        general.sort_unstable();
        general
    }

    /// A Service port without routes.
    fn implicit(&mut self, entry: &Entry<'_>, cluster: ClusterId) -> Arc<Table> {
        let traffic = self.traffic;
        self.tables.implicit(cluster, || {
            let meta = &entry.object.meta;
            let id = RouteId {
                kind: RouteKind::Implicit,
                namespace: Arc::clone(&meta.namespace),
                name: Arc::clone(&meta.name),
            };
            let sessions = traffic.implicit_sessions(&id, cluster);
            snapshot::implicit(id, Target::Cluster(cluster), sessions)
        })
    }

    /// The table of these routes, which are in order. Only the strongest kind counts on one port (GEP-1426): the others
    /// are then not in force, which is told once.
    fn table(
        &mut self,
        cluster: ClusterId,
        consumer: Option<&str>,
        mut routes: Vec<usize>,
        report: &mut Report,
    ) -> Arc<Table> {
        routes.dedup();
        let chosen = || {
            routes
                .iter()
                .filter_map(|number| Some((number, self.compiled.get(*number)?)))
        };
        let strongest = chosen().map(|(_, one)| one.kind).min();
        for (number, one) in chosen() {
            let kind = one.kind;
            if let Some(strongest) = strongest.filter(|strongest| *strongest != kind)
                && self.outranked.insert(*number)
            {
                let message = format!(
                    "a {strongest} is attached to the same Service port and outranks this {kind}, which is not in \
                     force there: make them one kind, or split the ports"
                );
                report.error(one.object, "spec.parentRefs", message);
            }
        }
        let chosen = chosen().map(|(_, one)| Arc::clone(&one.route)).collect();
        self.tables.of(cluster, consumer, chosen)
    }

    /// All ports have been asked for.
    pub(crate) fn finish(self) {
        self.tables.finish();
    }
}

/// Whether some parentRef may name a Gateway of ours.
fn has_gateway(object: &Object, route: &Route, gateways: &Gateways<'_>) -> bool {
    let own = &*object.meta.namespace;
    let is_gateway = |parent: &ParentRef| {
        parent.kind() == "Gateway" && gateways.is_ours(parent.namespace.as_deref().unwrap_or(own), &parent.name)
    };
    route.parents.iter().any(is_gateway)
}

/// Compiles one route.
fn outcome(
    object: &Arc<Object>,
    route: &Route,
    gateways: &Gateways<'_>,
    services: &Services<'_>,
    traffic: &BackendPolicies<'_>,
    grants: &Grants<'_>,
) -> Outcome {
    let mut resolver = Resolver {
        object,
        services,
        traffic,
        problems: Vec::new(),
    };
    let spec = resolver.route(route);
    let mut problems = resolver.problems;
    let parents = parents::of(object, route, gateways, services, &mut problems);
    // What is told of grants is told where some parent is a Gateway of ours, good or not.
    let general = has_gateway(object, route, gateways).then(|| {
        let restricted = grants.restrict(object, route, &spec, &mut problems);
        if route.hostnames.is_empty() {
            return restricted;
        }
        Some(RouteSpec {
            hostnames: route.hostnames.to_vec(),
            ..restricted.unwrap_or_else(|| spec.clone())
        })
    });
    Outcome {
        parents,
        route: CompiledRoute::new(spec),
        general: general.flatten().map(CompiledRoute::new),
        problems: problems.into(),
    }
}

/// Resolves the references of one route.
struct Resolver<'a, 'r> {
    object: &'r Arc<Object>,
    services: &'a Services<'r>,
    traffic: &'a BackendPolicies<'r>,
    problems: Vec<Problem>,
}

impl Resolver<'_, '_> {
    fn route(&mut self, route: &Route) -> RouteSpec {
        let meta = &self.object.meta;
        let id = Arc::new(RouteId {
            kind: route.kind,
            namespace: Arc::clone(&meta.namespace),
            name: Arc::clone(&meta.name),
        });
        let created = meta.created.unwrap_or(i64::MAX);
        let rules = route.rules.iter().filter_map(|rule| self.rule(&id, rule)).collect();
        RouteSpec {
            id,
            created,
            hostnames: Vec::new(),
            rules,
        }
    }

    /// `None`: all matches are faulty, so that nothing can match.
    fn rule(&mut self, id: &Arc<RouteId>, rule: &RouteRule) -> Option<RuleSpec> {
        let path = format!("spec.rules[{}]", rule.index);
        let backends = rule.backends.iter().map(|backend| {
            let path = format!("{path}.backendRefs[{}]", backend.index);
            let target = self.target(backend.reference.as_ref(), &path);
            let filters = self.filters(&backend.filters, &path);
            Backend {
                target: if filters.is_some() { target } else { Target::Invalid },
                weight: backend.weight,
                filters: filters.unwrap_or_default(),
            }
        });
        let backends: Box<[Backend]> = backends.collect();
        let filters = self.filters(&rule.filters, &path);
        let matches = rule.matches.clone()?;
        let compiled = Rule {
            sessions: self
                .traffic
                .sessions(id, rule.index, rule.session.as_deref(), &backends),
            route: Arc::clone(id),
            index: rule.index,
            name: rule.name.clone(),
            // A rule with a filter that cannot be applied answers 500: it has nowhere to send a request.
            backends: if filters.is_some() { backends } else { Box::default() },
            filters: filters.unwrap_or_default(),
            timeouts: rule.timeouts.clone(),
            retry: rule.retry.clone(),
        };
        Some(RuleSpec {
            matches,
            rule: Arc::new(compiled),
        })
    }

    /// `None`: one of them cannot be applied.
    fn filters(&mut self, set: &FilterSet, path: &str) -> Option<Seldom<Filters>> {
        let auth = set.external_auth.as_ref().map(|auth| self.external_auth(auth, path));
        let mirrors = set.mirrors.iter().map(|mirror| {
            let path = format!("{path}.filters[{}].requestMirror.backendRef", mirror.index);
            let target = mirror.backend.as_ref().map(|backend| self.target(Some(backend), &path));
            let cluster = match target {
                Some(Target::Cluster(cluster)) => Some(cluster),
                _ => None,
            };
            Mirror {
                cluster,
                numerator: mirror.numerator,
                denominator: mirror.denominator,
            }
        });
        let mirrors: Vec<Mirror> = mirrors.collect();
        if set.is_broken {
            return None;
        }
        let external_auth = match auth {
            None => None,
            Some(auth) => Some(auth?),
        };
        let mut filters = set.filters.clone();
        if external_auth.is_some() || !mirrors.is_empty() {
            filters.edit(|filters| (filters.mirrors, filters.external_auth) = (mirrors, external_auth));
        }
        Some(filters)
    }

    fn external_auth(&mut self, auth: &ExternalAuthRef, path: &str) -> Option<Arc<ExternalAuth>> {
        let reference = &auth.backend;
        match self.resolve(reference) {
            Ok(cluster) => {
                let namespace = reference.namespace.as_deref().unwrap_or(&self.object.meta.namespace);
                let (name, port) = (&reference.name, reference.port.unwrap_or_default());
                let authority = format!("{name}.{namespace}.{SERVICE_DOMAIN}:{port}");
                Some(Arc::new(ExternalAuth {
                    name: Arc::from(format!("{namespace}/{name}:{port}")),
                    cluster,
                    authority: HeaderValue::try_from(authority).ok()?,
                    check: auth.check.clone(),
                }))
            }
            Err((field, why)) => {
                self.problems.push(Problem {
                    field: format!("{path}.filters[{}].externalAuth.backendRef.{field}", auth.index),
                    message: format!("{why}: nobody can be asked, its share answers 500"),
                    error: true,
                });
                None
            }
        }
    }

    fn target(&mut self, reference: Option<&BackendRef>, path: &str) -> Target {
        let Some(reference) = reference else {
            return Target::Invalid;
        };
        match self.resolve(reference) {
            Ok(cluster) => Target::Cluster(cluster),
            Err((field, why)) => {
                self.problems.push(Problem {
                    field: format!("{path}.{field}"),
                    message: format!("{why}: its share {}", self.fate()),
                    error: true,
                });
                Target::Invalid
            }
        }
    }

    /// What becomes of the share of a backend that is none.
    fn fate(&self) -> &'static str {
        if matches!(&*self.object.kind, "TCPRoute" | "TLSRoute") {
            "is closed"
        } else {
            "answers 500"
        }
    }

    fn resolve(&self, reference: &BackendRef) -> Result<ClusterId, (&'static str, String)> {
        // Another namespace needs no ReferenceGrant: the parent is a Service (GEP-1294).
        let own = &*self.object.meta.namespace;
        let namespace = reference.namespace.as_deref().unwrap_or(own);
        let (name, kind) = (&reference.name, reference.kind());
        let found = match (reference.group(), kind) {
            ("" | "core", "Service") | ("networking.istio.io", "ServiceEntry") => {
                let found = self.services.of_kind(kind, namespace, name);
                found.map(|(_, entry)| (entry, &entry.clusters))
            }
            ("networking.istio.io", "Hostname") => self.services.hostname(name),
            (group, kind) => {
                let known = "a Service, a ServiceEntry or a Hostname";
                return Err((
                    "kind",
                    format!("expected {known}, found kind {kind:?} of group {group:?}"),
                ));
            }
        };
        let named = || match kind {
            "Hostname" => format!("host {name}"),
            kind => format!("{kind} {namespace}/{name}"),
        };
        let Some((entry, clusters)) = found else {
            return Err(("name", format!("no {} is in the config", named())));
        };
        if !entry.is_exported_to(own) {
            return Err(("name", format!("{} is not exported to namespace {own}", named())));
        }
        let Some(port) = reference.port else {
            return Err(("port", format!("`port` is missing: a {kind} needs one")));
        };
        let found = clusters.iter().find(|(_, cluster)| cluster.port == port);
        let found = found.map(|(id, _)| *id);
        found.ok_or_else(|| ("port", format!("{} has no port {port}", named())))
    }
}
