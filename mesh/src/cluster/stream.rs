//! One watch: a part of a kind, listed page by page and then followed, through every fault of the API server.
//!
//! kube's watcher does the protocol (pages, bookmarks, resuming, listing again after 410). Around it here: a limit on
//! time, back-off, credentials that are read again when they are refused, and a word for every failure.

use super::access::SharedAccess;
use super::backoff::Backoff;
use super::kind::{Kind, Reach};
use super::store::Part;
use futures_util::StreamExt;
use kube::Api;
use kube::core::{DynamicObject, Status};
use kube::runtime::watcher::{self, Event, watcher};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

/// A watch is asked for so many seconds, then asked for again: a server that went away without a word is noticed.
const WATCH_SECONDS: u32 = 120;
/// Between two objects of a list.
const LIST: Duration = Duration::from_secs(60);
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// On everything that belongs to a Gateway.
pub(super) const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// What a watch tells.
pub(super) enum Told<T> {
    /// A list begins.
    Began,
    /// An object is there.
    Object(T),
    /// An object is gone.
    Gone(Arc<str>, Arc<str>),
    /// The list is whole, and the watch goes on.
    Whole,
    /// It goes on as before a failure.
    Failed(Failure),
}

/// Why a list or a watch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// As a metric has it.
    pub(super) why: &'static str,
    /// As a person reads it.
    pub(super) message: String,
}

/// A message of a watch: its number, and what it tells.
pub(super) type Message<T> = (u64, Told<T>);

/// What of an object is told; `None`: nothing.
pub(super) type Read<T> = fn(&Kind, &str, DynamicObject) -> Option<T>;

/// What is followed, and who is told.
pub(super) struct Follow<T> {
    pub(super) kind: &'static Kind,
    pub(super) version: &'static str,
    pub(super) part: Part,
    pub(super) number: u64,
    pub(super) told: Sender<Message<T>>,
    pub(super) read: Read<T>,
}

/// Follows a part of a kind until it is dropped.
pub(super) async fn follow<T: Send>(access: SharedAccess, what: Follow<T>) {
    let mut backoff = Backoff::default();
    loop {
        let failure = match access.client().await {
            Ok((client_number, client)) => {
                let api = api(client, what.kind, what.version, &what.part);
                match what.stream(api, &mut backoff).await {
                    None => return,
                    Some(failure) if failure.why == "unauthorized" => {
                        access.refused(client_number).await;
                        failure
                    }
                    Some(failure) => failure,
                }
            }
            Err(error) => Failure {
                why: "other",
                message: error.to_string(),
            },
        };
        if what.told.send((what.number, Told::Failed(failure))).await.is_err() {
            return;
        }
        sleep(backoff.next()).await;
    }
}

fn api(client: kube::Client, kind: &Kind, version: &str, part: &Part) -> Api<DynamicObject> {
    let resource = kind.resource(version);
    match &part.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

fn config(kind: &Kind, part: &Part) -> watcher::Config {
    let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
    match &part.name {
        Some(name) => config.fields(&format!("metadata.name={name}")),
        // The controller's own sort of objects, and nobody else's.
        None if kind.reach == Reach::Labelled => config.labels(GATEWAY_NAME),
        // Pods that ended have no address; a Job leaves many of them.
        None if kind.name == "Pod" => config.fields("status.phase!=Succeeded,status.phase!=Failed"),
        None => config,
    }
}

impl<T: Send> Follow<T> {
    /// Until it must begin anew (why), or nobody listens (`None`).
    async fn stream(&self, api: Api<DynamicObject>, backoff: &mut Backoff) -> Option<Failure> {
        let mut events = pin!(watcher(api, config(self.kind, &self.part)));
        let mut is_listing = true;
        loop {
            let next = if is_listing {
                match timeout(LIST, events.next()).await {
                    Ok(next) => next,
                    Err(_) => return Some(silent()),
                }
            } else {
                events.next().await
            };
            let message = match next? {
                Ok(Event::Init) => {
                    is_listing = true;
                    Told::Began
                }
                Ok(Event::InitDone) => {
                    is_listing = false;
                    backoff.reset();
                    Told::Whole
                }
                Ok(Event::InitApply(object)) => match (self.read)(self.kind, self.version, object) {
                    Some(seen) => Told::Object(seen),
                    None => continue,
                },
                Ok(Event::Apply(object)) => {
                    backoff.reset();
                    match (self.read)(self.kind, self.version, object) {
                        Some(seen) => Told::Object(seen),
                        None => continue,
                    }
                }
                Ok(Event::Delete(object)) => {
                    let namespace = object.metadata.namespace.unwrap_or_default();
                    Told::Gone(namespace.into(), object.metadata.name.unwrap_or_default().into())
                }
                Err(error) => {
                    let failure = Failure::of(&error);
                    // The watcher would ask for the same version again.
                    let begins_anew = matches!(failure.why, "unauthorized") || is_gone(&error);
                    if begins_anew {
                        return Some(failure);
                    }
                    self.told.send((self.number, Told::Failed(failure))).await.ok()?;
                    sleep(backoff.next()).await;
                    continue;
                }
            };
            self.told.send((self.number, message)).await.ok()?;
        }
    }
}

fn silent() -> Failure {
    Failure {
        why: "timeout",
        message: format!("no answer to a list for {LIST:?}"),
    }
}

/// A watch that cannot be resumed where it ended, told by the status of the answer: the watcher knows only the event of that
/// name, and would ask for the same version for ever.
fn is_gone(error: &watcher::Error) -> bool {
    use watcher::Error::{WatchFailed, WatchStartFailed};
    matches!(error, WatchStartFailed(kube::Error::Api(status)) | WatchFailed(kube::Error::Api(status)) if status.code == 410)
}

impl Failure {
    fn of(error: &watcher::Error) -> Self {
        let status = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => match error {
                kube::Error::Api(status) => Ok(&**status),
                other => Err(other),
            },
            watcher::Error::WatchError(status) => Ok(&**status),
            watcher::Error::NoResourceVersion => {
                return Self {
                    why: "other",
                    message: error.to_string(),
                };
            }
        };
        match status {
            Ok(status) => Self {
                why: of_status(status),
                message: format!("{} {}", status.code, status.message),
            },
            Err(error) => Self {
                why: of_error(error),
                message: chain(error),
            },
        }
    }
}

fn of_status(status: &Status) -> &'static str {
    match status.code {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        410 => "gone",
        429 => "throttled",
        504 => "timeout",
        500..=599 => "server",
        _ => "other",
    }
}

fn of_error(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => "connection",
        _ => "other",
    }
}

/// An error and what caused it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
