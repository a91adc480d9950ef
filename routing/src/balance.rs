//! The choice of an endpoint: by priority first, then by the policy among what may be used there.
//!
//! Nothing is allocated or locked. With no endpoint ejected or tried, which is the rule, a choice looks at one or two
//! endpoints; else it walks over those of one priority.

mod hash;
mod open;
mod tiers;

use crate::cluster::{Ask, Cluster};
use crate::{Balance, Endpoint};
pub use hash::{HashCookie, HashKey};
use open::Open;
use std::sync::Arc;
use std::sync::atomic::Ordering;
pub(crate) use tiers::Tiers;

/// Draws for one place before a warming endpoint is taken as it comes.
const DRAWS: u32 = 4;

/// See [`Cluster::choose`].
pub(crate) fn choose<'c>(cluster: &'c Cluster, tiers: &'c Tiers, ask: &Ask<'_>) -> Option<&'c Arc<Endpoint>> {
    let heeded = heeds_ejections(cluster, ask.now_ms);
    let untried = tiers.first_open(cluster, ask.tried, heeded.then_some(ask.now_ms));
    // Tried before is better than none.
    let open = untried.or_else(|| {
        let all = !ask.tried.is_empty();
        all.then(|| tiers.first_open(cluster, &[], heeded.then_some(ask.now_ms)))?
    })?;
    match &cluster.policy.balance {
        Balance::LeastRequest => least_request(cluster, &open, ask),
        Balance::RoundRobin => round_robin(cluster, &open, ask),
        Balance::Random => draw(cluster, &open, ask.random, ask.now_ms),
        Balance::Hash(_) => match ask.hash {
            Some(hash) => hash::highest(open.iter(), hash),
            None => draw(cluster, &open, ask.random, ask.now_ms),
        },
    }
}

/// Whether some endpoint is ejected, and that is to be heeded.
fn heeds_ejections(cluster: &Cluster, now_ms: u64) -> bool {
    let Some(outliers) = &cluster.policy.outliers else {
        return false;
    };
    if now_ms >= cluster.state.ejected_until.load(Ordering::Acquire) {
        return false;
    }
    if outliers.min_health_percent == 0 {
        return true;
    }
    let ejected = cluster.endpoints.iter().filter(|one| one.health.is_ejected(now_ms));
    !outliers.is_panic(ejected.count(), cluster.endpoints.len())
}

/// The one with fewer requests for its weight, of two.
fn least_request<'c>(cluster: &Cluster, open: &Open<'c, '_>, ask: &Ask<'_>) -> Option<&'c Arc<Endpoint>> {
    let (first, second) = if open.is_even() && cluster.policy.warmup.is_none() {
        let (first, second) = two_of(open.len(), ask.random);
        (open.nth(first)?, open.nth(second)?)
    } else {
        let other = hash::mix(ask.random);
        let draw = |random| draw(cluster, open, random, ask.now_ms);
        (draw(ask.random)?, draw(other)?)
    };
    let load = |one: &Endpoint, other: &Endpoint| u64::from(one.load()).saturating_mul(u64::from(other.weight));
    Some(if load(second, first) < load(first, second) {
        second
    } else {
        first
    })
}

/// Each in its turn, as often as its weight says, and those of a weight spread over the turns.
fn round_robin<'c>(cluster: &Cluster, open: &Open<'c, '_>, ask: &Ask<'_>) -> Option<&'c Arc<Endpoint>> {
    let mut random = ask.random;
    let mut chosen = None;
    for _ in 0..DRAWS {
        let turn = cluster.state.turn.fetch_add(1, Ordering::Relaxed);
        let endpoint = open.in_turn(turn)?;
        if is_warm(cluster, endpoint, random, ask.now_ms) {
            return Some(endpoint);
        }
        random = hash::mix(random);
        chosen = Some(endpoint);
    }
    chosen
}

/// One by weight, and less of those that are new.
fn draw<'c>(cluster: &Cluster, open: &Open<'c, '_>, random: u64, now_ms: u64) -> Option<&'c Arc<Endpoint>> {
    let mut random = random;
    let mut drawn = open.drawn(random)?;
    for _ in 1..DRAWS {
        random = hash::mix(random);
        if is_warm(cluster, drawn, random, now_ms) {
            break;
        }
        random = hash::mix(random);
        drawn = open.drawn(random)?;
    }
    Some(drawn)
}

/// Whether an endpoint takes what falls to it; while it warms up, only its part.
fn is_warm(cluster: &Cluster, endpoint: &Endpoint, random: u64, now_ms: u64) -> bool {
    let Some(warmup) = &cluster.policy.warmup else {
        return true;
    };
    let factor = warmup.factor(endpoint.health.age_ms(now_ms));
    factor >= 1.0 || (random as f64 / u64::MAX as f64) < factor
}

/// Two different indices below `len`; the same one twice when there is only one.
fn two_of(len: usize, random: u64) -> (usize, usize) {
    let scale = |half: u64, len: usize| ((u128::from(half) * len as u128) >> 32) as usize;
    let first = scale(random >> 32, len);
    if len < 2 {
        return (first, first);
    }
    let second = scale(random & u64::from(u32::MAX), len - 1);
    (first, if second >= first { second + 1 } else { second })
}

#[cfg(test)]
mod tests;
