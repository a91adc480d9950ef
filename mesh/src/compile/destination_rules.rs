//! DestinationRules: which one a host has at a waypoint, and what it says of a port or a subset of it.
//!
//! As Istio looks them up for a waypoint: rules of the waypoint's own namespace, then of the host's, then of the root
//! namespace; those of clients' namespaces are for their sidecars. Of one namespace, an exact host goes before a
//! wildcard, the longest first. Rules of one host and namespace are merged, the oldest first.

use super::Report;
use super::services::SERVICE_DOMAIN;
use crate::kinds::Body;
use crate::kinds::client_tls::ClientTls;
use crate::kinds::destination_rule::{DestinationRule, Subset};
use crate::kinds::traffic_policy::{LoadBalancer, Locality, PortPolicy, TrafficSpec, Upstream};
use crate::object::Object;
use crate::resources::Index;
use routing::{Limits, OutlierDetection, Protocol, TrafficPolicy};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// All rules that a waypoint may use.
#[derive(Debug, Default)]
pub(crate) struct DestinationRules<'r> {
    by_namespace: HashMap<&'r str, OfNamespace<'r>>,
    root: String,
}

/// The rules of one namespace, by host; those of one host differ in whom they are exported to.
#[derive(Debug, Default)]
struct OfNamespace<'r> {
    exact: HashMap<String, Vec<Merged<'r>>>,
    /// By what follows the `*`, the longest first.
    wildcards: BTreeMap<Reverse<(usize, String)>, Vec<Merged<'r>>>,
}

/// The rules of one host in one namespace.
#[derive(Debug)]
pub(crate) struct Merged<'r> {
    host: String,
    first: &'r Arc<Object>,
    export_to: &'r [String],
    policy: Option<&'r TrafficSpec>,
    /// With the object of each.
    subsets: Vec<(&'r Object, &'r Subset)>,
    names: HashSet<&'r str>,
    /// Some host uses it.
    is_used: Cell<bool>,
}

/// A policy, ready for a cluster.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// For the cluster itself.
    pub(crate) policy: Arc<TrafficPolicy>,
    /// `localityLbSetting`.
    pub(crate) locality: Option<Locality>,
    /// Which version of HTTP.
    pub(crate) upstream: Upstream,
    /// `tls`.
    pub(crate) tls: Option<ClientTls>,
}

impl<'r> DestinationRules<'r> {
    /// Reads all of them. `root` is the root namespace.
    pub(crate) fn build(index: &Index<'r>, root: &str, report: &mut Report) -> Self {
        let mut rules = Self {
            by_namespace: HashMap::new(),
            root: root.to_owned(),
        };
        let mut objects: Vec<&'r Arc<Object>> = index.all("DestinationRule").to_vec();
        objects.sort_by_key(|object| (object.meta.created.unwrap_or(i64::MAX), Arc::clone(&object.meta.name)));
        for object in objects {
            let Body::DestinationRule(rule) = &object.body else {
                continue;
            };
            if !rule.host.is_empty() && !rule.is_selective {
                rules.add(object, rule, report);
            }
        }
        rules
    }

    fn add(&mut self, object: &'r Arc<Object>, rule: &'r DestinationRule, report: &mut Report) {
        let host = full_host(&rule.host, &object.meta.namespace);
        let of_namespace = self.by_namespace.entry(&object.meta.namespace).or_default();
        let of_host = match host.strip_prefix('*') {
            Some(suffix) => {
                let key = Reverse((suffix.len(), suffix.to_owned()));
                of_namespace.wildcards.entry(key).or_default()
            }
            None => of_namespace.exact.entry(host.clone()).or_default(),
        };
        match of_host.iter_mut().find(|merged| merged.export_to == rule.export_to) {
            Some(merged) => merged.add(object, rule, report),
            None => {
                let mut merged = Merged {
                    host,
                    first: object,
                    export_to: &rule.export_to,
                    policy: None,
                    subsets: Vec::new(),
                    names: HashSet::new(),
                    is_used: Cell::new(false),
                };
                merged.add(object, rule, report);
                of_host.push(merged);
            }
        }
    }

