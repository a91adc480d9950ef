//! RequestAuthentications and AuthorizationPolicies: which Services and pods they bind to.
//!
//! Services are numbered as [`Services`] numbers them, the groups of [`Pods`] go on from there.
//!
//! A waypoint binds by `targetRefs` only (Istio: policies without them, or with a selector, are the node tunnel's).

mod doubts;
mod guard;

use super::Report;
use super::gateways::Gateways;
use super::pods::Pods;
use super::services::Services;
use crate::decode::quoted;
use crate::kinds::Body;
use crate::kinds::policy::{Authentication, Authorization, Binding, TargetRef};
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot::Settings;
use authz::{Authn, AuthorizationPolicySpec, PolicyId, RequestAuthenticationSpec, TrustDomains};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Names policies and all that they say: equal keys compile to equal policies.
type Key = Vec<(PolicyId, Arc<str>, bool)>;

/// What survives a compile: equal policies stay the same `Arc`, and with it their token cache.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    trust: TrustDomains,
    authn: HashMap<Key, Arc<Authn>>,
    policies: HashMap<Key, Arc<authz::Policies>>,
    doubts: doubts::Kept,
}

/// What binds to each Service, and to each group of pods.
#[derive(Debug, Default)]
pub(crate) struct Policies<'r> {
    authorizations: HashMap<usize, Vec<(&'r Arc<Object>, &'r Authorization)>>,
    authentications: HashMap<usize, Vec<(&'r Arc<Object>, &'r Authentication)>>,
    compiled: HashMap<usize, (Arc<Authn>, Arc<authz::Policies>)>,
    none: (Arc<Authn>, Arc<authz::Policies>),
}

impl<'r> Policies<'r> {
    /// Binds all policies and compiles them.
    pub(crate) fn bind(
        index: &Index<'r>,
        gateways: &Gateways<'r>,
        services: &Services<'r>,
        pods: &Pods<'r>,
        settings: &Settings,
        kept: &mut Kept,
        report: &mut Report,
    ) -> Self {
        let mut all = Self::default();
        let mut binder = Binder::new(index, gateways, services, pods, &settings.root_namespace, report);
        for &object in index.all("RequestAuthentication") {
            if let Body::Authentication(policy) = &object.body {
                for service in binder.services(object, &policy.binding) {
                    all.authentications.entry(service).or_default().push((object, policy));
                }
            }
        }
        let mut policies: Vec<doubts::Bound<'r>> = Vec::new();
        for &object in index.all("AuthorizationPolicy") {
            if let Body::Authorization(policy) = &object.body {
                // Not forgotten, but the other half: what keeps the waypoint from being walked around.
                let guards = !policy.binding.has_targets && guard::lets_in_waypoints_only(&policy.spec, gateways);
                let bound = match guards {
                    true => Vec::new(),
                    false => binder.services(object, &policy.binding),
                };
                for service in &bound {
                    all.authorizations.entry(*service).or_default().push((object, policy));
                }
                policies.push((object, policy, bound));
            }
        }
        all.tell_of_providers(settings, report);
        doubts::tell(&policies, &all, services, settings, &mut kept.doubts, report);
        let mut compiler = PolicyCompiler::new(settings, kept);
        let bound: Vec<usize> = all
            .authentications
            .keys()
            .chain(all.authorizations.keys())
            .copied()
            .collect();
        for service in bound {
            all.compiled.entry(service).or_insert_with(|| {
                let authn = all.authentications.get(&service).map_or(&[][..], Vec::as_slice);
                let policies = all.authorizations.get(&service).map_or(&[][..], Vec::as_slice);
                (compiler.authn(authn), compiler.policies(policies))
            });
        }
        compiler.finish(kept);
        all
    }

    /// CUSTOM policies that cannot ask anybody, and deny what they match.
    fn tell_of_providers(&self, settings: &Settings, report: &mut Report) {
        let mut told: HashSet<*const Object> = HashSet::new();
        let mut services: Vec<_> = self.authorizations.iter().collect();
        services.sort_unstable_by_key(|(service, _)| **service);
        for (_, bound) in services {
            let custom = bound
                .iter()
                .filter(|(object, policy)| policy.spec.is_custom() && !is_dry_run(object));
            let names: BTreeSet<&str> = custom
                .clone()
                .filter_map(|(_, policy)| policy.spec.provider_name())
                .collect();
            let too_many = names.len() > 1 && !settings.several_providers;
            for (object, policy) in custom {
                let Some(name) = policy.spec.provider_name() else {
                    continue;
                };
                if too_many && told.insert(Arc::as_ptr(object)) {
                    let names = names.iter().copied().collect::<Vec<_>>().join(", ");
                    let message = format!(
                        "CUSTOM policies with several providers ({names}) bind to one Service, which needs \
                         PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS=true: what this policy matches is denied"
                    );
                    report.error(object, "spec.provider.name", message);
                } else if !settings.auth_providers.contains_key(name) && told.insert(Arc::as_ptr(object)) {
                    let message = format!(
                        "no usable extension provider {} is in MeshConfig: what this policy matches is denied",
                        quoted(name)
                    );
                    report.warning(object, "spec.provider.name", message);
                }
            }
        }
    }

