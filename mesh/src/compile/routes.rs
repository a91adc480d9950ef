//! Routes: backends resolved once per route, then attached to the Service ports that their parentRefs name.

mod kept;

use super::Report;
use super::backend_policies::BackendPolicies;
use super::gateways::Gateways;
use super::grants::Grants;
use super::services::{Entry, SERVICE_DOMAIN, Services};
use crate::kinds::Body;
use crate::kinds::backend_ref::{BackendRef, ParentRef};
use crate::kinds::external_auth::ExternalAuthRef;
use crate::kinds::filter::FilterSet;
use crate::kinds::route::{Route, RouteRule};
use crate::kinds::service::Port;
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot;
use authz::Problem;
use http::HeaderValue;
pub(crate) use kept::Kept;
use kept::Outcome;
use routing::{
    Backend, ClusterId, CompiledRoute, ExternalAuth, Filters, Mirror, Protocol, RouteId, RouteKind, RouteSpec, Rule,
    RuleSpec, Table, Target,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// All kinds of routes.
const KINDS: [&str; 4] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"];

/// A host would have to be matched before the path; every Service would get what was meant for one.
const HOSTNAMES_ON_GATEWAY: &str = "a route with hostnames is not supported on a waypoint's Gateway: it does not bind \
                                    there; bind it to the Services that have these hosts";

/// Tables by client namespace.
pub(crate) type Consumers = BTreeMap<Box<str>, Arc<Table>>;

/// All routes, and what they attach to.
#[derive(Debug)]
pub(crate) struct Routes<'a, 'r> {
    kept: &'a mut Kept,
    compiled: Vec<Compiled<'r>>,
    by_service: HashMap<usize, Vec<Attached<'r>>>,
    outranked: HashSet<usize>,
    traffic: &'a BackendPolicies<'r>,
}

#[derive(Debug)]
struct Compiled<'r> {
    object: &'r Arc<Object>,
    route: Arc<CompiledRoute>,
}

