//! `fault` of a VirtualService: delays and refusals on purpose, to see what clients make of them.

use super::Share;
use std::time::Duration;

/// HTTPFaultInjection. The delay comes first; each has its own share of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// `delay`: `fixedDelay`, and which requests have it.
    pub delay: Option<(Duration, Share)>,
    /// `abort`, and which requests it ends.
    pub abort: Option<(Abort, Share)>,
}

/// How a request is ended in place of a backend's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// `httpStatus`, from 200 to 599.
    Http(u16),
    /// `grpcStatus`. A client that speaks no gRPC gets a 200, as from Envoy.
    Grpc(u32),
}

impl Fault {
    /// No delay is longer than this (ours; Istio has no limit): a request that is held up holds memory.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(3600);

    /// How long the request with this random number (uniform over u64) is held up.
    pub fn delay(&self, random: u64) -> Option<Duration> {
        let (delay, share) = self.delay?;
        share.takes(random).then(|| delay.min(Self::LONGEST_DELAY))
    }

    /// How the request with this random number (uniform over u64) is ended.
    pub fn abort(&self, random: u64) -> Option<Abort> {
        let (abort, share) = self.abort?;
        share.takes(random).then_some(abort)
    }
}

#[cfg(test)]
mod tests;
