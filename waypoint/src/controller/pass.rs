//! One look at everything: classes, Gateways and what belongs to them, what routes and policies say of themselves. What is as
//! it should be costs nothing; what is not is made so, one write after the other.

use super::hands::{Away, Hands, Whose, is_made_for};
use super::moment::now;
use controller::status::Observed;
use controller::verdicts::{self, Verdict};
use controller::{Condition, Gateway, Settings, binding, class, ours, status, wanted};
use mesh::{ClusterClient, ObjectStatus, Observer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use telemetry::ControllerMetrics;
use tokio::time::Instant;

/// Statuses of routes and policies that are written in one look; the others are in the next, after the Gateways.
const WRITES: usize = 500;
/// After a look that met an API server that was away.
const AWAY: std::time::Duration = std::time::Duration::from_secs(1);

/// Kinds whose status is told by `mesh`.
const ROUTES: [&str; 4] = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"];
const POLICIES: [&str; 2] = ["AuthorizationPolicy", "RequestAuthentication"];
const ANCESTRAL: [&str; 1] = ["BackendTLSPolicy"];
/// Kinds of what belongs to a Gateway.
const MADE: [&str; 5] = [
    "ServiceAccount",
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
];

/// Those without which nothing is served.
const SERVING: [&str; 3] = ["ServiceAccount", "Deployment", "Service"];

/// Names of what is installed with the controller.
pub(super) struct Names {
    /// The ClusterRole that waypoints read by.
    pub(super) role: String,
    /// The ClusterRoleBinding that binds it to them.
    pub(super) binding: String,
}

/// The controller.
pub(super) struct Controller {
    hands: Hands,
    settings: Settings,
    names: Names,
    metrics: Arc<ControllerMetrics>,
    client: ClusterClient,
    /// What routes and policies have to say, as it was last known.
    statuses: Arc<Vec<ObjectStatus>>,
}

/// What a Gateway's routes and parameters came to.
struct Found<'o> {
    gateway: Gateway,
    object: &'o Value,
    overlays: Result<BTreeMap<String, Value>, String>,
}

impl Controller {
    pub(super) fn new(
        client: ClusterClient,
        settings: Settings,
        names: Names,
        metrics: Arc<ControllerMetrics>,
    ) -> Self {
        Self {
            hands: Hands::new(client.clone(), Arc::clone(&metrics)),
            settings,
            names,
            metrics,
            client,
            statuses: Arc::default(),
        }
    }

    /// What is known of earlier writes is not true any more.
    pub(super) fn forget(&mut self) {
        self.hands = Hands::new(self.client.clone(), Arc::clone(&self.metrics));
    }

    /// Looks once. Gives when to look again, even if nothing changes.
    pub(super) async fn pass(&mut self, observer: &mut Observer) -> Option<Instant> {
        let classes = classes(observer);
        let parameters = observer.objects("Gateway").filter_map(|object| {
            let gateway = ours_of(object, &classes)?;
            Some((gateway.namespace, gateway.parameters?))
        });
        let parameters = parameters.collect();
        observer.watch_config_maps(parameters);
        if !observer.is_whole() {
            // A ConfigMap that is not read yet is not missing.
            return None;
        }
        // Without an answer, what was said stays.
        if let Some(statuses) = observer.statuses(&classes).await {
            self.statuses = statuses;
        }
        let statuses = Arc::clone(&self.statuses);
        self.hands.begin();
        match self.look(observer, &classes, &statuses).await {
            Ok(is_done) => {
                self.metrics.pass("ok");
                let again = self.hands.end();
                if is_done { again } else { Some(Instant::now()) }
            }
            Err(Away) => {
                self.metrics.pass("failed");
                let least = Instant::now() + AWAY;
                Some(self.hands.wake().map_or(least, |wake| wake.max(least)))
            }
        }
    }

    /// False: there is more to write.
    async fn look(
        &mut self,
        observer: &Observer,
        classes: &BTreeSet<String>,
        statuses: &[ObjectStatus],
    ) -> Result<bool, Away> {
        for object in observer.objects("GatewayClass").filter(|object| class::is_ours(object)) {
            if let Some(status) = class::status(object, &now()) {
                self.hands.status(object, &status).await?;
            }
        }
        let found: Vec<Found<'_>> = observer
            .objects("Gateway")
            .filter_map(|object| {
                let gateway = ours_of(object, classes)?;
                Some(Found {
                    overlays: overlays(observer, &gateway),
                    gateway,
                    object,
                })
            })
            .collect();
        self.metrics.gateways.set(super::number(found.len()));
        let bound = self.bind(observer, &found).await?;
        let attached = Attached::of(statuses);
        for one in &found {
            self.gateway(observer, one, &attached, bound.clone()).await?;
        }
        self.judged(observer, statuses).await
    }