/// A parentRef that found its Service, or one that found the Gateway which the Service uses.
#[derive(Debug)]
struct Attached<'r> {
    /// Which of `compiled`.
    route: usize,
    /// The ports it shapes.
    ports: Vec<u16>,
    /// Only for clients of this namespace (GAMMA's consumer route).
    consumer: Option<&'r str>,
    /// By the Gateway: a route on the Service itself goes before it.
    is_general: bool,
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
        kept.begin(index);
        let mut routes = Self {
            kept,
            compiled: Vec::new(),
            by_service: HashMap::new(),
            outranked: HashSet::new(),
            traffic,
        };
        let grants = Grants::of(index);
        for &object in KINDS.iter().flat_map(|kind| index.all(kind)) {
            let Body::Route(route) = &object.body else { continue };
            let outcome = routes.kept.route(object, || {
                let grants = has_gateway(object, route, gateways).then_some(&grants);
                outcome(object, route, services, traffic, grants)
            });
            report.problems(object, &outcome.problems);
            let number = routes.compiled.len();
            routes.compiled.push(Compiled {
                object,
                route: Arc::clone(&outcome.route),
            });
            let general = outcome.restricted.as_ref().map_or(number, |restricted| {
                routes.compiled.push(Compiled {
                    object,
                    route: Arc::clone(restricted),
                });
                number.saturating_add(1)
            });
            let is_attached = routes.attach((number, general), object, route, gateways, services, report);
            if route.has_hostnames && is_attached {
                let message = "hostnames are not heeded on a Service's port (GEP-1294): every host matches";
                report.warning(object, "spec.hostnames", message);
            }
        }
        routes
    }

    /// Attaches a route to the Services of its parentRefs: its number, and that of its form for Gateways. True when some
    /// Service was found.
    fn attach(
        &mut self,
        (route_number, general): (usize, usize),
        object: &'r Arc<Object>,
        route: &'r Route,
        gateways: &Gateways<'r>,
        services: &Services<'r>,
        report: &mut Report,
    ) -> bool {
        let own = &*object.meta.namespace;
        let mut is_attached = false;
        for parent in &route.parents {
            let namespace = parent.namespace.as_deref().unwrap_or(own);
            match (parent.group.as_str(), parent.kind.as_str()) {
                ("" | "core", kind @ "Service") | ("networking.istio.io", kind @ "ServiceEntry") => {
                    let Some((number, entry)) = services.of_kind(kind, namespace, &parent.name) else {
                        let message = format!("no {kind} {namespace}/{} is in the config", parent.name);
                        report.warning(object, format!("spec.parentRefs[{}].name", parent.index), message);
                        continue;
                    };
                    let ports = match ports_of(route.kind, parent, &entry.service.ports) {
                        Ok(ports) => ports,
                        Err(why) => {
                            report.warning(object, format!("spec.parentRefs[{}]", parent.index), why);
                            continue;
                        }
                    };
                    let attached = Attached {
                        route: route_number,
                        ports,
                        consumer: (namespace != own).then_some(own),
                        is_general: false,
                    };
                    self.by_service.entry(number).or_default().push(attached);
                    is_attached = true;
                }
                ("gateway.networking.k8s.io", "Gateway") if gateways.is_ours(namespace, &parent.name) => {
                    let hostnames = || route.has_hostnames.then(|| HOSTNAMES_ON_GATEWAY.to_owned());
                    let refused = gateways.refuses_route(parent, namespace, object).or_else(hostnames);
                    if let Some(why) = refused {
                        report.error(object, format!("spec.parentRefs[{}]", parent.index), why);
                        continue;
                    }
                    for (number, entry) in services.numbered() {
                        let uses = |gateway: &&Object| {
                            &*gateway.meta.namespace == namespace && *gateway.meta.name == *parent.name
                        };
                        if entry.gateways.iter().any(uses) {
                            let declared = |port: &&Port| is_bytes(port) == route.kind.is_stream();
                            let attached = Attached {
                                route: general,
                                ports: entry
                                    .service
                                    .ports
                                    .iter()
                                    .filter(declared)
                                    .map(|port| port.port)
                                    .collect(),
                                consumer: None,
                                is_general: true,
                            };
                            self.by_service.entry(number).or_default().push(attached);
                            is_attached = true;
                        }
                    }
                }
                // Other gateways are someone else's.
                _ => {}
            }
        }
        is_attached
    }

    /// The tables of one port: for everybody, and for the client namespaces that have routes of their own.
    pub(crate) fn tables(
        &mut self,
        service: usize,
        entry: &Entry<'_>,
        port: &Port,
        cluster: ClusterId,
        report: &mut Report,
    ) -> (Arc<Table>, Consumers) {
        let (mut producers, mut general) = (Vec::new(), Vec::new());
        let mut consumers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let attached = self.by_service.get(&service).map_or(&[][..], Vec::as_slice);
        for one in attached.iter().filter(|one| one.ports.contains(&port.port)) {
            let list = match one.consumer {
                Some(namespace) => consumers.entry(namespace).or_default(),
                None if one.is_general => &mut general,
                None => &mut producers,
            };
            list.push(one.route);
        }
        if producers.is_empty() {
            producers = general;
        }
        let consumers: Vec<(Box<str>, Vec<usize>)> = consumers
            .into_iter()
            .map(|(namespace, list)| (Box::from(namespace), list))
            .collect();
        let producer = if producers.is_empty() {
            self.implicit(entry, cluster)
        } else {
            self.table(cluster, None, producers, report)
        };
        let consumers = consumers.into_iter().map(|(namespace, list)| {
            let table = self.table(cluster, Some(&namespace), list, report);
            (namespace, table)
        });
        let consumers = consumers.collect();
        (producer, consumers)
    }

    /// A Service port without routes.
    fn implicit(&self, entry: &Entry<'_>, cluster: ClusterId) -> Arc<Table> {
        let meta = &entry.object.meta;
        let id = RouteId {
            kind: RouteKind::Implicit,
            namespace: Arc::clone(&meta.namespace),
            name: Arc::clone(&meta.name),
        };
        let sessions = self.traffic.implicit_sessions(&id, cluster);
        snapshot::implicit(id, Target::Cluster(cluster), sessions)
    }

    /// Only the strongest kind counts on one port (GEP-1426): the others are then not in force, which is told once.
    fn table(
        &mut self,
        cluster: ClusterId,
        consumer: Option<&str>,
        mut routes: Vec<usize>,
        report: &mut Report,
    ) -> Arc<Table> {
        let mut seen = HashSet::new();
        routes.retain(|number| seen.insert(*number));
        let chosen: Vec<&Compiled<'_>> = routes.iter().filter_map(|number| self.compiled.get(*number)).collect();
        let strongest = chosen.iter().map(|one| one.route.id.kind).min();
        for (number, one) in routes.iter().zip(&chosen) {
            let kind = one.route.id.kind;
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
        let chosen = chosen.into_iter().map(|one| Arc::clone(&one.route)).collect();
        self.kept.table(cluster, consumer, chosen)
    }
}

/// Whether some parentRef may name a Gateway of ours.
fn has_gateway(object: &Object, route: &Route, gateways: &Gateways<'_>) -> bool {
    let own = &*object.meta.namespace;
    let is_gateway = |parent: &ParentRef| {
        parent.kind == "Gateway" && gateways.is_ours(parent.namespace.as_deref().unwrap_or(own), &parent.name)
    };
    route.parents.iter().any(is_gateway)
}

