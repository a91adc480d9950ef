//! Telemetry resources: which speak for each Service and each group of pods, and what they come to together.
//!
//! From the outside in: the root namespace's, then that of the waypoint's namespace, then those that target its class,
//! its Gateway, the Service. What is inside goes before what is outside, by the rules of Istio's merge. Of several at
//! one place the oldest counts.

use super::Report;
use super::gateways::Gateways;
use super::pods::Pods;
use super::policies::Binder;
use super::services::Services;
use crate::Scope;
use crate::decode::quoted;
use crate::kinds::Body;
use crate::kinds::telemetry::{AccessLogging, MetricRules, Providers, Telemetry, Tracing};
use crate::kinds::telemetry_provider::{Defaults, Provider};
use crate::object::Object;
use crate::resources::Index;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use telemetry::{Expression, LogFormat, LogRule, Metric, MetricChange, MetricsPlan, Plan, TagChange, TracingPlan};

/// What survives a compile: equal plans stay the same `Arc`, and with it the series that are found by it.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<Arc<Plan>>);

/// What is told of each Service and each group of pods.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    by_service: HashMap<usize, Arc<Plan>>,
    /// Of whatever no Telemetry targets.
    pub(crate) common: Arc<Plan>,
}

/// What MeshConfig and the flags say.
pub(crate) struct Mesh<'m> {
    /// The flags.
    pub(crate) scope: &'m Scope,
    /// MeshConfig's.
    pub(crate) defaults: &'m Defaults,
    /// `accessLogFile`, with its encoding.
    pub(crate) access_log: Option<&'m str>,
    /// `defaultConfig.tracing.sampling`, per cent.
    pub(crate) sampling: Option<f64>,
    /// The root namespace.
    pub(crate) root: &'m str,
}

/// One of them.
type Level<'r> = (&'r Arc<Object>, &'r Telemetry);
/// Those that speak for something, the outermost first.
type Levels<'r> = Vec<Level<'r>>;

impl Plans {
    /// Binds and compiles all of them.
    pub(crate) fn build<'r>(
        index: &Index<'r>,
        gateways: &Gateways<'r>,
        services: &Services<'r>,
        pods: &Pods<'r>,
        mesh: &Mesh<'_>,
        kept: &mut Kept,
        report: &mut Report,
    ) -> Self {
        let levels = bind(index, gateways, services, pods, mesh.root, report);
        let mut compiler = Merger {
            mesh,
            before: std::mem::take(&mut kept.0),
            now: Vec::new(),
            told: HashSet::new(),
        };
        let common = compiler.plan(&levels.wide, report);
        let by_service = levels.by_service.into_iter().map(|(service, own)| {
            let all: Levels<'_> = levels.wide.iter().copied().chain(own).collect();
            (service, compiler.plan(&all, report))
        });
        let by_service = by_service.collect();
        kept.0 = compiler.now;
        Self { by_service, common }
    }

    /// That of a Service, or of a group of pods, by number.
    pub(crate) fn of(&self, number: usize) -> Arc<Plan> {
        Arc::clone(self.by_service.get(&number).unwrap_or(&self.common))
    }
}

/// By place: for a class, a Gateway, a Service.
type Places<'r> = [Option<Level<'r>>; 3];

#[derive(Default)]
struct Bound<'r> {
    wide: Levels<'r>,
    by_service: BTreeMap<usize, Levels<'r>>,
}

