//! What a proxy takes while it is loaded: by /proc where it runs on this machine, by its metrics where it does not.

mod scrape;

pub(crate) use scrape::address;

use crate::cli::WatchedArgs;
use crate::fault::{During, Fault};
use crate::process::{Usage, mib, resident_kib};
use crate::rest::settled;
use scrape::Scrape;
use std::time::{Duration, Instant};

/// How often it is looked at for people.
const EVERY: Duration = Duration::from_secs(1);

/// The proxy, if it can be seen.
pub(crate) enum Watched {
    Nothing,
    Process(u32),
    /// Of one replica or more.
    Metrics(Vec<Scrape>),
}

/// What is known of it at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Time on a CPU since it started.
    pub(crate) cpu: Option<Duration>,
    /// Resident memory.
    pub(crate) resident_mib: Option<f64>,
}

impl Watched {
    /// What the command line names, looked at once: a mistyped address is told before the load.
    pub(crate) fn of(args: &WatchedArgs) -> Result<Self, Fault> {
        let watched = match (args.pid, args.metrics.is_empty()) {
            (Some(pid), _) => Self::Process(pid),
            (None, true) => Self::Nothing,
            (None, false) => {
                let scrapes = args.metrics.iter().cloned().map(Scrape::new);
                Self::Metrics(scrapes.collect::<Result<_, _>>()?)
            }
        };
        watched.try_read()?;
        Ok(watched)
    }

    /// What it takes now. That it cannot be seen does not end a load: it is said.
    pub(crate) fn read(&self) -> Reading {
        self.try_read().unwrap_or_else(|fault| {
            eprintln!("waypoint-bench: {fault}");
            Reading::default()
        })
    }

    /// Resident memory when it changes no more; None where it is not seen.
    pub(crate) fn resident_mib_at_rest(&self) -> Option<f64> {
        settled(|| Ok(self.read().resident_mib)).ok()?
    }

    /// Whether there is anything to be told of it.
    pub(crate) fn is_seen(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    fn try_read(&self) -> Result<Reading, Fault> {
        match self {
            Self::Nothing => Ok(Reading::default()),
            Self::Process(pid) => Ok(Reading {
                cpu: Some(Usage::of(*pid).during("--pid")?.cpu),
                resident_mib: Some(mib(resident_kib(*pid).during("--pid")?)),
            }),
            Self::Metrics(scrapes) => {
                let readings = scrapes.iter().map(Scrape::read).collect::<Result<Vec<_>, _>>()?;
                Ok(Reading::sum(&readings))
            }
        }
    }
}

/// Watches it for a person, once a second.
pub(crate) struct Meter<'a> {
    watched: &'a Watched,
    looked: Instant,
    last: Reading,
    told: Option<String>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(watched: &'a Watched) -> Self {
        Self {
            watched,
            looked: Instant::now(),
            last: watched.read(),
            told: None,
        }
    }

    /// What it takes now.
    pub(crate) fn read(&self) -> Reading {
        self.watched.read()
    }

    /// What it has taken in the last whole second: `0.34 cores, 21.0 MiB`. None before, and where it is not seen.
    pub(crate) fn look(&mut self) -> Option<String> {
        let time = self.looked.elapsed();
        if self.watched.is_seen() && time >= EVERY {
            let now = self.watched.read();
            let cores = now
                .cpu_since(&self.last)
                .map(|cpu| cpu.as_secs_f64() / time.as_secs_f64());
            let cores = cores.map(|cores| format!("{cores:.2} cores"));
            let memory = now.resident_mib.map(|mib| format!("{mib:.1} MiB"));
            let told: Vec<_> = cores.into_iter().chain(memory).collect();
            self.told = Some(told.join(", "));
            (self.looked, self.last) = (Instant::now(), now);
        }
        self.told.clone()
    }
}

impl Reading {
    /// Of several replicas; what one of them does not tell is not known of all.
    fn sum(readings: &[Self]) -> Self {
        Self {
            cpu: readings.iter().map(|reading| reading.cpu).sum(),
            resident_mib: readings.iter().map(|reading| reading.resident_mib).sum(),
        }
    }

    /// CPU since an earlier one.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Option<Duration> {
        Some(self.cpu?.saturating_sub(earlier.cpu?))
    }
}

#[cfg(test)]
mod tests;