    /// The rule of a host (in lower case) whose Service or ServiceEntry is in `namespace`, at a waypoint in `waypoint`.
    pub(crate) fn of(&self, host: &str, namespace: &str, waypoint: &str) -> Option<&Merged<'r>> {
        let own = (waypoint != self.root).then_some(waypoint);
        let namespaces = own.into_iter().chain([namespace, self.root.as_str()]);
        let mut found = namespaces.filter_map(|one| {
            let mut rules = self.by_namespace.get(one)?.of(host);
            rules.find(|rule| rule.is_exported(one, waypoint))
        });
        let found = found.next()?;
        found.is_used.set(true);
        Some(found)
    }

    /// Tells of the rules that no host uses.
    pub(crate) fn report_unused(&self, report: &mut Report) {
        let all = self.by_namespace.values().flat_map(OfNamespace::all);
        for rule in all.filter(|rule| !rule.is_used.get()) {
            let message = format!(
                "no host {} that this rule applies to is in the config: at a waypoint, rules of its own namespace, of \
                 the host's and of the root namespace do",
                rule.host
            );
            report.warning(rule.first, "spec.host", message);
        }
    }
}

impl<'r> OfNamespace<'r> {
    /// Rules of a host, the most specific first.
    fn of(&self, host: &str) -> impl Iterator<Item = &Merged<'r>> {
        let exact = self.exact.get(host).into_iter().flatten();
        let wildcards = self.wildcards.iter().filter(move |(Reverse((_, suffix)), _)| {
            // A wildcard is shorter than what it stands for.
            host.len() > suffix.len() && host.ends_with(suffix.as_str())
        });
        exact.chain(wildcards.flat_map(|(_, rules)| rules))
    }

    fn all(&self) -> impl Iterator<Item = &Merged<'r>> {
        self.exact.values().chain(self.wildcards.values()).flatten()
    }
}

impl<'r> Merged<'r> {
    /// What no rule before this one has said.
    fn add(&mut self, object: &'r Arc<Object>, rule: &'r DestinationRule, report: &mut Report) {
        for subset in &rule.subsets {
            if self.names.insert(&subset.name) {
                self.subsets.push((object, subset));
            } else {
                let message = format!(
                    "{} has a subset of this name for this host: this one is not used",
                    self.first
                );
                report.error(object, format!("spec.subsets[{}].name", subset.index), message);
            }
        }
        if self.policy.is_some() && rule.policy.is_some() {
            let message = format!("{} of the same host has one: this one is not used", self.first);
            report.error(object, "spec.trafficPolicy", message);
        }
        self.policy = self.policy.or(rule.policy.as_ref());
    }

    fn is_exported(&self, own: &str, waypoint: &str) -> bool {
        let mut to = self.export_to.iter().map(String::as_str);
        self.export_to.is_empty() || to.any(|to| to == "*" || to == waypoint || (to == "." && own == waypoint))
    }

    /// The oldest object of it.
    pub(crate) fn object(&self) -> &'r Object {
        self.first
    }

    /// Its subsets, with the object of each.
    pub(crate) fn subsets(&self) -> &[(&'r Object, &'r Subset)] {
        &self.subsets
    }

    /// What holds for a port, or for a subset of it.
    pub(crate) fn policy(&self, port: u16, subset: Option<&Subset>) -> Applied {
        let of_rule = PortPolicy::default().overridden(self.policy, port);
        let nearer = subset.and_then(|subset| subset.policy.as_ref());
        Applied::new(of_rule.overridden(nearer, port))
    }
}

impl Applied {
    fn new(policy: PortPolicy) -> Self {
        let LoadBalancer {
            balance,
            warmup,
            locality,
        } = policy.load_balancer.unwrap_or_default();
        let pool = policy.pool.unwrap_or_default();
        let outliers: Option<OutlierDetection> = policy.outliers;
        Self {
            policy: Arc::new(TrafficPolicy {
                balance,
                warmup,
                outliers,
                limits: Limits {
                    retry_share: policy.retry_share,
                    ..pool.limits
                },
            }),
            locality,
            upstream: pool.upstream,
            tls: policy.tls,
        }
    }

    /// What is spoken to the endpoints of a port that declares `declared`.
    pub(crate) fn protocol(&self, declared: Protocol) -> Protocol {
        match (self.upstream, declared) {
            (_, Protocol::Tcp | Protocol::Tls | Protocol::Grpc) | (Upstream::Declared, _) => declared,
            (Upstream::Http2, _) => Protocol::H2c,
            (Upstream::Client, _) => Protocol::Detect,
        }
    }
}

/// A name without a dot is a Service of the rule's own namespace.
fn full_host(host: &str, namespace: &str) -> String {
    if host.contains(['.', '*']) {
        return host.trim_end_matches('.').to_owned();
    }
    format!("{host}.{namespace}.{SERVICE_DOMAIN}")
}