fn bind<'r>(
    index: &Index<'r>,
    gateways: &Gateways<'r>,
    services: &Services<'r>,
    pods: &Pods<'r>,
    root: &str,
    report: &mut Report,
) -> Bound<'r> {
    let own = gateways.namespace();
    let mut wide: [Option<Level<'r>>; 2] = [None, None];
    let mut by_service: BTreeMap<usize, Places<'r>> = BTreeMap::new();
    let mut binder = Binder::new(index, gateways, services, pods, root, report);
    for (object, telemetry) in oldest_first(index) {
        let binding = &telemetry.binding;
        if binding.has_targets {
            targeted(object, telemetry, &mut binder, &mut by_service);
            continue;
        }
        if binding.has_selector {
            let message = "a Telemetry with a selector is not for waypoints: bind it with targetRefs";
            binder.report.warning(object, "spec.selector", message);
            continue;
        }
        let namespace = &object.meta.namespace;
        let level = match (**namespace == *root, own) {
            (true, _) => wide.first_mut(),
            (false, Some(own)) if own == namespace => wide.get_mut(1),
            // Of a namespace that is another waypoint's.
            _ => None,
        };
        if let Some(level) = level {
            put(level, (object, telemetry), "spec", binder.report);
        }
    }
    let flat = |(number, places): (usize, Places<'r>)| (number, places.into_iter().flatten().collect());
    Bound {
        wide: wide.into_iter().flatten().collect(),
        by_service: by_service.into_iter().map(flat).collect(),
    }
}

fn oldest_first<'r>(index: &Index<'r>) -> Levels<'r> {
    let mut all: Levels<'r> = Vec::new();
    for &object in index.all("Telemetry") {
        if let Body::Telemetry(telemetry) = &object.body {
            all.push((object, telemetry));
        }
    }
    all.sort_by_key(|(object, _)| {
        let created = object.meta.created.unwrap_or(i64::MAX);
        (
            created,
            Arc::clone(&object.meta.namespace),
            Arc::clone(&object.meta.name),
        )
    });
    all
}

fn targeted<'r>(
    object: &'r Arc<Object>,
    telemetry: &'r Telemetry,
    binder: &mut Binder<'_, 'r>,
    by_service: &mut BTreeMap<usize, Places<'r>>,
) {
    for target in &telemetry.binding.targets {
        let place = match target.kind.as_str() {
            "GatewayClass" => 0,
            "Gateway" => 1,
            _ => 2,
        };
        for number in binder.target(object, target) {
            if let Some(level) = by_service.entry(number).or_default().get_mut(place) {
                put(level, (object, telemetry), &target.field, binder.report);
            }
        }
    }
}

/// The first at a place stays.
fn put<'r>(level: &mut Option<Level<'r>>, next: Level<'r>, field: &str, report: &mut Report) {
    match level {
        None => *level = Some(next),
        Some((first, _)) if Arc::ptr_eq(first, next.0) => {}
        Some((first, _)) => {
            let message = format!("{first} is older and speaks here already: this one does not");
            report.warning(next.0, field, message);
        }
    }
}

/// Merges levels into plans, each plan once.
struct Merger<'m> {
    mesh: &'m Mesh<'m>,
    before: Vec<Arc<Plan>>,
    now: Vec<Arc<Plan>>,
    /// Providers that were told of, by object and field.
    told: HashSet<(String, String)>,
}