    /// The waypoints may read. Gives why not.
    async fn bind(&mut self, observer: &Observer, found: &[Found<'_>]) -> Result<Option<String>, Away> {
        let made = found
            .iter()
            .map(|one| &one.gateway)
            .filter(|gateway| !gateway.is_manual);
        let accounts = made.map(|gateway| (gateway.namespace.clone(), gateway.service_account.clone()));
        let accounts: BTreeSet<_> = accounts.collect();
        let Names { role, binding: name } = &self.names;
        let live = observer.object("ClusterRoleBinding", "", name);
        let subjects = live.and_then(|live| live.get("subjects")?.as_array());
        if accounts.is_empty() && subjects.is_none_or(Vec::is_empty) {
            return Ok(None);
        }
        let wanted = binding::cluster_role_binding(name, role, &accounts);
        self.hands.apply(&wanted, live.map(|live| &**live), Whose::Shared).await
    }

    async fn gateway(
        &mut self,
        observer: &Observer,
        found: &Found<'_>,
        attached: &Attached<'_>,
        unbound: Option<String>,
    ) -> Result<(), Away> {
        let gateway = &found.gateway;
        let live = observer.object("Deployment", &gateway.namespace, &gateway.deployment);
        let live = live.filter(|deployment| ours::belongs(deployment, gateway));
        let ready = live.and_then(|deployment| deployment.pointer("/status/readyReplicas")?.as_u64());
        let mut observed = Observed {
            ready_pods: ready.unwrap_or(0),
            failed: unbound,
            bad_parameters: found.overlays.as_ref().err().cloned(),
            attached_routes: attached.counts(gateway),
        };
        let all = found
            .overlays
            .as_ref()
            .ok()
            .map(|overlays| wanted::objects(gateway, overlays, &self.settings));
        let wanted = match all {
            Some(Err(why)) => {
                observed.bad_parameters = Some(why);
                None
            }
            Some(Ok(wanted)) => Some(wanted),
            None => None,
        };
        // What is not accepted stays as it was.
        let wanted = wanted.filter(|_| !gateway.is_manual && status::is_accepted(gateway, &observed));
        let why = live
            .filter(|_| observed.ready_pods == 0)
            .and_then(|live| replica_failure(live));
        observed.failed = observed.failed.or(why);
        if let Some(wanted) = wanted {
            let failed = self.make(observer, gateway, &wanted).await?;
            observed.failed = failed.or(observed.failed);
            self.unmake(observer, gateway, &wanted, observed.ready_pods > 0).await?;
        }
        let current = found.object.get("status");
        let status = status::gateway(gateway, &self.settings, &observed, current, &now());
        if let Some(status) = status {
            self.hands.status(found.object, &status).await?;
        }
        Ok(())
    }

    /// Applies all of it. Gives the first reason why something is not so.
    async fn make(&mut self, observer: &Observer, gateway: &Gateway, wanted: &[Value]) -> Result<Option<String>, Away> {
        let mut failed = None;
        for object in wanted {
            let (kind, name) = kind_and_name(object);
            let live = observer.object(kind, &gateway.namespace, name).map(|live| &**live);
            // An account that the Gateway names may be anybody's.
            let is_named = kind == "ServiceAccount" && gateway.service_account != gateway.name;
            let whose = if is_named {
                Whose::Anybody(gateway)
            } else {
                Whose::Gateway(gateway)
            };
            let why = self.hands.apply(object, live, whose).await?;
            failed = failed.or(why);
        }
        Ok(failed)
    }

    /// Deletes what was made for this Gateway and is not wanted any more. What serves under a name that the Gateway had
    /// before stays until what has the new one is ready.
    async fn unmake(
        &mut self,
        observer: &Observer,
        gateway: &Gateway,
        wanted: &[Value],
        is_ready: bool,
    ) -> Result<(), Away> {
        for kind in MADE.into_iter().filter(|kind| is_ready || !SERVING.contains(kind)) {
            for object in observer.objects_in(kind, &gateway.namespace) {
                let (_, name) = kind_and_name(object);
                let is_wanted = wanted.iter().any(|wanted| kind_and_name(wanted) == (kind, name));
                if !is_wanted && is_made_for(object, gateway) {
                    self.hands.delete(object).await?;
                }
            }
        }
        Ok(())
    }

    /// What routes and policies say of themselves. False: there is more to write.
    async fn judged(&mut self, observer: &Observer, statuses: &[ObjectStatus]) -> Result<bool, Away> {
        let by_name: HashMap<(&str, &str, &str), &ObjectStatus> = statuses
            .iter()
            .map(|status| ((status.kind.as_str(), &*status.namespace, &*status.name), status))
            .collect();
        let (mut written, now) = (0, now());
        for kind in ROUTES.into_iter().chain(POLICIES).chain(ANCESTRAL) {
            for object in observer.objects(kind) {
                let (_, name) = kind_and_name(object);
                let judged = by_name.get(&(kind, namespace(object), name));
                let verdicts = judged.map(|judged| verdicts_of(judged)).unwrap_or_default();
                let generation = judged.and_then(|judged| judged.generation).unwrap_or(0);
                let current = object.get("status");
                let status = match kind {
                    _ if POLICIES.contains(&kind) => verdicts::policy,
                    _ if ANCESTRAL.contains(&kind) => verdicts::ancestors,
                    _ => verdicts::route,
                };
                let status = status(current, &verdicts, generation, &now);
                let Some(status) = status else { continue };
                written += usize::from(self.hands.status(object, &status).await?);
                if written >= WRITES {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Names of the classes whose Gateways are looked after.
fn classes(observer: &Observer) -> BTreeSet<String> {
    let accepted = observer
        .objects("GatewayClass")
        .filter(|object| class::is_accepted(object));
    accepted.map(|object| kind_and_name(object).1.to_owned()).collect()
}

/// A Gateway of these classes that is not on its way out.
fn ours_of(object: &Value, classes: &BTreeSet<String>) -> Option<Gateway> {
    let gateway = Gateway::parse(object).ok()?;
    let is_leaving = object.pointer("/metadata/deletionTimestamp").is_some();
    (!is_leaving && classes.contains(&gateway.class)).then_some(gateway)
}

/// The overlays of the ConfigMap that the Gateway names.
fn overlays(observer: &Observer, gateway: &Gateway) -> Result<BTreeMap<String, Value>, String> {
    let Some(name) = &gateway.parameters else {
        return Ok(BTreeMap::new());
    };
    let told = format!("ConfigMap {}/{name}", gateway.namespace);
    let found = observer.object("ConfigMap", &gateway.namespace, name);
    let object = found.ok_or_else(|| format!("{told}: expected one, found none"))?;
    let data = object.get("data").and_then(Value::as_object);
    let read = data.into_iter().flatten().map(|(key, text)| {
        let text = text.as_str().unwrap_or_default();
        let value = mesh::one_document(text).map_err(|why| format!("{told}: {key}: {why}"))?;
        Ok((key.clone(), value))
    });
    read.collect()
}

/// Routes that are bound to Gateways by naming them: of each, its parents that are.
struct Attached<'s>(HashMap<(&'s str, &'s str), Vec<Vec<&'s Value>>>);

impl<'s> Attached<'s> {
    fn of(statuses: &'s [ObjectStatus]) -> Self {
        let mut all: HashMap<_, Vec<Vec<&Value>>> = HashMap::new();
        for route in statuses.iter().filter(|status| ROUTES.contains(&status.kind.as_str())) {
            let mut of_route: HashMap<_, Vec<&Value>> = HashMap::new();
            for parent in &route.parents {
                let text = |field: &str| parent.reference.get(field).and_then(Value::as_str);
                let accepted = parent.conditions.iter().find(|condition| condition.kind == "Accepted");
                if let (Some("Gateway"), Some(name), true) = (
                    text("kind"),
                    text("name"),
                    accepted.is_some_and(|condition| condition.is_true),
                ) {
                    let namespace = text("namespace").unwrap_or(&route.namespace);
                    of_route.entry((namespace, name)).or_default().push(&parent.reference);
                }
            }
            for (gateway, parents) in of_route {
                all.entry(gateway).or_default().push(parents);
            }
        }
        Self(all)
    }

    /// By listener.
    fn counts(&self, gateway: &Gateway) -> Vec<u32> {
        let routes = self.0.get(&(gateway.namespace.as_str(), gateway.name.as_str()));
        let counts = gateway.listeners.iter().map(|listener| {
            let is_meant = |parent: &&&Value| {
                let section = parent.get("sectionName").and_then(Value::as_str);
                let port = parent.get("port").and_then(Value::as_u64);
                section.is_none_or(|section| section == listener.name)
                    && port.is_none_or(|port| port == u64::from(listener.port))
            };
            let bound = routes
                .into_iter()
                .flatten()
                .filter(|parents| parents.iter().any(|one| is_meant(&one)));
            u32::try_from(bound.count()).unwrap_or(u32::MAX)
        });
        counts.collect()
    }
}

/// Why the Deployment controller cannot make pods: a quota, an admission policy.
fn replica_failure(deployment: &Value) -> Option<String> {
    let conditions = deployment.pointer("/status/conditions")?.as_array()?;
    let failed = conditions.iter().find(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("ReplicaFailure") && text("status") == Some("True")
    })?;
    let message = failed.get("message").and_then(Value::as_str).unwrap_or_default();
    let short: String = message.chars().take(1_024).collect();
    Some(format!("no pod can be made: {short}"))
}

fn verdicts_of(judged: &ObjectStatus) -> Vec<Verdict> {
    let parents = judged.parents.iter().map(|parent| Verdict {
        reference: parent.reference.clone(),
        conditions: parent
            .conditions
            .iter()
            .map(|condition| Condition {
                kind: condition.kind,
                holds: condition.is_true,
                reason: condition.reason,
                message: condition.message.clone(),
            })
            .collect(),
    });
    parents.collect()
}

fn kind_and_name(object: &Value) -> (&str, &str) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (text("/kind"), text("/metadata/name"))
}

fn namespace(object: &Value) -> &str {
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
    namespace.unwrap_or_default()
}
