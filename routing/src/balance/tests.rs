#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::{address, cluster, endpoint};
use crate::{TrafficPolicy, Warmup};
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

fn policy(balance: Balance) -> TrafficPolicy {
    TrafficPolicy {
        balance,
        ..TrafficPolicy::default()
    }
}

/// How often each is chosen with numbers that are spread over u64.
fn shares(cluster: &Cluster, times: u64, now_ms: u64) -> HashMap<SocketAddr, f64> {
    let mut counts: HashMap<SocketAddr, f64> = HashMap::new();
    for i in 0..times {
        let ask = Ask {
            random: hash::mix(i),
            now_ms,
            ..Ask::default()
        };
        let chosen = cluster.choose(&ask).unwrap().address;
        *counts.entry(chosen).or_default() += 1.0 / times as f64;
    }
    counts
}

#[test]
fn round_robin_takes_turns() {
    let cluster = cluster(policy(Balance::RoundRobin), (0..3).map(|i| endpoint(i, 1, 0)));
    let turns: Vec<_> = (0..6)
        .map(|_| cluster.choose(&Ask::default()).unwrap().address)
        .collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2].map(address));
    let tried = [address(1)];
    let ask = Ask {
        tried: &tried,
        ..Ask::default()
    };
    let turns: Vec<_> = (0..4).map(|_| cluster.choose(&ask).unwrap().address).collect();
    assert_eq!(turns, [0, 2, 0, 2].map(address));
}

#[test]
fn an_endpoint_that_is_new_gets_its_part() {
    for balance in [Balance::Random, Balance::RoundRobin, Balance::LeastRequest] {
        let warmup = Warmup {
            duration: Duration::from_secs(100),
            least_percent: 10.0,
            aggression: 1.0,
        };
        let warming = TrafficPolicy {
            balance: balance.clone(),
            warmup: Some(warmup),
            ..TrafficPolicy::default()
        };
        let old: Vec<_> = (0..4).map(|i| endpoint(i, 1, 0)).collect();
        for one in &old {
            one.health.age_ms(0);
        }
        let all = old.iter().cloned().chain([endpoint(4, 1, 0)]);
        let cluster = cluster(warming, all);
        cluster.endpoints[4].health.age_ms(1_000_000);
        let share = |now| shares(&cluster, 20_000, now)[&address(4)];
        // A tenth, a half and the whole of what the others get.
        for (now, part) in [(1_000_000, 0.1), (1_050_000, 0.5), (1_100_000, 1.0)] {
            let wanted = part / (4.0 + part);
            let share = share(now);
            assert!(
                (share - wanted).abs() < 0.02,
                "{balance:?}: {share} instead of {wanted} at {now}"
            );
        }
    }
}

#[test]
fn warmth_grows_as_envoys() {
    let warmup = |aggression| Warmup {
        duration: Duration::from_secs(10),
        least_percent: 10.0,
        aggression,
    };
    for (age, aggression, factor) in [
        (0, 1.0, 0.1),
        (5_000, 1.0, 0.5),
        (2_500, 2.0, 0.5),
        (10_000, 1.0, 1.0),
        (u64::MAX, 1.0, 1.0),
    ] {
        let grown = warmup(aggression).factor(age);
        assert!((grown - factor).abs() < 1e-9, "{age} {aggression}: {grown}");
    }
}

proptest! {
    /// In as many turns as the weights add up to, each has as many turns as its weight.
    #[test]
    fn round_robin_is_exact(weights in prop::collection::vec(1..9_u32, 1..8), start in 0..1000_u64) {
        let endpoints = weights.iter().enumerate().map(|(i, weight)| endpoint(i, *weight, 0));
        let cluster = cluster(policy(Balance::RoundRobin), endpoints);
        cluster.state.turn.store(start, Ordering::Relaxed);
        let even = weights.iter().all(|weight| *weight == weights[0]);
        let total = if even { weights.len() as u32 } else { weights.iter().sum() };
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..total {
            let chosen = cluster.choose(&Ask::default()).unwrap().address;
            counts[(0..weights.len()).position(|i| address(i) == chosen).unwrap()] += 1;
        }
        let wanted = if even { vec![1; weights.len()] } else { weights };
        prop_assert_eq!(counts, wanted);
    }

    /// Drawn by weight.
    #[test]
    fn weights_are_shares(weights in prop::collection::vec(1..9_u32, 1..6)) {
        let endpoints = weights.iter().enumerate().map(|(i, weight)| endpoint(i, *weight, 0));
        let cluster = cluster(policy(Balance::Random), endpoints);
        let shares = shares(&cluster, 4_000, 0);
        let total: u32 = weights.iter().sum();
        for (i, weight) in weights.iter().enumerate() {
            let wanted = f64::from(*weight) / f64::from(total);
            let share = shares.get(&address(i)).copied().unwrap_or_default();
            prop_assert!((share - wanted).abs() < 0.04, "{} instead of {}", share, wanted);
        }
    }
}
