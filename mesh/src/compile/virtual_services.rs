//! VirtualServices: which one shapes a Service, and its rules with the destinations resolved.
//!
//! As a waypoint of Istio chooses: those of the Service's own namespace and of the waypoint's count, if they are for
//! the mesh and exported to the waypoint. The oldest whose hosts name the Service is in force, whole; they do not
//! merge. Where the Gateway API has a route on a port, it is in force instead.

use super::Report;
use super::backend_policies::BackendPolicies;
use super::services::{Entry, PortClusters, SERVICE_DOMAIN, Services};
use crate::finding::Severity;
use crate::kinds::Body;
use crate::kinds::service::Port;
use crate::kinds::virtual_service::{
    Destination, HttpRule, MirrorTo, StreamMatch, StreamRule, VirtualService, WeightedDestination,
};
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot::is_implicit;
use routing::{
    Backend, ClusterId, HttpMatch, Matches, Mirror, Protocol, RouteId, RouteKind, RouteSpec, Rule, RuleSpec, Seldom,
    Table, Target,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// All VirtualServices, and which Services they shape.
#[derive(Debug)]
pub(crate) struct VirtualServices<'a, 'r> {
    traffic: &'a BackendPolicies<'r>,
    all: Vec<Applied<'r>>,
    /// Into `all`, by the host of a Service or ServiceEntry.
    by_host: HashMap<Arc<str>, usize>,
    /// What has been told of each: its rules are compiled anew for every port.
    told: HashSet<(usize, String)>,
    /// What each says of a port of this number and protocol; `None`: nothing. Services that it shapes share it.
    tables: HashMap<(usize, u16, Protocol), Option<Arc<Table>>>,
}

#[derive(Debug)]
struct Applied<'r> {
    object: &'r Arc<Object>,
    service: &'r VirtualService,
}

impl<'a, 'r> VirtualServices<'a, 'r> {
    /// Finds the one of each Service that is ours.
    pub(crate) fn build(
        index: &Index<'r>,
        services: &Services<'r>,
        traffic: &'a BackendPolicies<'r>,
        report: &mut Report,
    ) -> Self {
        let mut all = Vec::new();
        for &object in index.all("VirtualService") {
            if let Body::VirtualService(service) = &object.body
                && service.in_mesh
            {
                all.push(Applied { object, service });
            }
        }
        all.sort_by_key(|one| {
            let meta = &one.object.meta;
            (meta.created.unwrap_or(i64::MAX), &meta.namespace, &meta.name)
        });
        let mut found = Self {
            traffic,
            all,
            by_host: HashMap::new(),
            told: HashSet::new(),
            tables: HashMap::new(),
        };
        let mut hosts = Hosts::of(services);
        for number in 0..found.all.len() {
            found.attach(number, services, &mut hosts, report);
        }
        found
    }

    fn attach<'s>(
        &mut self,
        number: usize,
        services: &'s Services<'r>,
        hosts: &mut Hosts<'s, 'r>,
        report: &mut Report,
    ) {
        let Some(Applied { object, service }) = self.all.get(number) else {
            return;
        };
        for (place, host) in service.hosts.iter().enumerate() {
            let named = match hosts.named(host, &object.meta.namespace, services) {
                Ok(named) => named,
                Err(why) => {
                    report.error(object, format!("spec.hosts[{place}]"), why);
                    continue;
                }
            };
            if named.is_empty() {
                report.warning(object, format!("spec.hosts[{place}]"), no_such_host(host));
            }
            let mut applies = false;
            // Of a host that names many Services, the first fault.
            let mut fault: Option<(Severity, String)> = None;
            for Named { host, entry, .. } in named {
                // Not ours: another waypoint's, or nobody's.
                if entry.gateways.is_empty() {
                    continue;
                }
                if let Err(why) = may_shape(object, service, entry) {
                    fault.get_or_insert((Severity::Warning, why));
                    continue;
                }
                applies = true;
                let first = *self.by_host.entry(host).or_insert(number);
                if let Some(older) = self.all.get(first).filter(|_| first != number)
                    && !matches!(fault, Some((Severity::Error, _)))
                {
                    fault = Some((Severity::Error, older_one(older.object, entry)));
                }
            }
            match fault {
                Some((Severity::Error, why)) => report.error(object, format!("spec.hosts[{place}]"), why),
                // Some of the Services that a wildcard names are others' to shape.
                Some((Severity::Warning, why)) if !applies => {
                    report.warning(object, format!("spec.hosts[{place}]"), why);
                }
                _ => {}
            }
        }
    }

    /// What a port does: what its routes say, else what its VirtualService says.
    pub(crate) fn shape(
        &mut self,
        services: &Services<'r>,
        host: &str,
        entry: &Entry<'r>,
        port: &Port,
        table: Arc<Table>,
        report: &mut Report,
    ) -> Arc<Table> {
        let Some(&own) = self.by_host.get(host) else {
            return table;
        };
        let Some(Applied { object, service }) = self.all.get(own) else {
            return table;
        };
        let mut compiler = Compiler {
            object,
            own,
            services,
            traffic: self.traffic,
            port,
            told: &mut self.told,
            report,
        };
        if !is_implicit(&table) {
            let message = format!(
                "a Gateway API route is attached to port {} of {} and outranks this VirtualService there",
                port.port, entry.object
            );
            compiler.error("spec".to_owned(), message);
            return table;
        }
        let shared = self.tables.entry((own, port.port, port.protocol)).or_insert_with(|| {
            let specs = compiler.specs(service);
            (!specs.is_empty()).then(|| Arc::new(Table::build(specs)))
        });
        shared.clone().unwrap_or(table)
    }
}

