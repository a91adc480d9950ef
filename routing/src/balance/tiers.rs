//! The endpoints of a cluster by priority, with what a choice among each needs.

use super::open::Open;
use crate::Endpoint;
use crate::cluster::Cluster;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// Priorities in order. Endpoints are sorted by them.
#[derive(Debug)]
pub(crate) struct Tiers(Vec<Tier>);

/// Endpoints of one priority.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(super) range: Range<usize>,
    /// Sum of the weights.
    pub(super) total: u64,
    /// Weights added up, endpoint by endpoint; empty when all are equal.
    pub(super) sums: Box<[u64]>,
    /// See [`stride`].
    pub(super) stride: u64,
}

impl Tiers {
    /// Of endpoints that are sorted by priority.
    pub(crate) fn of(endpoints: &[Arc<Endpoint>]) -> Self {
        let mut start = 0_usize;
        let tiers = endpoints.chunk_by(|a, b| a.priority == b.priority).map(|chunk| {
            let range = start..start.saturating_add(chunk.len());
            start = range.end;
            Tier::of(chunk, range)
        });
        Self(tiers.collect())
    }

    /// What may be chosen from: the first priority with an endpoint that is not `tried`, nor ejected at `heeding`.
    pub(super) fn first_open<'c, 'a>(
        &'c self,
        cluster: &'c Cluster,
        tried: &'a [SocketAddr],
        heeding: Option<u64>,
    ) -> Option<Open<'c, 'a>> {
        let mut tiers = self.0.iter();
        tiers.find_map(|tier| {
            let endpoints = cluster.endpoints.get(tier.range.clone())?;
            Open::of(tier, endpoints, tried, heeding)
        })
    }
}

impl Tier {
    fn of(endpoints: &[Arc<Endpoint>], range: Range<usize>) -> Self {
        let mut total = 0_u64;
        let sums: Box<[u64]> = endpoints
            .iter()
            .map(|endpoint| {
                total = total.saturating_add(u64::from(endpoint.weight.max(1)));
                total
            })
            .collect();
        let first = endpoints.first().map(|endpoint| endpoint.weight);
        if endpoints.iter().all(|endpoint| Some(endpoint.weight) == first) {
            return Self {
                total: endpoints.len() as u64,
                range,
                sums: Box::default(),
                stride: 1,
            };
        }
        Self {
            range,
            total,
            sums,
            stride: stride(total),
        }
    }
}

/// A step through `total` places that visits each once before any twice, neighbours far apart: prime to it, near its
/// golden section.
pub(super) fn stride(total: u64) -> u64 {
    let golden = (u128::from(total) * 618 / 1000).max(1);
    let mut stride = u64::try_from(golden).unwrap_or(1);
    while gcd(stride, total) > 1 {
        stride = stride.saturating_add(1);
    }
    stride
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}
