//! What is measured, by name and unit, and what is wanted of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that a turn measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// CPU of the proxy process, microseconds a request.
    CpuUs,
    /// Requests (or new connections, each with one) a second.
    PerSecond,
    /// Median latency, microseconds; at an open loop from the time at which the request should have been sent.
    P50Us,
    /// The 99th percentile of it.
    P99Us,
    /// The longest of it.
    LongestUs,
    /// Share of one core that the proxy used.
    Busy,
    /// How often a thread of the proxy went to sleep, a request.
    Sleeps,
    /// CPU of client and destination, microseconds a request.
    NeighboursUs,
    /// Requests counted.
    Requests,
    /// Resident memory before any request, MiB.
    IdleMib,
    /// Resident memory after the turn, MiB.
    LoadedMib,
    /// Resident memory of a client connection without a stream, KiB.
    ConnectionKib,
    /// Resident memory of a stream that has carried a request and is kept, KiB.
    StreamKib,
    /// Resident memory of 1,000 routes, MiB.
    RoutesMib,
    /// Changes of config that were made meanwhile.
    Changes,
    /// Share of the requests that the second version answered.
    Shifted,
    /// Requests a second with twice the workers, as a multiple of those with once as many.
    Gain,
    /// What that could be by CPU alone: twice the CPU of a request, as a share of what it takes with twice the workers.
    GainByCpu,
}

/// What one turn gave.
pub(crate) type Sample = BTreeMap<Figure, f64>;

/// What is wanted of a figure of ours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
}

/// How much it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// This share of the yardstick's, in the same round.
    Share(f64),
    /// This much, in the figure's unit.
    AtMost(f64),
    /// At least this much.
    AtLeast(f64),
    /// At least this share of the yardstick's, in the same round.
    ShareAtLeast(f64),
    /// Nothing is wanted: it is told.
    Told,
}

impl Goal {
    pub(crate) const fn share(figure: Figure, of_the_yardstick: f64) -> Self {
        Self {
            figure,
            bound: Bound::Share(of_the_yardstick),
        }
    }

    pub(crate) const fn at_most(figure: Figure, limit: f64) -> Self {
        Self {
            figure,
            bound: Bound::AtMost(limit),
        }
    }

    pub(crate) const fn at_least(figure: Figure, limit: f64) -> Self {
        Self {
            figure,
            bound: Bound::AtLeast(limit),
        }
    }

    pub(crate) const fn share_at_least(figure: Figure, of_the_yardstick: f64) -> Self {
        Self {
            figure,
            bound: Bound::ShareAtLeast(of_the_yardstick),
        }
    }

    pub(crate) const fn told(figure: Figure) -> Self {
        Self {
            figure,
            bound: Bound::Told,
        }
    }
}

impl Figure {
    /// As a heading, with its unit.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::CpuUs => "CPU us/request",
            Self::PerSecond => "requests/s",
            Self::P50Us => "p50 us",
            Self::P99Us => "p99 us",
            Self::LongestUs => "longest us",
            Self::Busy => "core busy",
            Self::Sleeps => "sleeps/request",
            Self::NeighboursUs => "neighbours' us",
            Self::Requests => "requests",
            Self::IdleMib => "RSS MiB, idle",
            Self::LoadedMib => "RSS MiB, loaded",
            Self::ConnectionKib => "KiB/idle connection",
            Self::StreamKib => "KiB/used stream",
            Self::RoutesMib => "MiB/1,000 routes",
            Self::Changes => "changes",
            Self::Shifted => "of v2",
            Self::Gain => "times, twice the workers",
            Self::GainByCpu => "times, by CPU/request",
        }
    }

    /// Decimals worth telling.
    pub(crate) fn decimals(self) -> usize {
        match self {
            Self::CpuUs | Self::NeighboursUs | Self::IdleMib | Self::LoadedMib => 1,
            Self::ConnectionKib | Self::StreamKib => 1,
            Self::Busy | Self::Sleeps | Self::RoutesMib | Self::Shifted | Self::Gain | Self::GainByCpu => 2,
            Self::PerSecond | Self::P50Us | Self::P99Us | Self::LongestUs | Self::Requests | Self::Changes => 0,
        }
    }
}
