//! Keeps answers fresh: one task that knows which names the config (and requests below its wildcards) want, and when
//! each is to be looked up again.

use super::answer::{Answer, Failure};
use super::live::Live;
use super::lookup::Lookup;
use super::{Ask, Dns, Looked};
use arc_swap::ArcSwap;
use mesh::{Name, Resolve, Snapshot};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use telemetry::OwnMetrics;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Lookups at once.
const LOOKUPS: usize = 32;
/// A lookup that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names below wildcards at once, in the whole process.
const BELOW: usize = 1024;
/// A name below a wildcard that nobody wants for this long (twice at most) is forgotten.
const IDLE: Duration = Duration::from_secs(300);
/// After a failure the next lookup waits, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// So many times in a row the server must say that there is no such address before the last answer is given up.
const SURE: u32 = 3;

/// What the worker needs of the process.
pub(super) struct World<'w> {
    pub(super) snapshot: &'w ArcSwap<Snapshot>,
    /// Told after a snapshot came into force.
    pub(super) changes: watch::Receiver<u64>,
    pub(super) metrics: &'w OwnMetrics,
    pub(super) loopback: bool,
}

pub(super) struct Worker<'w, L> {
    dns: &'w Dns,
    world: World<'w>,
    lookup: Arc<L>,
    names: HashMap<Arc<str>, Watched>,
    due: BTreeSet<(Instant, Arc<str>)>,
    running: JoinSet<Done>,
}

type Done = (Arc<str>, Result<Answer, Failure>);

/// A name.
#[derive(Default)]
struct Watched {
    answer: Option<Answer>,
    /// When it is looked up next: its only place in the queue. `None` while that goes on.
    due: Option<Instant>,
    /// Failed lookups since the last answer.
    failures: u32,
    /// Of these, in a row: there is no such address.
    nothing: u32,
    users: Vec<User>,
}

/// A cluster that a name is looked up for.
#[derive(Clone)]
struct User {
    resolve: Arc<Resolve>,
    live: Arc<Live>,
    names: Arc<[Name]>,
}

impl<'w, L: Lookup> Worker<'w, L> {
    pub(super) fn new(dns: &'w Dns, world: World<'w>, lookup: Arc<L>) -> Self {
        Self {
            dns,
            world,
            lookup,
            names: HashMap::new(),
            due: BTreeSet::new(),
            running: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut sweep = tokio::time::interval_at(Instant::now() + IDLE, IDLE);
        self.follow_config();
        loop {
            self.start_lookups();
            let due = self.due.first().map(|(at, _)| *at);
            tokio::select! {
                changed = self.world.changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow_config();
                }
                Some(ask) = asked.recv() => self.take_up(ask),
                Some(done) = self.running.join_next() => self.record(done),
                _ = sweep.tick() => self.forget_idle(),
                () = at(due), if self.running.len() < LOOKUPS => {}
            }
        }
    }

    /// Takes over which clusters there are. Those that stay keep their answers.
    fn follow_config(&mut self) {
        let snapshot = self.world.snapshot.load_full();
        let before = self.dns.clusters.load_full();
        for watched in self.names.values_mut() {
            watched.users.clear();
        }
        let mut now = HashMap::new();
        let mut users = Vec::new();
        for (id, resolve) in snapshot.resolves() {
            let looked = match (&**resolve, before.get(&id).map(|looked| &**looked)) {
                (Resolve::Names(named), known) => {
                    let live = match known {
                        Some(Looked::Names(live)) => Arc::clone(live),
                        _ => Live::new(),
                    };
                    users.push(User {
                        resolve: Arc::clone(resolve),
                        live: Arc::clone(&live),
                        names: Arc::from(named.names.as_slice()),
                    });
                    Looked::Names(live)
                }
                (Resolve::Below(_), known) => {
                    let hosts = match known {
                        Some(Looked::Below(hosts)) => hosts.load_full(),
                        _ => Arc::default(),
                    };
                    users.extend(hosts.iter().filter_map(|(host, live)| below(resolve, host, live)));
                    Looked::Below(ArcSwap::new(hosts))
                }
            };
            now.insert(id, Arc::new(looked));
        }
        for user in &users {
            self.watch(user);
        }
        self.names.retain(|_, watched| !watched.users.is_empty());
        let names = &self.names;
        self.due.retain(|(_, name)| names.contains_key(name));
        for user in &users {
            self.refresh(user, &snapshot);
        }
        self.dns.clusters.store(Arc::new(now));
        self.count();
    }

    /// A request wants a name below a wildcard that was not looked up yet.
    fn take_up(&mut self, ask: Ask) {
        let snapshot = self.world.snapshot.load_full();
        let clusters = self.dns.clusters.load_full();
        let looked = clusters.get(&ask.cluster).map(|looked| &**looked);
        let resolve = snapshot.resolves().find(|(id, _)| *id == ask.cluster);
        let (Some(Looked::Below(hosts)), Some((_, resolve))) = (looked, resolve) else {
            return;
        };
        if hosts.load().contains_key(&ask.host) {
            return;
        }
        let below_now = clusters.values().map(|looked| match &**looked {
            Looked::Below(hosts) => hosts.load().len(),
            Looked::Names(_) => 0,
        });
        if below_now.sum::<usize>() >= BELOW {
            self.world.metrics.limit("dns_names");
            return;
        }
        let live = Live::new();
        let Some(user) = below(resolve, &ask.host, &live) else {
            return;
        };
        self.watch(&user);
        self.refresh(&user, &snapshot);
        let mut more = HashMap::clone(&hosts.load());
        more.insert(ask.host, live);
        hosts.store(Arc::new(more));
        self.count();
    }