impl Merger<'_> {
    fn plan(&mut self, levels: &Levels<'_>, report: &mut Report) -> Arc<Plan> {
        let tracing = self.tracing(levels, report);
        let metrics = Arc::new(self.metrics(levels, report));
        let logs = self.access_log(levels, report);
        let plan = Plan::new(tracing, metrics, logs);
        let known = self
            .now
            .iter()
            .chain(&self.before)
            .find(|known| ***known == plan)
            .cloned();
        let plan = known.unwrap_or_else(|| Arc::new(plan));
        if !self.now.iter().any(|known| Arc::ptr_eq(known, &plan)) {
            self.now.push(Arc::clone(&plan));
        }
        plan
    }

    /// A provider by name; one that is not there, or is not of use, is told of once.
    fn provider(
        &mut self,
        object: &Object,
        providers: &Providers,
        name: &str,
        report: &mut Report,
    ) -> Option<Provider> {
        let found = self.mesh.defaults.provider(name);
        let why = match &found {
            Some(Provider::Unsupported(kind)) => format!("a waypoint tells nothing to a provider of kind {kind}"),
            Some(_) => return found,
            None => format!("no extension provider {} is in MeshConfig", quoted(name)),
        };
        self.tell(object, providers, &why, report);
        None
    }

    fn tell(&mut self, object: &Object, providers: &Providers, why: &str, report: &mut Report) {
        if self.told.insert((object.to_string(), providers.field.clone())) {
            report.warning(object, providers.field.clone(), format!("{why}: it is left out"));
        }
    }

    /// What is said later replaces what was said before, part by part; `customTags` as a whole.
    fn tracing(&mut self, levels: &Levels<'_>, report: &mut Report) -> TracingPlan {
        let mesh = self.mesh;
        let mut plan = TracingPlan {
            sampling: mesh
                .scope
                .trace_sampling
                .or(mesh.sampling.map(|percent| percent / 100.0)),
            tags: mesh.defaults.tags.clone(),
            ..TracingPlan::default()
        };
        if let Some(Provider::Collector(export)) = mesh
            .defaults
            .tracing
            .as_deref()
            .and_then(|name| mesh.defaults.provider(name))
        {
            plan.export = Some(export);
        }
        for (object, telemetry) in levels {
            for entry in &telemetry.tracing {
                let Tracing {
                    providers,
                    disabled,
                    sampling,
                    tags,
                    istio_tags,
                } = entry;
                // Istio takes the first of several.
                if let Some(name) = providers.names.first() {
                    match self.provider(object, providers, name, report) {
                        Some(Provider::Collector(export)) => plan.export = Some(export),
                        Some(_) => self.tell(object, providers, &format!("{} takes no spans", quoted(name)), report),
                        None => {}
                    }
                }
                if let Some(disabled) = disabled {
                    plan.report = !disabled;
                }
                plan.sampling = sampling.or(plan.sampling);
                if let Some(tags) = tags {
                    plan.tags.clone_from(tags);
                }
                plan.istio_tags = istio_tags.unwrap_or(plan.istio_tags);
            }
        }
        plan
    }

    fn metrics(&mut self, levels: &Levels<'_>, report: &mut Report) -> MetricsPlan {
        let mut changes: BTreeMap<Metric, MetricChange> = BTreeMap::new();
        let mut none = false;
        for (object, telemetry) in levels {
            for MetricRules { providers, overrides } in &telemetry.metrics {
                if !self.counts(object, providers, report) {
                    continue;
                }
                for change in overrides {
                    if change.all && change.disabled == Some(true) {
                        none = true;
                        continue;
                    }
                    none = false;
                    for metric in &change.metrics {
                        let merged = changes.entry(*metric).or_default();
                        merged.disabled = change.disabled.unwrap_or(merged.disabled);
                        for (name, tag) in &change.tags {
                            set(&mut merged.tags, name, tag);
                        }
                    }
                }
            }
        }
        if none {
            for (_, metric) in Metric::ALL {
                changes.entry(metric).or_default().disabled = true;
            }
        }
        MetricsPlan::new(changes)
    }

    /// Whether an entry of `metrics` is about the metrics that a waypoint has: those of Prometheus.
    fn counts(&mut self, object: &Object, providers: &Providers, report: &mut Report) -> bool {
        let mut is_ours = providers.names.is_empty();
        for name in &providers.names {
            match self.provider(object, providers, name, report) {
                Some(Provider::Prometheus) => is_ours = true,
                Some(_) => self.tell(object, providers, &format!("{} takes no metrics", quoted(name)), report),
                None => {}
            }
        }
        is_ours
    }

    /// Istio's merge: the innermost level that names providers says which; each level may set or disable them.
    fn access_log(&mut self, levels: &Levels<'_>, report: &mut Report) -> Vec<LogRule> {
        let mesh = self.mesh;
        let defaults: Vec<&str> = mesh.defaults.access_logging.iter().map(String::as_str).collect();
        let speaking: Vec<_> = levels
            .iter()
            .filter(|(_, telemetry)| !telemetry.access_logging.is_empty())
            .collect();
        if speaking.is_empty() && defaults.is_empty() {
            return self.legacy_log();
        }
        let logging = logging(&speaking, &defaults);
        let rules = logging.into_iter().filter_map(|(name, filter)| {
            let format = self.log_provider(name, &speaking, report)?;
            Some(LogRule { format, filter })
        });
        rules.collect()
    }

    /// The format of a provider's lines.
    fn log_provider(&mut self, name: &str, speaking: &[&Level<'_>], report: &mut Report) -> Option<Arc<LogFormat>> {
        let naming = speaking.iter().find_map(|(object, telemetry)| {
            let mut entries = telemetry.access_logging.iter();
            let entry = entries.rfind(|entry| entry.providers.names.iter().any(|known| known == name))?;
            Some((object, &entry.providers))
        });
        let Some((object, providers)) = naming else {
            return match self.mesh.defaults.provider(name) {
                Some(Provider::Log(format)) => Some(format),
                _ => None,
            };
        };
        match self.provider(object, providers, name, report)? {
            Provider::Log(format) => Some(format),
            _ => {
                self.tell(
                    object,
                    providers,
                    &format!("{} takes no access log", quoted(name)),
                    report,
                );
                None
            }
        }
    }

    /// The flag, else MeshConfig's `accessLogFile`.
    fn legacy_log(&self) -> Vec<LogRule> {
        let flag = self.mesh.scope.access_log.as_deref();
        let format = match (flag, self.mesh.access_log) {
            (Some(flag), _) if flag.eq_ignore_ascii_case("json") => Arc::new(LogFormat::istio_json()),
            (Some(_), _) => Arc::new(LogFormat::istio_text()),
            (None, Some(_)) => self.mesh.defaults.log_format(),
            (None, None) => return Vec::new(),
        };
        vec![LogRule { format, filter: None }]
    }
}