    /// What binds to a Service, compiled.
    pub(crate) fn of(&self, service: usize) -> (Arc<Authn>, Arc<authz::Policies>) {
        self.compiled.get(&service).unwrap_or(&self.none).clone()
    }

    /// `AuthorizationPolicy default/x` and so on, for the dump.
    pub(crate) fn names(&self, service: usize) -> Vec<String> {
        let authentications = self
            .authentications
            .get(&service)
            .into_iter()
            .flatten()
            .map(|(object, _)| object);
        let authorizations = self
            .authorizations
            .get(&service)
            .into_iter()
            .flatten()
            .map(|(object, _)| object);
        authentications.chain(authorizations).map(ToString::to_string).collect()
    }
}

/// Finds targets.
pub(super) struct Binder<'a, 'r> {
    index: &'a Index<'r>,
    gateways: &'a Gateways<'r>,
    services: &'a Services<'r>,
    pods: &'a Pods<'r>,
    root: &'a str,
    pub(super) report: &'a mut Report,
}

impl<'a, 'r> Binder<'a, 'r> {
    /// `root` is the root namespace.
    pub(super) fn new(
        index: &'a Index<'r>,
        gateways: &'a Gateways<'r>,
        services: &'a Services<'r>,
        pods: &'a Pods<'r>,
        root: &'a str,
        report: &'a mut Report,
    ) -> Self {
        Self {
            index,
            gateways,
            services,
            pods,
            root,
            report,
        }
    }

    /// The Services a policy binds to.
    fn services(&mut self, object: &'r Object, binding: &Binding) -> Vec<usize> {
        if !binding.has_targets {
            let what = if binding.has_selector {
                "a selector"
            } else {
                "no targetRefs"
            };
            let message = format!(
                "a policy with {what} is not enforced by a waypoint (the node tunnel enforces its layer 4 parts): \
                 bind it with targetRefs"
            );
            let field = if binding.has_selector { "spec.selector" } else { "spec" };
            self.report.warning(object, field, message);
            return Vec::new();
        }
        let mut bound = Vec::new();
        for target in &binding.targets {
            bound.extend(self.target(object, target));
        }
        bound.sort_unstable();
        bound.dedup();
        bound
    }

    /// Those that one target means.
    pub(super) fn target(&mut self, object: &'r Object, target: &TargetRef) -> Vec<usize> {
        let own = &*object.meta.namespace;
        let name = target.name.as_str();
        if target.namespace.as_deref().is_some_and(|namespace| namespace != own) {
            // Of an AuthorizationPolicy it is told where its whole spec is checked.
            if &*object.kind != "AuthorizationPolicy" {
                let message = format!("expected a target in the policy's own namespace {own}: it does not bind there");
                self.report
                    .error(object, format!("{}.namespace", target.field), message);
            }
            return Vec::new();
        }
        match (target.group.as_str(), target.kind.as_str()) {
            ("", "Service") => match self.services.get(own, name) {
                Some((number, entry)) => {
                    if !self.gateways.names_any(&entry.object.meta) {
                        let message = format!(
                            "Service {own}/{name} uses no waypoint (label istio.io/use-waypoint, on it or its \
                             Namespace): nobody enforces this policy"
                        );
                        self.report.warning(object, format!("{}.name", target.field), message);
                    }
                    vec![number]
                }
                None => self.nothing(object, target, format!("no Service {own}/{name} is in the config")),
            },
            ("networking.istio.io", "ServiceEntry") => match self.services.of_kind("ServiceEntry", own, name) {
                Some((number, _)) => vec![number],
                None => self.nothing(object, target, format!("no ServiceEntry {own}/{name} is in the config")),
            },
            ("gateway.networking.k8s.io", "Gateway") if self.gateways.is_ours(own, name) => {
                self.using(|gateway| &*gateway.meta.namespace == own && &*gateway.meta.name == name)
            }
            ("gateway.networking.k8s.io", "Gateway") => match self.index.get("Gateway", own, name) {
                Some(_) => Vec::new(),
                None => self.nothing(object, target, format!("no Gateway {own}/{name} is in the config")),
            },
            ("gateway.networking.k8s.io", "GatewayClass") => self.class(object, target),
            (group, kind) => {
                let known = "Service, ServiceEntry, Gateway or GatewayClass";
                let message = format!("expected {known}, found {kind:?} of group {group:?}: it does not bind there");
                self.report.warning(object, format!("{}.kind", target.field), message);
                Vec::new()
            }
        }
    }