    /// Names below wildcards that nobody wanted since the last time.
    fn forget_idle(&mut self) {
        let mut forgotten = false;
        for looked in self.dns.clusters.load().values() {
            let Looked::Below(hosts) = &**looked else { continue };
            let mut left = HashMap::clone(&hosts.load());
            left.retain(|_, live| live.was_used());
            forgotten |= left.len() < hosts.load().len();
            hosts.store(Arc::new(left));
        }
        if forgotten {
            self.follow_config();
        }
    }

    fn watch(&mut self, user: &User) {
        for name in user.names.iter() {
            let is_new = !self.names.contains_key(&name.name);
            let watched = self.names.entry(Arc::clone(&name.name)).or_default();
            if !watched.users.iter().any(|known| Arc::ptr_eq(&known.live, &user.live)) {
                watched.users.push(user.clone());
            }
            if is_new {
                self.schedule(&name.name, Instant::now());
            }
        }
    }

    fn schedule(&mut self, name: &Arc<str>, at: Instant) {
        let Some(watched) = self.names.get_mut(name) else {
            return;
        };
        if let Some(before) = watched.due.replace(at) {
            self.due.remove(&(before, Arc::clone(name)));
        }
        self.due.insert((at, Arc::clone(name)));
    }

    fn start_lookups(&mut self) {
        let now = Instant::now();
        while self.running.len() < LOOKUPS && self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.due.pop_first() else { return };
            if let Some(watched) = self.names.get_mut(&name) {
                watched.due = None;
            }
            let (lookup, loopback) = (Arc::clone(&self.lookup), self.world.loopback);
            self.running.spawn(async move {
                let found = tokio::time::timeout(PATIENCE, lookup.lookup(&name)).await;
                let found = found.unwrap_or_else(|_| Err(Failure::Unknown(format!("no answer in {PATIENCE:?}"))));
                let answer = found.and_then(|(addresses, ttl)| Answer::of(addresses, ttl, loopback));
                (name, answer)
            });
        }
    }

    fn record(&mut self, done: Result<Done, JoinError>) {
        // An error: the task panicked, or the runtime ends.
        let Ok((name, result)) = done else { return };
        self.world
            .metrics
            .dns_lookup(result.as_ref().map_or_else(Failure::label, |_| "ok"));
        // Nobody wants it any more.
        let Some(watched) = self.names.get_mut(&name) else {
            return;
        };
        let (pause, changed) = watched.take(&name, result);
        let users = if changed { watched.users.clone() } else { Vec::new() };
        self.schedule(&name, Instant::now() + pause);
        let snapshot = self.world.snapshot.load_full();
        for user in &users {
            self.refresh(user, &snapshot);
        }
    }

    /// Makes a cluster what the answers say.
    fn refresh(&self, user: &User, snapshot: &Snapshot) {
        let answer = |name: &str| self.names.get(name).and_then(|watched| watched.answer.as_ref());
        let template = match &*user.resolve {
            Resolve::Names(named) => &named.cluster,
            Resolve::Below(wildcard) => &wildcard.cluster,
        };
        let has_any = user.names.iter().any(|name| answer(&name.name).is_some());
        let has_failed = |name: &Name| self.names.get(&name.name).is_some_and(|watched| watched.failures > 0);
        if has_any || !template.endpoints.is_empty() {
            user.live.answered(&user.resolve, &user.names, &answer, snapshot);
        } else if user.names.iter().all(has_failed) {
            user.live.withdraw();
        }
    }

    fn count(&self) {
        let names = i64::try_from(self.names.len()).unwrap_or(i64::MAX);
        self.world.metrics.dns_names.set(names);
    }
}

impl Watched {
    /// Takes the result of a lookup; gives back when to look again, and whether anything changed for its users.
    fn take(&mut self, name: &str, result: Result<Answer, Failure>) -> (Duration, bool) {
        match result {
            Ok(answer) => {
                (self.failures, self.nothing) = (0, 0);
                let lasts = answer.lasts;
                let changed = self
                    .answer
                    .as_ref()
                    .is_none_or(|before| before.addresses != answer.addresses);
                self.answer = Some(answer);
                (lasts, changed)
            }
            Err(failure) => {
                self.nothing = if failure == Failure::Nothing {
                    self.nothing.saturating_add(1)
                } else {
                    0
                };
                let is_given_up = self.answer.is_some() && self.nothing >= SURE;
                if is_given_up {
                    self.answer = None;
                }
                if self.failures == 0 || is_given_up {
                    let kept = if self.answer.is_some() {
                        "; the last answer stays in use"
                    } else {
                        ""
                    };
                    tracing::warn!(name, "DNS lookup failed: {failure}{kept}");
                }
                let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(5)).min(LONGEST_PAUSE);
                self.failures = self.failures.saturating_add(1);
                (pause, self.answer.is_none())
            }
        }
    }
}

/// The cluster of one name below a wildcard.
fn below(resolve: &Arc<Resolve>, host: &Arc<str>, live: &Arc<Live>) -> Option<User> {
    let Resolve::Below(wildcard) = &**resolve else {
        return None;
    };
    Some(User {
        resolve: Arc::clone(resolve),
        live: Arc::clone(live),
        names: Arc::from([wildcard.name(host)]),
    })
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
