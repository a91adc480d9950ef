//! Which watches there are: started and ended as kinds come and go and as routes lead to other namespaces; and whether all
//! that must be read has been.

use super::ClusterEvents;
use super::access::SharedAccess;
use super::discovery::Found;
use super::interest::{Eye, Interest};
use super::keeper::Step;
use super::kind::{KINDS, Kind, Need, Reach};
use super::store::Part;
use super::stream::{Failure, Follow, Message, Read, Told, follow};
use crate::finding::{Finding, Severity};
use crate::istiod::REPLACED;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Once something is in force, a new watch is waited for so long: a Service of a namespace that is new to us has endpoints
/// there.
const HOLD: Duration = Duration::from_secs(5);
/// A watch that did not fail for so long goes on. It does not say so where nothing changes; one that fails says so at least
/// every 25 s.
const WELL: Duration = Duration::from_secs(40);

/// The parts that are watched, each with its kind and version.
pub(super) type Wanted = BTreeMap<Part, (&'static Kind, &'static str)>;

/// All of them.
pub(super) struct Watches<T> {
    access: SharedAccess,
    events: Arc<dyn ClusterEvents>,
    inbox: Sender<Message<T>>,
    read: Read<T>,
    running: BTreeMap<Part, Running>,
    numbers: BTreeMap<u64, Part>,
    last_number: u64,
    found: Option<Found>,
    /// Why discovery fails, when it does.
    lost: Option<String>,
}

/// One of them. It ends when it is dropped.
struct Running {
    number: u64,
    kind: &'static Kind,
    version: &'static str,
    task: JoinHandle<()>,
    /// It was read whole once.
    is_whole: bool,
    started: Instant,
    failure: Option<(Failure, Instant)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Send + 'static> Watches<T> {
    /// None yet.
    pub(super) fn new(
        access: SharedAccess,
        events: Arc<dyn ClusterEvents>,
        inbox: Sender<Message<T>>,
        read: Read<T>,
    ) -> Self {
        Self {
            access,
            events,
            inbox,
            read,
            running: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last_number: 0,
            found: None,
            lost: None,
        }
    }

    /// What discovery found, or why it did not.
    pub(super) fn discovered(&mut self, found: Result<Found, String>) {
        match found {
            Ok(found) => (self.found, self.lost) = (Some(found), None),
            Err(why) => {
                if self.lost.is_none() {
                    tracing::warn!(target: "waypoint::kubernetes", "the API server cannot be asked for its kinds, the last good state stays in force: {why}");
                }
                self.events.failed("discovery", "other");
                self.lost = Some(why);
            }
        }
    }

    /// Turns a message into what it does to the store, and remembers how the watch is. `None`: nothing, or of a watch that
    /// ended.
    pub(super) fn heard(&mut self, (number, told): Message<T>) -> Option<Step<T>> {
        let part = self.numbers.get(&number)?.clone();
        let running = self.running.get_mut(&part)?;
        let kind = running.kind;
        if let Told::Failed(failure) = told {
            self.events.failed(kind.name, failure.why);
            self.failed(&part, failure);
            return None;
        }
        // A list that begins has not got anything yet.
        if !matches!(told, Told::Began) {
            running.failure = None;
        }
        match told {
            Told::Began => Some(Step::Begin(part)),
            Told::Object(seen) => {
                if running.is_whole {
                    self.events.synced(kind.name);
                }
                Some(Step::Apply(part, kind, seen))
            }
            Told::Gone(namespace, name) => {
                self.events.synced(kind.name);
                Some(Step::Remove(part, (namespace, name)))
            }
            Told::Whole => {
                running.is_whole = true;
                self.events.synced(kind.name);
                Some(Step::End(part))
            }
            Told::Failed(_) => None,
        }
    }

    /// An outage fails all watches: it is told once. A denial is told for each.
    fn failed(&mut self, part: &Part, failure: Failure) {
        let is_known = |running: &Running| {
            running
                .failure
                .as_ref()
                .is_some_and(|(known, _)| known.why == failure.why)
        };
        let is_told = match failure.why {
            "gone" => true,
            "forbidden" => self.running.get(part).is_some_and(is_known),
            _ => self.running.values().any(is_known),
        };
        let Some(running) = self.running.get_mut(part) else {
            return;
        };
        let message = running.cannot(part, &failure);
        if is_told {
            tracing::debug!(target: "waypoint::kubernetes", "{message}");
        } else {
            tracing::warn!(target: "waypoint::kubernetes", "{message}");
        }
        running.failure = Some((failure, Instant::now()));
    }

    /// Starts what is missing, ends what is not wanted. Gives what the store must forget.
    pub(super) fn arrange(&mut self, wanted: impl FnOnce(&Found) -> Wanted) -> Vec<Step<T>> {
        let Some(found) = &self.found else { return Vec::new() };
        let wanted = wanted(found);
        let mut forgotten = Vec::new();
        let unwanted: Vec<Part> = self
            .running
            .iter()
            .filter(|(part, running)| match wanted.get(*part) {
                Some((_, version)) => *version != running.version,
                // A kind that discovery misses and whose watch goes on is there all the same.
                None => found.contains_key(part.kind) || running.is_not_found(),
            })
            .map(|(part, _)| part.clone())
            .collect();
        for part in unwanted {
            if let Some(running) = self.running.remove(&part) {
                self.numbers.remove(&running.number);
            }
            // Another version of a kind tells the same objects: they stay until it has.
            if !wanted.contains_key(&part) {
                forgotten.push(Step::Forget(part));
            }
        }
        for (part, (kind, version)) in wanted {
            if !self.running.contains_key(&part) {
                self.start(part, kind, version);
            }
        }
        self.count_failing();
        forgotten
    }