fn older_one(older: &Object, entry: &Entry<'_>) -> String {
    format!(
        "{older} is older and names {} too: of several VirtualServices for one host the oldest is in force",
        entry.object
    )
}

/// A Service, or a ServiceEntry by one of its hosts.
struct Named<'s, 'r> {
    /// Its full name.
    host: Arc<str>,
    entry: &'s Entry<'r>,
    clusters: &'s PortClusters,
}

/// All hosts, for wildcards.
struct Hosts<'s, 'r> {
    all: Vec<Named<'s, 'r>>,
    /// Comparisons that may still be made: wildcards and Services multiply.
    room: usize,
}

impl<'s, 'r> Hosts<'s, 'r> {
    const MOST_COMPARISONS: usize = 20_000_000;

    fn of(services: &'s Services<'r>) -> Self {
        let entries = services.numbered().map(|(_, entry)| entry);
        let (plain, faced): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.faces.is_empty());
        let plain = plain.into_iter().map(|entry| Named {
            host: host_of(entry),
            entry,
            clusters: &entry.clusters,
        });
        let faced = faced.into_iter().flat_map(|entry| {
            entry.faces.iter().map(move |face| Named {
                host: face.host.text(),
                entry,
                clusters: &face.clusters,
            })
        });
        Self {
            all: plain.chain(faced).collect(),
            room: Self::MOST_COMPARISONS,
        }
    }

    /// What a host names.
    fn named(&mut self, host: &str, namespace: &str, services: &'s Services<'r>) -> Result<Vec<Named<'s, 'r>>, String> {
        let Some(suffix) = host.strip_prefix('*') else {
            return Ok(named(host, namespace, services).into_iter().collect());
        };
        self.room = self.room.checked_sub(self.all.len()).ok_or(
            "there are too many wildcard hosts for the number of Services: this one is not in force; name the Services",
        )?;
        let matching = self.all.iter().filter(|one| one.host.ends_with(suffix));
        let named = matching.map(|one| Named {
            host: Arc::clone(&one.host),
            ..*one
        });
        Ok(named.collect())
    }
}

fn host_of(entry: &Entry<'_>) -> Arc<str> {
    let meta = &entry.object.meta;
    Arc::from(format!("{}.{}.{SERVICE_DOMAIN}", meta.name, meta.namespace).to_ascii_lowercase())
}

/// A Service by its full name, or by its short one in this namespace, or a ServiceEntry by its host. Istio knows
/// nothing between a Service's two names.
fn named<'s, 'r>(host: &str, namespace: &str, services: &'s Services<'r>) -> Option<Named<'s, 'r>> {
    if !host.contains('.') {
        let (_, entry) = services.get(namespace, host)?;
        return Some(Named {
            host: host_of(entry),
            entry,
            clusters: &entry.clusters,
        });
    }
    let (entry, clusters) = services.hostname(host)?;
    Some(Named {
        host: Arc::from(host),
        entry,
        clusters,
    })
}

fn no_such_host(host: &str) -> String {
    let parts = host.split('.').count();
    if matches!(parts, 2 | 3) && !host.starts_with('*') {
        return format!(
            "no Service or ServiceEntry has the host {host:?}: a host is the name of a Service in this namespace, or \
             <name>.<namespace>.{SERVICE_DOMAIN}"
        );
    }
    format!("no Service or ServiceEntry has the host {host:?}")
}

