//! The endpoints of one priority that may be chosen now.

use super::tiers::{Tier, stride};
use crate::Endpoint;
use std::net::SocketAddr;
use std::sync::Arc;

/// Some of a tier, at least one. Points run from 0 to the sum of their weights.
pub(super) struct Open<'c, 'a> {
    tier: &'c Tier,
    endpoints: &'c [Arc<Endpoint>],
    tried: &'a [SocketAddr],
    heeding: Option<u64>,
    len: usize,
    total: u64,
}

impl<'c, 'a> Open<'c, 'a> {
    /// `None`: not one of them.
    pub(super) fn of(
        tier: &'c Tier,
        endpoints: &'c [Arc<Endpoint>],
        tried: &'a [SocketAddr],
        heeding: Option<u64>,
    ) -> Option<Self> {
        let mut open = Self {
            tier,
            endpoints,
            tried,
            heeding,
            len: endpoints.len(),
            total: tier.total,
        };
        if open.is_filtered() {
            open.len = open.iter().count();
            open.total = if open.is_even() {
                open.len as u64
            } else {
                open.iter().fold(0, |sum: u64, one| sum.saturating_add(weight(one)))
            };
        }
        (open.len > 0).then_some(open)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All have one weight.
    pub(super) fn is_even(&self) -> bool {
        self.tier.sums.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'c Arc<Endpoint>> {
        let (tried, heeding) = (self.tried, self.heeding);
        self.endpoints.iter().filter(move |endpoint| {
            !tried.contains(&endpoint.address) && !heeding.is_some_and(|now| endpoint.health.is_ejected(now))
        })
    }

    pub(super) fn nth(&self, n: usize) -> Option<&'c Arc<Endpoint>> {
        if self.is_filtered() {
            // Another thread may have ejected one meanwhile: the last is as good as any.
            return self
                .iter()
                .nth(n)
                .or_else(|| self.iter().last())
                .or(self.endpoints.first());
        }
        self.endpoints.get(n)
    }

    /// The endpoint at a point.
    pub(super) fn at(&self, point: u64) -> Option<&'c Arc<Endpoint>> {
        if self.is_even() {
            return self.nth(usize::try_from(point).ok()?);
        }
        if !self.is_filtered() {
            let index = self.tier.sums.partition_point(|sum| *sum <= point);
            return self.endpoints.get(index);
        }
        let mut left = point;
        let found = self.iter().find(|endpoint| match left.checked_sub(weight(endpoint)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        found.or(self.endpoints.first())
    }

    /// The endpoint whose turn it is: as often as its weight says, and those turns spread over all.
    pub(super) fn in_turn(&self, turn: u64) -> Option<&'c Arc<Endpoint>> {
        let stride = match self.is_filtered() && !self.is_even() {
            true => stride(self.total),
            false => self.tier.stride,
        };
        let turn = turn.checked_rem(self.total)?;
        let point = (u128::from(turn) * u128::from(stride)).checked_rem(self.total.into())?;
        self.at(u64::try_from(point).ok()?)
    }

    /// The endpoint at a number that is uniform over u64.
    pub(super) fn drawn(&self, random: u64) -> Option<&'c Arc<Endpoint>> {
        let point = (u128::from(random) * u128::from(self.total)) >> 64;
        self.at(u64::try_from(point).ok()?)
    }

    fn is_filtered(&self) -> bool {
        !self.tried.is_empty() || self.heeding.is_some()
    }
}

fn weight(endpoint: &Endpoint) -> u64 {
    u64::from(endpoint.weight.max(1))
}