    /// Time passed: watches that did not fail again are well.
    pub(super) fn tick(&mut self) {
        for running in self.running.values_mut() {
            running.failure.take_if(|(_, when)| when.elapsed() > WELL);
        }
        self.count_failing();
    }

    fn count_failing(&self) {
        let failing = self
            .running
            .values()
            .filter(|running| running.failure.is_some())
            .count();
        self.events.watches(self.running.len(), failing);
    }

    fn start(&mut self, part: Part, kind: &'static Kind, version: &'static str) {
        self.last_number += 1;
        let number = self.last_number;
        let watch = follow(
            Arc::clone(&self.access),
            Follow {
                kind,
                version,
                part: part.clone(),
                number,
                told: self.inbox.clone(),
                read: self.read,
            },
        );
        let running = Running {
            number,
            kind,
            version,
            task: tokio::spawn(watch),
            is_whole: false,
            started: Instant::now(),
            failure: None,
        };
        self.numbers.insert(number, part.clone());
        self.running.insert(part, running);
    }

    /// Whether all that must be read has been read once.
    pub(super) fn is_whole(&self) -> bool {
        self.found.is_some() && self.awaited().next().is_none()
    }

    /// Until when new watches are waited for, once something is in force.
    pub(super) fn hold(&self) -> Option<Instant> {
        self.awaited().map(|running| running.started + HOLD).max()
    }

    fn awaited(&self) -> impl Iterator<Item = &Running> {
        self.running
            .values()
            .filter(|running| !running.is_whole && !running.is_excused())
    }

    /// What may not or cannot be read. `is_serving`: something is in force already.
    pub(super) fn findings(&self, is_serving: bool) -> Vec<Finding> {
        let told = |severity, message| Finding {
            severity,
            object: None,
            field: None,
            place: None,
            message,
        };
        let mut findings = Vec::new();
        if let (false, Some(why)) = (is_serving, &self.lost) {
            findings.push(told(
                Severity::Error,
                format!("the API server cannot be asked for its kinds: {why}"),
            ));
        }
        for (part, running) in &self.running {
            let Some((failure, _)) = &running.failure else { continue };
            let is_denied = failure.why == "forbidden";
            let must = running.kind.need == Need::Must && !running.is_whole;
            let severity = match (is_serving, must) {
                (false, true) => Severity::Error,
                // An outage is told in the log and in metrics.
                _ if !is_denied || running.kind.need == Need::Hint => continue,
                _ => Severity::Warning,
            };
            findings.push(told(severity, running.cannot(part, failure)));
        }
        findings
    }
}

impl Running {
    /// It need not be waited for: it is not there, or may not be read and need not be.
    fn is_excused(&self) -> bool {
        match &self.failure {
            Some((failure, _)) if self.kind.need == Need::Must => {
                failure.why == "not_found" && !self.kind.is_built_in()
            }
            Some((failure, _)) => matches!(failure.why, "forbidden" | "not_found"),
            None => false,
        }
    }

    fn is_not_found(&self) -> bool {
        self.failure
            .as_ref()
            .is_some_and(|(failure, _)| failure.why == "not_found")
    }

    fn cannot(&self, part: &Part, failure: &Failure) -> String {
        let of = match (&part.namespace, &part.name) {
            (Some(namespace), Some(name)) => format!("{} {namespace}/{name}", self.kind.name),
            (Some(namespace), None) => format!("{} objects of namespace {namespace}", self.kind.name),
            _ => format!("{} objects", self.kind.name),
        };
        let state = if self.is_whole {
            "the last good state stays in force"
        } else {
            "they are not known"
        };
        match failure.why {
            "forbidden" => format!(
                "{of} may not be read: allow list and watch of {} to the service account; {state}: {}",
                self.kind.rbac_name(),
                failure.message
            ),
            _ => format!("{of} cannot be watched, {state}: {}", failure.message),
        }
    }
}

/// What a waypoint watches.
pub(super) fn wanted(found: &Found, interest: &Interest, eye: &Eye) -> Wanted {
    let own = &eye.own;
    let left_out: &[&str] = if eye.istiod.is_some() { &REPLACED } else { &[] };
    let mut wanted = BTreeMap::new();
    for kind in KINDS.iter().filter(|kind| !left_out.contains(&kind.name)) {
        let Some(&version) = found.get(kind.name) else { continue };
        let mut want = |namespace: Option<&Arc<str>>, name: Option<&Arc<str>>| {
            let part = Part {
                kind: kind.name,
                namespace: namespace.cloned(),
                name: name.cloned(),
            };
            wanted.insert(part, (kind, version));
        };
        match kind.reach {
            Reach::Everywhere | Reach::Labelled => want(None, None),
            Reach::Own => want(Some(own), None),
            Reach::Counting => interest
                .namespaces
                .iter()
                .for_each(|namespace| want(Some(namespace), None)),
            Reach::Named => {
                let named = interest.objects.iter().filter(|(of, ..)| *of == kind.name);
                named.for_each(|(_, namespace, name)| want(Some(namespace), Some(name)));
            }
        }
    }
    wanted
}
