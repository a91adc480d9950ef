//! Load: tunnels with application connections in them, and requests on those, in a closed or an open loop.
//!
//! A *lane* carries one request at a time. Each lane waits for its turn ([`Pace`]), makes an exchange and counts it.

mod ask;
mod kept;
mod lane;
mod pace;
mod tally;

pub(crate) use ask::{Ask, Good, Protocol, body, message};
pub(crate) use kept::Kept;
pub(crate) use pace::Schedule;
pub(crate) use tally::{Tally, WINDOWS_LIMIT};

use crate::fault::{During, Fault};
use crate::neighbour::{Room, Source};
use lane::{Answer, Lane};
use pace::Pace;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;
use tally::Counted;
use tokio::task::JoinSet;

/// All tunnels must be open by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// A lane whose connection was lost waits this long before it opens another one.
const AGAIN: Duration = Duration::from_millis(100);
/// The last answers must have come by then.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What a load is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) ask: Ask,
    pub(crate) connections: u64,
    /// CONNECT streams, spread over the connections.
    pub(crate) streams: u64,
    /// Lanes on each stream: more than 1 with HTTP/2 only.
    pub(crate) in_flight: u64,
    /// None is a closed loop.
    pub(crate) schedule: Option<Schedule>,
    /// Each request on a connection of its own.
    pub(crate) is_fresh: bool,
    /// The first failure ends everything: for measurements of which nothing may fail.
    pub(crate) is_strict: bool,
    /// No more than so many requests.
    pub(crate) limit: Option<u64>,
    /// How long an answer may take; for ever when absent.
    pub(crate) patience: Option<Duration>,
    /// Threads that send.
    pub(crate) threads: usize,
}

impl Plan {
    /// One such request after another, on one stream.
    pub(crate) fn new(ask: Ask) -> Self {
        Self {
            ask,
            connections: 1,
            streams: 1,
            in_flight: 1,
            schedule: None,
            is_fresh: false,
            is_strict: false,
            limit: None,
            patience: None,
            threads: 1,
        }
    }
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    room: Room<Result<Tally, Fault>>,
}

struct Shared {
    pace: Pace,
    counted: Counted,
    /// The window that is recorded, counted from 1; 0 is none.
    window: AtomicUsize,
    stop: AtomicBool,
    broken: AtomicBool,
    lost: AtomicU64,
    /// Requests that may still be begun.
    left: AtomicU64,
}

impl Load {
    /// Opens the tunnels and starts. Returns when all are open.
    pub(crate) fn start(source: &Source, plan: Plan) -> Result<Self, Fault> {
        let shared = Arc::new(Shared {
            pace: Pace::new(plan.schedule.clone()),
            counted: Counted::default(),
            window: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            left: AtomicU64::new(plan.limit.unwrap_or(u64::MAX)),
        });
        let (opened, open) = mpsc::channel();
        let threads = plan.threads;
        let (source, plan, loop_shared) = (source.clone(), Arc::new(plan), Arc::clone(&shared));
        let room = Room::of_threads("client", threads, async move {
            let lanes = tokio::time::timeout(PATIENCE, Lane::open_all(&source, &plan)).await;
            let lanes = lanes.during("client tunnels").and_then(|opened| opened);
            let lanes = lanes.inspect_err(|fault| drop(opened.send(Err(Fault::new(fault.to_string())))))?;
            // Nobody waits for it only when the load was given up.
            let _ = opened.send(Ok(()));
            drive(lanes, &plan, loop_shared).await
        })?;
        open.recv().during("client")??;
        shared.pace.begin()?;
        Ok(Self { shared, room })
    }

    /// What was counted so far, since the start.
    pub(crate) fn counted(&self) -> &Counted {
        &self.shared.counted
    }

    /// From now on, latencies are kept in this window, or no more.
    pub(crate) fn record(&self, window: Option<usize>) {
        let number = window.map_or(0, |window| window.saturating_add(1));
        self.shared.window.store(number, Relaxed);
    }

    /// Whether something failed that may not: there is nothing to measure any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.shared.broken.load(Relaxed)
    }

    /// Whether no request will come any more: there were as many as were wanted.
    pub(crate) fn is_over(&self) -> bool {
        self.room.is_over()
    }

    /// Lets the requests under way end, and adds up.
    pub(crate) fn stop(self) -> Result<Tally, Fault> {
        self.shared.stop.store(true, Relaxed);
        self.shared.pace.end();
        self.room.join()?
    }
}

impl Shared {
    /// Takes one of the requests that are left.
    fn may_begin(&self) -> bool {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        taken.is_ok()
    }
}

async fn drive(lanes: Vec<Lane>, plan: &Plan, shared: Arc<Shared>) -> Result<Tally, Fault> {
    let mut running = JoinSet::new();
    for lane in lanes {
        running.spawn(run(lane, plan.is_strict, plan.patience, Arc::clone(&shared)));
    }
    while let Some(ended) = next(&mut running, &shared).await {
        ended.during("a lane")?;
    }
    Ok(Tally {
        latencies: shared.counted.latencies(0)?,
        answers: shared.counted.answers(),
        failures: shared.counted.failures(),
        lost_connections: shared.lost.load(Relaxed),
        unanswered: running.len() as u64,
    })
}

/// The next lane that ended; None when none is left, or too long after the stop.
async fn next<T: 'static>(running: &mut JoinSet<T>, shared: &Shared) -> Option<Result<T, tokio::task::JoinError>> {
    loop {
        let ended = tokio::time::timeout(LAST_ANSWERS, running.join_next()).await;
        match ended {
            Ok(ended) => return ended,
            Err(_) if shared.stop.load(Relaxed) => return None,
            Err(_) => {}
        }
    }
}

/// One lane until the end.
async fn run(mut lane: Lane, is_strict: bool, patience: Option<Duration>, shared: Arc<Shared>) {
    while let Some(due) = shared.pace.turn().await {
        if shared.stop.load(Relaxed) || !shared.may_begin() {
            shared.pace.end();
            break;
        }
        let outcome = exchange(&mut lane, patience).await;
        let failed = match &outcome {
            Ok(answer) => !answer.is_good,
            Err(_) => true,
        };
        if let Some(window) = shared.window.load(Relaxed).checked_sub(1) {
            shared.counted.record(window, due.elapsed());
        }
        let label = match &outcome {
            Ok(answer) => answer.label(),
            Err(why) => why.as_str().into(),
        };
        shared.counted.add(&label, failed);
        if failed && is_strict {
            shared.broken.store(true, Relaxed);
            shared.stop.store(true, Relaxed);
            shared.pace.end();
        }
        if outcome.is_err() && !is_strict {
            shared.lost.fetch_add(1, Relaxed);
            reopen(&mut lane, &shared).await;
        }
    }
}

async fn exchange(lane: &mut Lane, patience: Option<Duration>) -> Result<Answer, String> {
    let Some(patience) = patience else {
        return lane.exchange().await;
    };
    let answered = tokio::time::timeout(patience, lane.exchange()).await;
    answered.unwrap_or_else(|_| Err(format!("no answer in {} s", patience.as_secs())))
}

/// Another connection in place of the one that was lost, however often that takes.
async fn reopen(lane: &mut Lane, shared: &Shared) {
    while !shared.stop.load(Relaxed) {
        tokio::time::sleep(AGAIN).await;
        match lane.reopen().await {
            Ok(()) => return,
            Err(why) => shared.counted.add(&format!("no connection: {why}"), true),
        }
    }
}