/// Providers that log, with the filter of each.
fn logging<'s>(speaking: &[&Level<'s>], defaults: &[&'s str]) -> Vec<(&'s str, Option<Arc<Expression>>)> {
    if speaking.is_empty() {
        return defaults.iter().map(|name| (*name, None)).collect();
    }
    let named = |entries: &'s [AccessLogging]| -> Vec<&'s str> {
        let names = entries.iter().flat_map(|entry| &entry.providers.names);
        names.map(String::as_str).collect()
    };
    let levels = speaking.iter().map(|(_, telemetry)| named(&telemetry.access_logging));
    let innermost = levels.rev().find(|names| !names.is_empty());
    // Where nobody names any, the waypoint's own log is meant.
    let own = vec!["envoy"];
    let or_own = |names: Vec<&'s str>| if names.is_empty() { own.clone() } else { names };
    let in_scope = or_own(innermost.unwrap_or_else(|| defaults.to_vec()));
    let mut inherited = or_own(defaults.to_vec());
    let mut logging: Vec<(&str, Option<Arc<Expression>>)> = Vec::new();
    for entry in speaking.iter().flat_map(|(_, telemetry)| &telemetry.access_logging) {
        if !entry.providers.names.is_empty() {
            inherited = entry.providers.names.iter().map(String::as_str).collect();
        }
        for &name in inherited
            .iter()
            .filter(|name| entry.is_for_us && in_scope.contains(name))
        {
            let before = logging.iter().position(|(known, _)| *known == name);
            let before = before.and_then(|at| logging.remove(at).1);
            if !entry.disabled {
                logging.push((name, entry.filter.clone().or(before)));
            }
        }
    }
    logging
}

fn set(tags: &mut Vec<(Box<str>, TagChange)>, name: &str, change: &TagChange) {
    match tags.iter_mut().find(|(known, _)| **known == *name) {
        Some((_, known)) => *known = change.clone(),
        None => tags.push((name.into(), change.clone())),
    }
}