    fn class(&mut self, object: &'r Object, target: &TargetRef) -> Vec<usize> {
        let name = target.name.as_str();
        if &*object.meta.namespace != self.root {
            let message = format!(
                "a policy for a GatewayClass binds from the root namespace {} only: it does not bind",
                self.root
            );
            self.report.warning(object, target.field.clone(), message);
            return Vec::new();
        }
        if self.gateways.is_our_class(name) {
            return self.using(|_| true);
        }
        match self.index.get("GatewayClass", "", name) {
            Some(_) => Vec::new(),
            None => self.nothing(object, target, format!("no GatewayClass {name} is in the config")),
        }
    }

    /// Services and pods that use such a Gateway of ours.
    fn using(&self, wanted: impl Fn(&Object) -> bool) -> Vec<usize> {
        let services = self
            .services
            .numbered()
            .map(|(number, entry)| (number, &entry.gateways));
        let all = services.chain(self.pods.numbered());
        let using = all.filter(|(_, gateways)| gateways.iter().any(|gateway| wanted(gateway)));
        using.map(|(number, _)| number).collect()
    }

    fn nothing(&mut self, object: &'r Object, target: &TargetRef, why: String) -> Vec<usize> {
        self.report.warning(
            object,
            format!("{}.name", target.field),
            format!("{why}: it does not bind there"),
        );
        Vec::new()
    }
}

/// Compiles sets of policies, each set once.
struct PolicyCompiler<'a> {
    trust: &'a TrustDomains,
    several_providers: bool,
    before: Kept,
    now: Kept,
}

impl<'a> PolicyCompiler<'a> {
    fn new(settings: &'a Settings, kept: &mut Kept) -> Self {
        let mut before = std::mem::take(kept);
        let doubts = std::mem::take(&mut before.doubts);
        let before = if before.trust == settings.trust {
            before
        } else {
            Kept::default()
        };
        Self {
            trust: &settings.trust,
            several_providers: settings.several_providers,
            before,
            now: Kept {
                trust: settings.trust.clone(),
                doubts,
                ..Kept::default()
            },
        }
    }

    fn finish(self, kept: &mut Kept) {
        *kept = self.now;
    }

    fn authn(&mut self, bound: &[(&Arc<Object>, &Authentication)]) -> Arc<Authn> {
        let key: Key = bound.iter().map(|(object, policy)| authn_key(object, policy)).collect();
        let built = self
            .now
            .authn
            .get(&key)
            .cloned()
            .or_else(|| self.before.authn.remove(&key));
        let built = built.unwrap_or_else(|| {
            let specs: Vec<(PolicyId, RequestAuthenticationSpec)> = bound
                .iter()
                .map(|(object, policy)| (id(object), policy.spec.clone()))
                .collect();
            Arc::new(Authn::build(&specs).0)
        });
        self.now.authn.insert(key, Arc::clone(&built));
        built
    }

    fn policies(&mut self, bound: &[(&Arc<Object>, &Authorization)]) -> Arc<authz::Policies> {
        let key: Key = bound
            .iter()
            .map(|(object, policy)| authorization_key(object, policy))
            .collect();
        let built = self
            .now
            .policies
            .get(&key)
            .cloned()
            .or_else(|| self.before.policies.remove(&key));
        let built = built.unwrap_or_else(|| {
            let specs: Vec<(PolicyId, AuthorizationPolicySpec)> = bound
                .iter()
                .map(|(object, policy)| (id(object), spec_of(object, policy)))
                .collect();
            let (mut policies, _) = authz::Policies::build(&specs, self.trust);
            if !self.several_providers && policies.providers().nth(1).is_some() {
                policies.ask_nobody();
            }
            Arc::new(policies)
        });
        self.now.policies.insert(key, Arc::clone(&built));
        built
    }
}

type Entry = (PolicyId, Arc<str>, bool);

fn id(object: &Object) -> PolicyId {
    PolicyId {
        namespace: Arc::clone(&object.meta.namespace),
        name: Arc::clone(&object.meta.name),
    }
}

fn authn_key(object: &Object, policy: &Authentication) -> Entry {
    (id(object), Arc::clone(&policy.text), false)
}

fn authorization_key(object: &Object, policy: &Authorization) -> Entry {
    (id(object), Arc::clone(&policy.text), is_dry_run(object))
}

fn is_dry_run(object: &Object) -> bool {
    object
        .meta
        .annotations
        .get("istio.io/dry-run")
        .is_some_and(|value| value == "true")
}

fn spec_of(object: &Object, policy: &Authorization) -> AuthorizationPolicySpec {
    AuthorizationPolicySpec {
        dry_run: is_dry_run(object),
        ..policy.spec.clone()
    }
}
