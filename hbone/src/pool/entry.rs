//! The connections to one destination, and the dials under way.

use super::connection::{self, Conn};
use super::{Destination, Shared};
use crate::slots::Slot;
use crate::{DialError, Identity};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// Streams a connection is expected to take before its SETTINGS are seen: how many callers share one dial.
const EXPECTED_STREAMS: usize = 100;

pub(super) struct Entry {
    destination: Destination,
    shared: Arc<Shared>,
    /// Told when a tunnel ends: there may be room again.
    freed: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Conn>>,
    dials: Vec<Dial>,
}

/// A dial that others wait for.
struct Dial {
    waiting: usize,
    outcome: watch::Receiver<Option<Result<(), Failed>>>,
}

/// The outcome of a dial that failed, for each of its waiters.
#[derive(Clone, Debug)]
struct Failed(Arc<DialError>);

/// What a caller has to do.
enum Step {
    Go(Arc<Conn>, Slot),
    Wait(watch::Receiver<Option<Result<(), Failed>>>),
    /// All connections are full and there may not be more of them.
    Full,
}

impl Entry {
    pub(super) fn new(destination: Destination, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            destination,
            shared,
            freed: Arc::default(),
            state: Mutex::default(),
        })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// A place on a connection: at once when one has room, after a dial otherwise.
    pub(super) async fn place(self: &Arc<Self>, authority: &str) -> Result<(Arc<Conn>, Slot), DialError> {
        let limit = self
            .shared
            .config
            .connect_timeout
            .saturating_add(self.shared.config.handshake_timeout);
        timeout(limit, self.place_without_limit())
            .await
            .unwrap_or_else(|_| Err(no_room(authority, limit)))
    }

    async fn place_without_limit(self: &Arc<Self>) -> Result<(Arc<Conn>, Slot), DialError> {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            let mut step = self.step();
            if matches!(step, Step::Full) {
                // Registered before the second look, so that no slot is freed unseen.
                freed.as_mut().enable();
                step = self.step();
            }
            match step {
                Step::Go(conn, slot) => return Ok((conn, slot)),
                Step::Wait(mut outcome) => {
                    // An error says that the dialling task was killed: look again, as after success.
                    let outcome = outcome.wait_for(Option::is_some).await.map(|done| done.clone());
                    if let Ok(Some(Err(failed))) = outcome {
                        return Err(failed.error());
                    }
                }
                Step::Full => freed.await,
            }
        }
    }

    fn step(self: &Arc<Self>) -> Step {
        let identity = self.shared.identity();
        let config = &self.shared.config;
        let mut state = self.lock();
        state.retire_all_but(&identity);
        for conn in &state.connections {
            if let Some(slot) = conn.take_slot(config.max_streams) {
                return Step::Go(Arc::clone(conn), slot);
            }
        }
        // A dial whose task was killed tells nobody.
        state.dials.retain(|dial| dial.outcome.has_changed().is_ok());
        let per_dial = EXPECTED_STREAMS.min(config.max_streams).max(1);
        let may_dial = state.connections.len().saturating_add(state.dials.len()) < config.max_connections.max(1);
        let least = state.dials.iter_mut().min_by_key(|dial| dial.waiting);
        match least {
            Some(dial) if dial.waiting < per_dial || !may_dial => {
                dial.waiting = dial.waiting.saturating_add(1);
                Step::Wait(dial.outcome.clone())
            }
            _ if may_dial => Step::Wait(self.begin_dial(&mut state)),
            _ => Step::Full,
        }
    }

    /// The dial has a task of its own: a caller that gives up does not take it from the others.
    fn begin_dial(self: &Arc<Self>, state: &mut State) -> watch::Receiver<Option<Result<(), Failed>>> {
        let (done, outcome) = watch::channel(None);
        state.dials.push(Dial {
            waiting: 1,
            outcome: outcome.clone(),
        });
        let entry = Arc::clone(self);
        tokio::spawn(async move {
            let (weak, freed) = (Arc::downgrade(&entry), Arc::clone(&entry.freed));
            let dialled = connection::dial(&entry.shared, &entry.destination, weak, freed).await;
            let mut state = entry.lock();
            state.dials.retain(|dial| !dial.outcome.same_channel(&done.subscribe()));
            done.send_replace(Some(match dialled {
                Ok(conn) => {
                    // It may have broken already: then its task has looked for it in vain.
                    if !conn.has_ended() {
                        state.connections.push(conn);
                    }
                    Ok(())
                }
                Err(error) => Err(Failed(Arc::new(error))),
            }));
        });
        outcome
    }

    /// Takes a connection out: it keeps its streams, and gets no new ones.
    pub(super) fn remove(&self, conn: &Arc<Conn>) {
        self.lock().connections.retain(|other| !Arc::ptr_eq(other, conn));
        // Where it was there may be a new one now.
        self.freed.notify_waiters();
    }

    pub(super) fn remove_if_idle(&self, conn: &Arc<Conn>) {
        self.lock()
            .connections
            .retain(|other| !(Arc::ptr_eq(other, conn) && conn.is_idle()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Connections that stand for an older certificate of ours take no new tunnels.
    fn retire_all_but(&mut self, identity: &Arc<Identity>) {
        if !self.connections.iter().all(|conn| conn.is_of(identity)) {
            self.connections.retain(|conn| conn.is_of(identity));
        }
    }
}

impl Failed {
    /// Errors cannot be cloned whole: an I/O error keeps its kind and text.
    fn error(&self) -> DialError {
        match self.0.as_ref() {
            DialError::Connect { address, source } => DialError::Connect {
                address: *address,
                source: std::io::Error::new(source.kind(), source.to_string()),
            },
            DialError::Tls { address, reason } => DialError::Tls {
                address: *address,
                reason: reason.clone(),
            },
            DialError::Identity {
                address,
                expected,
                found,
            } => DialError::Identity {
                address: *address,
                expected: expected.clone(),
                found: found.clone(),
            },
            DialError::Refused { authority, status } => DialError::Refused {
                authority: authority.clone(),
                status: *status,
            },
            DialError::Broken { authority, reason } => DialError::Broken {
                authority: authority.clone(),
                reason: reason.clone(),
            },
        }
    }
}

fn no_room(authority: &str, limit: Duration) -> DialError {
    DialError::Broken {
        authority: authority.to_owned(),
        reason: format!("no connection had room for {limit:?}"),
    }
}