/// The ports of a Service that a route of this kind shapes by this parentRef, or why there is none.
///
/// Requests are not told in bytes: a port declared TCP or TLS has no HTTPRoute. A port declared HTTP can be carried as
/// bytes, by a TCPRoute or TLSRoute that names it, or when the Service has no other.
fn ports_of(kind: RouteKind, parent: &ParentRef, ports: &[Port]) -> Result<Vec<u16>, String> {
    let fits = |port: &&Port| {
        parent.port.is_none_or(|number| number == port.port)
            && parent.section.as_deref().is_none_or(|section| section == &*port.name)
    };
    let named: Vec<&Port> = ports.iter().filter(fits).collect();
    if named.is_empty() {
        return Err(no_such_port(parent));
    }
    let (wanted, otherwise): (Vec<&&Port>, Vec<&&Port>) = if kind.is_stream() {
        let is_http = |port: &&&Port| matches!(port.protocol, Protocol::Http | Protocol::H2c | Protocol::Grpc);
        named.iter().partition(|port| !is_http(port))
    } else {
        named.iter().partition(|port| !is_bytes(port))
    };
    let chosen = match (wanted.is_empty(), kind.is_stream()) {
        (false, _) => wanted,
        (true, true) => otherwise,
        (true, false) => {
            let name = &parent.name;
            return Err(format!(
                "the port of Service {name} is declared TCP or TLS (appProtocol, or its name): {kind} does not apply \
                 to bytes, and is not in force there"
            ));
        }
    };
    Ok(chosen.into_iter().map(|port| port.port).collect())
}

/// Declared not to be HTTP.
fn is_bytes(port: &Port) -> bool {
    matches!(port.protocol, Protocol::Tcp | Protocol::Tls)
}

fn no_such_port(parent: &ParentRef) -> String {
    let (kind, name) = (&parent.kind, &parent.name);
    match (parent.port, &parent.section) {
        (Some(port), Some(section)) => format!("{kind} {name} has no port {port} named {section:?}"),
        (Some(port), None) => format!("{kind} {name} has no port {port}"),
        (None, Some(section)) => format!("{kind} {name} has no port named {section:?}"),
        (None, None) => format!("{kind} {name} has no TCP port"),
    }
}

/// Compiles one route; `grants` when some parent is a Gateway.
fn outcome(
    object: &Arc<Object>,
    route: &Route,
    services: &Services<'_>,
    traffic: &BackendPolicies<'_>,
    grants: Option<&Grants<'_>>,
) -> Outcome {
    let mut resolver = Resolver {
        object,
        services,
        traffic,
        problems: Vec::new(),
    };
    let spec = resolver.route(route);
    let mut problems = resolver.problems;
    let restricted = grants.and_then(|grants| grants.restrict(object, route, &spec, &mut problems));
    Outcome {
        route: CompiledRoute::new(spec),
        restricted: restricted.map(CompiledRoute::new),
        problems,
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
        let id = RouteId {
            kind: route.kind,
            namespace: Arc::clone(&meta.namespace),
            name: Arc::clone(&meta.name),
        };
        let created = meta.created.unwrap_or(i64::MAX);
        let rules = route.rules.iter().filter_map(|rule| self.rule(&id, rule)).collect();
        RouteSpec { id, created, rules }
    }

    /// `None`: all matches are faulty, so that nothing can match.
    fn rule(&mut self, id: &RouteId, rule: &RouteRule) -> Option<RuleSpec> {
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
        let backends: Vec<Backend> = backends.collect();
        let filters = self.filters(&rule.filters, &path);
        let matches = rule.matches.clone()?;
        let compiled = Rule {
            sessions: self.traffic.sessions(id, rule.index, rule.session.as_ref(), &backends),
            route: id.clone(),
            index: rule.index,
            name: rule.name.clone(),
            // A rule with a filter that cannot be applied answers 500: it has nowhere to send a request.
            backends: if filters.is_some() { backends } else { Vec::new() },
            filters: filters.unwrap_or_default(),
            timeouts: rule.timeouts,
            retry: rule.retry.clone(),
        };
        Some(RuleSpec {
            matches,
            rule: Arc::new(compiled),
        })
    }

    /// `None`: one of them cannot be applied.
    fn filters(&mut self, set: &FilterSet, path: &str) -> Option<Filters> {
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
        let mirrors = mirrors.collect();
        if set.is_broken {
            return None;
        }
        Some(Filters {
            mirrors,
            external_auth: match auth {
                None => None,
                Some(auth) => Some(auth?),
            },
            ..set.filters.clone()
        })
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
        if matches!(self.object.kind.as_str(), "TCPRoute" | "TLSRoute") {
            "is closed"
        } else {
            "answers 500"
        }
    }

    fn resolve(&self, reference: &BackendRef) -> Result<ClusterId, (&'static str, String)> {
        // Another namespace needs no ReferenceGrant: the parent is a Service (GEP-1294).
        let own = &*self.object.meta.namespace;
        let namespace = reference.namespace.as_deref().unwrap_or(own);
        let (name, kind) = (&reference.name, &reference.kind);
        let found = match (reference.group.as_str(), kind.as_str()) {
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
        let named = || match kind.as_str() {
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