/// Whether a VirtualService of this namespace counts for a Service at its waypoint.
fn may_shape(object: &Object, service: &VirtualService, entry: &Entry<'_>) -> Result<(), String> {
    let own = &object.meta.namespace;
    let waypoints = || entry.gateways.iter().map(|gateway| &gateway.meta.namespace);
    if *own != entry.object.meta.namespace && !waypoints().any(|waypoint| waypoint == own) {
        return Err(format!(
            "{} is shaped by VirtualServices of its own namespace and of its waypoint's: this one is not in force",
            entry.object
        ));
    }
    let reaches = |to: &String, waypoint: &str| to == "*" || to == waypoint || (to == "." && **own == *waypoint);
    let is_exported = service.export_to.is_empty()
        || service
            .export_to
            .iter()
            .any(|to| waypoints().any(|waypoint| reaches(to, waypoint)));
    if is_exported {
        return Ok(());
    }
    Err(format!(
        "exportTo leaves out the waypoint of {}: this one is not in force",
        entry.object
    ))
}

/// Compiles the rules of one VirtualService for one port.
struct Compiler<'a, 'r> {
    object: &'r Arc<Object>,
    own: usize,
    services: &'a Services<'r>,
    traffic: &'a BackendPolicies<'r>,
    port: &'a Port,
    told: &'a mut HashSet<(usize, String)>,
    report: &'a mut Report,
}

impl Compiler<'_, '_> {
    fn id(&self) -> RouteId {
        RouteId {
            kind: RouteKind::VirtualService,
            namespace: Arc::clone(&self.object.meta.namespace),
            name: Arc::clone(&self.object.meta.name),
        }
    }

    /// What is in force on this port: the first of its lists that has something for it.
    fn specs(&mut self, service: &VirtualService) -> Vec<RouteSpec> {
        use RouteKind::{Tcp, Tls, VirtualService as Http};
        let lists: &[RouteKind] = match self.port.protocol {
            Protocol::Http | Protocol::H2c | Protocol::Grpc => &[Http],
            Protocol::Tls => &[Tls, Tcp],
            Protocol::Tcp => &[Tcp, Tls],
            Protocol::Detect => &[Http, Tls, Tcp],
        };
        for list in lists {
            let specs = match list {
                Tls => self.streams(&service.tls, "tls", Tls),
                Tcp => self.streams(&service.tcp, "tcp", Tcp),
                _ => self.requests(&service.rules),
            };
            if !specs.is_empty() {
                return specs;
            }
        }
        Vec::new()
    }

    fn requests(&mut self, rules: &[HttpRule]) -> Vec<RouteSpec> {
        let rules: Vec<RuleSpec> = rules.iter().filter_map(|rule| self.rule(rule)).collect();
        if rules.is_empty() {
            return Vec::new();
        }
        vec![RouteSpec {
            id: Arc::new(self.id()),
            created: 0,
            hostnames: Vec::new(),
            rules,
        }]
    }

    /// Each rule as a route of its own, as old as its place: of equal names the first has it.
    fn streams(&mut self, rules: &[StreamRule], list: &str, kind: RouteKind) -> Vec<RouteSpec> {
        let specs = rules.iter().filter_map(|rule| {
            let of_port: Vec<&StreamMatch> = rule
                .matches
                .iter()
                .filter(|one| one.port.is_none_or(|port| port == self.port.port))
                .collect();
            // One that takes every name takes those of the others.
            let names = if of_port.iter().any(|one| one.names.is_empty()) {
                Vec::new()
            } else {
                of_port.iter().flat_map(|one| one.names.iter().cloned()).collect()
            };
            if of_port.is_empty() {
                return None;
            }
            let path = format!("spec.{list}[{}]", rule.index);
            let compiled = Rule {
                route: Arc::new(self.id()),
                index: rule.index,
                name: None,
                filters: Seldom::default(),
                backends: self.backends(&rule.destinations, &path, "is closed"),
                timeouts: Seldom::default(),
                retry: None,
                sessions: None,
            };
            Some(RouteSpec {
                id: Arc::new(RouteId { kind, ..self.id() }),
                hostnames: Vec::new(),
                created: i64::try_from(rule.index).unwrap_or(i64::MAX),
                rules: vec![RuleSpec {
                    matches: if kind == RouteKind::Tls {
                        Matches::Tls(names)
                    } else {
                        Matches::Tcp
                    },
                    rule: Arc::new(compiled),
                }],
            })
        });
        specs.collect()
    }

