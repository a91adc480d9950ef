//! The cluster as the controller sees it: Gateways, classes and what belongs to them as they are, routes and policies
//! with their status, and what all waypoints together make of them.
//!
//! The same watches as a waypoint's, without pods, endpoints and Secrets: what an object says of itself depends on none
//! of them.

use super::access::{Access, ClusterError};
use super::client::ClusterClient;
use super::discovery::{self, Found};
use super::keeper::Step;
use super::kind::{KINDS, Kind, MADE};
use super::shelf::Shelf;
use super::store::{Part, Store};
use super::stream::Message;
use super::trim::{Seen, trim};
use super::watches::{Wanted, Watches};
use super::{ClusterConfig, ClusterEvents};
use crate::status::{ObjectStatus, statuses};
use crate::{Compiler, Finding, Resources, Scope, yaml};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, Interval, interval, sleep_until};

/// Messages that wait; watches wait when it is full.
const INBOX: usize = 1_024;
/// Messages that are taken in at once at most, where they come faster than they are taken.
const CATCH_UP: usize = 20_000;
/// Changes are gathered for so long.
const QUIET: Duration = Duration::from_millis(50);
/// Between two looks at how the watches are.
const TICK: Duration = Duration::from_secs(5);
/// Overlays that are watched, each by its own watch; and authorities of BackendTLSPolicies, as many.
const MAX_CONFIG_MAPS: usize = 1_000;

/// Kinds that a waypoint watches and the controller does not.
const UNSEEN: [&str; 6] = ["Pod", "EndpointSlice", "Node", "Secret", "EnvoyFilter", "WasmPlugin"];
/// Routes and policies: of these, only the status is kept as it is.
const JUDGED: [&str; 7] = [
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "TCPRoute",
    "AuthorizationPolicy",
    "RequestAuthentication",
    "BackendTLSPolicy",
];

/// What is watched and known. See [`Observer::changed`].
pub struct Observer {
    access: Arc<Access>,
    namespace: String,
    events: Arc<dyn ClusterEvents>,
    watches: Watches<Both>,
    messages: Receiver<Message<Both>>,
    found: Receiver<Result<Found, String>>,
    tick: Interval,
    discovery: JoinHandle<()>,
    binding: String,
    config_maps: BTreeSet<(String, String)>,
    shelf: Shelf,
    store: Store,
    scope: Scope,
    compiler: Option<Compiler>,
    judged: Option<Judged>,
    /// Something changed that was not told yet, since then.
    news: Option<Instant>,
}

/// An object, as it is written to and as it is compiled.
pub(super) struct Both {
    key: (Arc<str>, Arc<str>),
    raw: Option<Value>,
    seen: Option<Seen>,
}

/// The statuses, and of what.
struct Judged {
    classes: BTreeSet<String>,
    statuses: Arc<Vec<ObjectStatus>>,
}

impl Observer {
    /// Finds out how the API server is reached, without asking it anything, and begins to watch. `binding` is the
    /// ClusterRoleBinding that is watched besides. Call it on a tokio runtime.
    ///
    /// # Errors
    /// No service account and no kubeconfig, or one that cannot be read.
    pub async fn open(
        config: ClusterConfig,
        scope: Scope,
        binding: &str,
        events: Arc<dyn ClusterEvents>,
    ) -> Result<Self, ClusterError> {
        let access = Arc::new(Access::new(config.kubeconfigs.clone()));
        let namespace = access.config().await?.default_namespace;
        let (inbox, messages) = channel(INBOX);
        let (discovered, found) = channel(1);
        let discovery = discovery::run(Arc::clone(&access), kinds().collect(), config.discovery, discovered);
        Ok(Self {
            watches: Watches::new(Arc::clone(&access), Arc::clone(&events), inbox, read),
            discovery: tokio::spawn(discovery),
            access,
            namespace,
            events,
            messages,
            found,
            tick: interval(TICK),
            binding: binding.to_owned(),
            config_maps: BTreeSet::new(),
            shelf: Shelf::default(),
            store: Store::new(Arc::from("")),
            compiler: None,
            judged: None,
            scope,
            news: None,
        })
    }

    /// A client of the same API server. All that it writes is this manager's.
    pub fn client(&self, manager: &'static str) -> ClusterClient {
        ClusterClient::new(&self.access, manager)
    }

