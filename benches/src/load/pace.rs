//! When the next request is due.
//!
//! In a closed loop at once. In an open loop at a time that was fixed before the run: when all lanes are busy, the
//! request is sent later, and its latency counts from when it was due. So a proxy that stalls pays for every request
//! that it kept from being sent ("coordinated omission" is the name for forgetting them).

mod schedule;

pub(crate) use schedule::Schedule;

use crate::fault::{During, Fault};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A thread sleeps so long at most, so that it sees the end.
const NAP: Duration = Duration::from_millis(20);

/// Gives turns to the lanes.
pub(crate) enum Pace {
    Closed,
    Open(Arc<Clock>),
}

/// The times of an open loop, and how many of them have come.
pub(crate) struct Clock {
    schedule: Schedule,
    began: OnceLock<Instant>,
    /// A permit for each request that is due.
    due: Semaphore,
    taken: AtomicU64,
}

impl Pace {
    pub(super) fn new(schedule: Option<Schedule>) -> Self {
        schedule.map_or(Self::Closed, |schedule| {
            Self::Open(Arc::new(Clock {
                schedule,
                began: OnceLock::new(),
                due: Semaphore::new(0),
                taken: AtomicU64::new(0),
            }))
        })
    }

    /// Lets time run. Tokio's timer has steps of a millisecond, in which several requests are due: a thread that sleeps
    /// is exact to some 60 us.
    pub(super) fn begin(&self) -> Result<(), Fault> {
        let Self::Open(clock) = self else { return Ok(()) };
        let clock = Arc::clone(clock);
        std::thread::Builder::new()
            .name("pace".to_owned())
            .spawn(move || clock.run())
            .during("pace")?;
        Ok(())
    }

    /// Waits for a turn and tells since when it was due; None when there are no more.
    pub(super) async fn turn(&self) -> Option<Instant> {
        match self {
            Self::Closed => Some(Instant::now()),
            Self::Open(clock) => {
                clock.due.acquire().await.ok()?.forget();
                let number = clock.taken.fetch_add(1, Relaxed);
                let began = *clock.began.get()?;
                began.checked_add(clock.schedule.at(number))
            }
        }
    }

    /// No more turns.
    pub(super) fn end(&self) {
        if let Self::Open(clock) = self {
            clock.due.close();
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        // A load that was given up gives no more turns.
        self.end();
    }
}

impl Clock {
    fn run(&self) {
        let began = *self.began.get_or_init(Instant::now);
        let mut given = 0_u64;
        while !self.due.is_closed() {
            let (now, next) = (began.elapsed(), self.schedule.at(given));
            if next > now {
                std::thread::sleep((next.saturating_sub(now)).min(NAP));
                continue;
            }
            // Several when the thread woke late.
            let due = self.schedule.until(now).saturating_sub(given);
            self.due.add_permits(usize::try_from(due).unwrap_or_default());
            given = given.saturating_add(due);
        }
    }
}