    fn backends(&mut self, destinations: &[WeightedDestination], path: &str, fate: &str) -> Box<[Backend]> {
        let backends = destinations.iter().map(|one| {
            let path = format!("{path}.route[{}].destination", one.index);
            let destination = one.destination.as_ref();
            Backend {
                target: destination.map_or(Target::Invalid, |to| self.target(to, &path, fate)),
                weight: one.weight,
                filters: one.filters.clone().into(),
            }
        });
        backends.collect()
    }

    /// `None`: nothing of it is for this port.
    fn rule(&mut self, rule: &HttpRule) -> Option<RuleSpec> {
        let of_port = rule
            .matches
            .iter()
            .filter(|one| one.port.is_none_or(|port| port == self.port.port));
        let matches: Vec<HttpMatch> = of_port.map(|one| one.request.clone()).collect();
        if matches.is_empty() {
            return None;
        }
        let path = format!("spec.http[{}]", rule.index);
        let mut filters = rule.filters.clone();
        filters.mirrors = rule.mirrors.iter().map(|mirror| self.mirror(mirror, &path)).collect();
        let backends = self.backends(&rule.destinations, &path, "answers 500");
        let compiled = Rule {
            sessions: self.traffic.sessions(&self.id(), rule.index, None, &backends),
            route: Arc::new(self.id()),
            index: rule.index,
            name: rule.name.clone(),
            // With nowhere to send a request, it answers 500.
            filters: if rule.is_broken {
                Seldom::default()
            } else {
                filters.into()
            },
            backends: if rule.is_broken { Box::default() } else { backends },
            timeouts: rule.timeouts.into(),
            retry: rule.retry.clone(),
        };
        Some(RuleSpec {
            matches: Matches::Http(matches),
            rule: Arc::new(compiled),
        })
    }

    fn mirror(&mut self, mirror: &MirrorTo, path: &str) -> Mirror {
        let cluster = match self.resolve(&mirror.destination) {
            Ok(cluster) => Some(cluster),
            Err((field, why)) => {
                let place = format!("{path}.{}.{field}", mirror.field);
                self.error(place, format!("{why}: nothing is mirrored there"));
                None
            }
        };
        Mirror {
            cluster,
            numerator: mirror.share.numerator,
            denominator: mirror.share.denominator,
        }
    }

    fn target(&mut self, destination: &Destination, path: &str, fate: &str) -> Target {
        match self.resolve(destination) {
            Ok(cluster) => Target::Cluster(cluster),
            Err((field, why)) => {
                self.error(format!("{path}.{field}"), format!("{why}: its share {fate}"));
                Target::Invalid
            }
        }
    }

    /// Without a port, a Service's only one, else the one that the request came for.
    fn resolve(&self, destination: &Destination) -> Result<ClusterId, (&'static str, String)> {
        let host = &destination.host;
        let own = &*self.object.meta.namespace;
        let Some(Named { host, entry, clusters }) = named(host, own, self.services) else {
            return Err(("host", no_such_host(host)));
        };
        if !entry.is_exported_to(own) {
            return Err(("host", format!("{} is not exported to namespace {own}", entry.object)));
        }
        let only = entry.service.ports.first().filter(|_| entry.service.ports.len() == 1);
        let port = destination
            .port
            .or(only.map(|port| port.port))
            .unwrap_or(self.port.port);
        let Some((cluster, _)) = clusters.iter().find(|(_, cluster)| cluster.port == port) else {
            let field = if destination.port.is_some() {
                "port.number"
            } else {
                "port"
            };
            return Err((field, format!("{} has no port {port}", entry.object)));
        };
        let Some(subset) = &destination.subset else {
            return Ok(*cluster);
        };
        let found = self.services.subset(entry, &host, port, subset);
        let unknown = || {
            let entry = entry.object;
            format!("no DestinationRule that applies to {entry} has a subset {subset:?}")
        };
        found.ok_or_else(|| ("subset", unknown()))
    }

    /// Tells it once, whatever port is compiled.
    fn error(&mut self, field: String, message: String) {
        let message_and_field = format!("{field}: {message}");
        if self.told.insert((self.own, message_and_field)) {
            self.report.error(self.object, field, message);
        }
    }
}