    /// The namespace of the pod's service account, or of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Takes in what the watches tell, until something has changed and 50 ms more. Nothing is lost when it is dropped.
    pub async fn changed(&mut self) {
        loop {
            let end = self.news.map(|since| since + QUIET);
            let quiet = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = quiet => break,
                Some(message) = self.messages.recv() => {
                    if let Some(step) = self.watches.heard(message) {
                        self.take(step);
                    }
                }
                Some(found) = self.found.recv() => {
                    self.watches.discovered(found);
                    self.arrange();
                }
                _ = self.tick.tick() => self.watches.tick(),
            }
        }
        self.catch_up();
    }

    /// Takes in what the watches have told by now, without waiting: for whoever is about to look. What was written a
    /// moment ago is seen then, and not written again.
    pub fn catch_up(&mut self) {
        for _ in 0..CATCH_UP {
            let Ok(message) = self.messages.try_recv() else { break };
            if let Some(step) = self.watches.heard(message) {
                self.take(step);
            }
        }
        self.news = None;
        self.events.objects(self.store.count());
    }

    /// Whether all that must be read has been read.
    pub fn is_whole(&self) -> bool {
        self.watches.is_whole()
    }

    /// What may not be read.
    pub fn findings(&self) -> Vec<Finding> {
        self.watches.findings(false)
    }

    /// The ConfigMaps (namespace, name) that Gateways name: these are watched too.
    pub fn watch_config_maps(&mut self, mut names: BTreeSet<(String, String)>) {
        if names.len() > MAX_CONFIG_MAPS {
            tracing::warn!(target: "waypoint::controller", "at most {MAX_CONFIG_MAPS} ConfigMaps are watched, Gateways name {}: the others are not seen", names.len());
            names = names.into_iter().take(MAX_CONFIG_MAPS).collect();
        }
        if names != self.config_maps {
            self.config_maps = names;
            self.arrange();
        }
    }

    /// An object as it is: Gateways, GatewayClasses, ConfigMaps, what belongs to a Gateway; of routes and policies
    /// `metadata` and `status`. `metadata.managedFields` is who wrote, not what.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.shelf.get(kind, namespace, name)
    }

    /// All of a kind.
    pub fn objects(&self, kind: &str) -> impl Iterator<Item = &Arc<Value>> {
        self.shelf.of(kind)
    }

    /// All of a kind in a namespace.
    pub fn objects_in<'s>(&'s self, kind: &str, namespace: &'s str) -> impl Iterator<Item = &'s Arc<Value>> {
        self.shelf.within(kind, namespace)
    }

    /// What routes and policies have to say of themselves, where they have to do with a Gateway of these classes.
    /// `None`: the compiler panicked, which is a bug, or the process ends.
    pub async fn statuses(&mut self, classes: &BTreeSet<String>) -> Option<Arc<Vec<ObjectStatus>>> {
        if let Some(judged) = self.judged.as_ref().filter(|judged| judged.classes == *classes) {
            return Some(Arc::clone(&judged.statuses));
        }
        let resources = self.resources(classes);
        let scope = self.scope.clone();
        let compiler = self.compiler.take();
        let judged = spawn_blocking(move || {
            let mut compiler = compiler.unwrap_or_else(|| Compiler::new(scope.clone()));
            let judged = yaml::on_deep_stack(|| {
                let (_, findings) = compiler.compile(&resources);
                statuses(&scope, &resources, &findings)
            });
            (compiler, judged)
        });
        match judged.await {
            Ok((compiler, Ok(statuses))) => {
                self.compiler = Some(compiler);
                let statuses = Arc::new(statuses);
                self.judged = Some(Judged {
                    classes: classes.clone(),
                    statuses: Arc::clone(&statuses),
                });
                Some(statuses)
            }
            Ok((_, Err(error))) => {
                tracing::error!(target: "waypoint::controller", "the config could not be compiled, no status of a route is written: {error}");
                None
            }
            Err(_) => None,
        }
    }

    /// All that is compiled, but for Gateways that are not ours: their routes are another's to judge.
    fn resources(&self, classes: &BTreeSet<String>) -> Resources {
        let mut resources = Resources::default();
        for (kind, (namespace, name), held) in self.store.all() {
            if kind == "Gateway" {
                let class = self.shelf.get(kind, namespace, name).and_then(|gateway| {
                    let class = gateway.pointer("/spec/gatewayClassName")?;
                    class.as_str().map(|class| classes.contains(class))
                });
                if class != Some(true) {
                    continue;
                }
            }
            resources.objects.extend(held.object.iter().cloned());
            resources.bad.extend(held.bad.iter().cloned());
        }
        resources
    }

    /// The ConfigMaps with authorities that BackendTLSPolicies name.
    fn authorities(&self) -> Vec<(String, String)> {
        let policies = self.store.of("BackendTLSPolicy");
        let named = policies.flat_map(|(_, held)| &held.mentions.objects);
        let config_maps = named.filter(|(kind, ..)| *kind == "ConfigMap");
        config_maps
            .map(|(_, namespace, name)| (namespace.to_string(), name.to_string()))
            .collect()
    }

    fn arrange(&mut self) {
        let (binding, mut config_maps) = (self.binding.clone(), self.config_maps.clone());
        config_maps.extend(self.authorities().into_iter().take(MAX_CONFIG_MAPS));
        let root = self.scope.root_namespace.clone();
        let steps = self
            .watches
            .arrange(|found| wanted(found, &root, &binding, &config_maps));
        self.news.get_or_insert_with(Instant::now);
        for step in steps {
            self.take(step);
        }
    }

    fn take(&mut self, step: Step<Both>) {
        let is_naming = matches!(&step, Step::Apply(_, kind, _) if kind.name == "BackendTLSPolicy");
        let (is_changed, is_compiled) = match step {
            Step::Begin(part) => {
                self.shelf.begin(&part);
                self.store.begin(&part);
                (false, false)
            }
            Step::Apply(part, kind, Both { key, raw, seen }) => {
                let is_compiled = seen.is_some_and(|seen| self.store.apply(&part, kind, seen));
                (self.shelf.put(&part, key, raw), is_compiled)
            }
            Step::Remove(part, key) => (self.shelf.remove(&part, &key), self.store.remove(&part, &key)),
            // Also when nothing is gone: it may have been the last that was waited for.
            Step::End(part) => {
                self.shelf.end(&part);
                (true, self.store.end(&part))
            }
            Step::Forget(part) => (self.shelf.forget(&part), self.store.forget(&part)),
        };
        if is_compiled {
            self.judged = None;
        }
        if is_compiled && is_naming {
            self.arrange();
        }
        if is_changed || is_compiled {
            self.news.get_or_insert_with(Instant::now);
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.discovery.abort();
    }
}

fn kinds() -> impl Iterator<Item = &'static Kind> {
    let seen = KINDS.iter().filter(|kind| !UNSEEN.contains(&kind.name));
    seen.chain(MADE.iter().filter(|kind| kind.name != "Lease"))
}

fn wanted(found: &Found, root: &str, binding: &str, config_maps: &BTreeSet<(String, String)>) -> Wanted {
    let mut wanted = Wanted::new();
    for kind in kinds() {
        let Some(&version) = found.get(kind.name) else { continue };
        let mut want = |namespace: Option<&str>, name: Option<&str>| {
            let part = Part {
                kind: kind.name,
                namespace: namespace.map(Arc::from),
                name: name.map(Arc::from),
            };
            wanted.insert(part, (kind, version));
        };
        match kind.name {
            "ConfigMap" => {
                want(Some(root), Some("istio"));
                for (namespace, name) in config_maps {
                    want(Some(namespace), Some(name));
                }
            }
            "ClusterRoleBinding" => want(None, Some(binding)),
            _ => want(None, None),
        }
    }
    wanted
}

fn read(kind: &Kind, version: &str, object: DynamicObject) -> Option<Both> {
    let namespace: Arc<str> = object.metadata.namespace.clone().unwrap_or_default().into();
    let name: Arc<str> = object.metadata.name.clone()?.into();
    let raw = raw(kind, version, &object);
    let is_compiled = KINDS.iter().any(|known| known.name == kind.name);
    let seen = is_compiled.then(|| trim(kind, version, object)).flatten();
    Some(Both {
        key: (namespace, name),
        raw,
        seen,
    })
}

/// The object as whoever writes to it needs it.
fn raw(kind: &Kind, version: &str, object: &DynamicObject) -> Option<Value> {
    let is_made = object
        .metadata
        .labels
        .as_ref()
        .is_some_and(|labels| labels.contains_key(super::stream::GATEWAY_NAME));
    let is_written = match kind.name {
        "Service" => is_made,
        "Gateway" | "GatewayClass" | "ConfigMap" => true,
        name => JUDGED.contains(&name) || MADE.iter().any(|made| made.name == name),
    };
    if !is_written {
        return None;
    }
    let mut value = if JUDGED.contains(&kind.name) {
        json!({ "metadata": object.metadata, "status": object.data.get("status") })
    } else {
        serde_json::to_value(object).ok()?
    };
    let managers = object.metadata.managed_fields.iter().flatten();
    let managers: BTreeSet<&str> = managers.filter_map(|entry| entry.manager.as_deref()).collect();
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), json!(kind.api_version(version)));
    fields.insert("kind".to_owned(), json!(kind.name));
    let meta = fields.get_mut("metadata")?.as_object_mut()?;
    meta.insert("managedFields".to_owned(), json!(managers));
    Some(value)
}
