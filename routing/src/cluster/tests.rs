#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::{address, cluster, endpoint};
use crate::{Balance, OutlierDetection, TrafficPolicy};
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

fn loaded(loads: &[u32]) -> Cluster {
    let endpoints = loads.iter().enumerate().map(|(i, load)| {
        let endpoint = endpoint(i, 1, 0);
        endpoint.in_flight.store(*load, Relaxed);
        endpoint
    });
    cluster(TrafficPolicy::default(), endpoints)
}

fn ask(random: u64, tried: &[SocketAddr]) -> Ask<'_> {
    Ask {
        random,
        tried,
        ..Ask::default()
    }
}

#[test]
fn of_two_the_less_loaded_is_chosen_whatever_the_number() {
    let cluster = loaded(&[3, 2]);
    for random in [0, 1, u64::MAX, u64::MAX / 2, 1 << 40] {
        assert_eq!(cluster.choose(&ask(random, &[])).unwrap().address, address(1));
    }
}

#[test]
fn every_endpoint_is_chosen_when_loads_are_equal() {
    let cluster = loaded(&[0; 7]);
    let chosen: HashSet<_> = (0..7_u64)
        .map(|i| cluster.choose(&ask((i << 32) * 613_566_757 + 5, &[])).unwrap().address)
        .collect();
    assert_eq!(chosen.len(), 7);
}

#[test]
fn the_endpoint_of_a_sticky_request_is_found_unless_it_is_ejected() {
    let policy = TrafficPolicy {
        outliers: Some(OutlierDetection {
            consecutive_5xx: 1,
            max_ejection_percent: 100,
            ..OutlierDetection::default()
        }),
        ..TrafficPolicy::default()
    };
    let cluster = cluster(policy, (0..2).map(|i| endpoint(i, 1, 0)));
    assert_eq!(cluster.usable_at(address(1), 0).unwrap().address, address(1));
    assert!(cluster.usable_at(address(9), 0).is_none());
    let ejected = cluster.report(&cluster.endpoints[1], Outcome::Answered(500), 0);
    assert_eq!(ejected, Some(Ejected::Until(30_000)));
    assert!(cluster.usable_at(address(1), 29_999).is_none());
    assert!(cluster.usable_at(address(1), 30_000).is_some());
}

fn balances() -> impl Strategy<Value = Balance> {
    prop_oneof![
        Just(Balance::LeastRequest),
        Just(Balance::RoundRobin),
        Just(Balance::Random),
        Just(Balance::Hash(crate::HashKey::SourceIp)),
    ]
}

/// Weight, priority, in flight, ejected.
fn some_endpoints() -> impl Strategy<Value = Vec<(u32, u8, u32, bool)>> {
    prop::collection::vec((0..4_u32, 0..3_u8, 0..4_u32, any::<bool>()), 0..8)
}

fn mixed(balance: Balance, endpoints: &[(u32, u8, u32, bool)], outliers: OutlierDetection) -> Cluster {
    let policy = TrafficPolicy {
        balance,
        outliers: Some(outliers.clone()),
        ..TrafficPolicy::default()
    };
    let endpoints = endpoints.iter().enumerate();
    let built = endpoints.map(|(i, (weight, priority, load, is_ejected))| {
        let endpoint = endpoint(i, *weight, *priority);
        endpoint.in_flight.store(*load, Relaxed);
        if *is_ejected {
            endpoint.health.eject(&outliers, 0);
        }
        endpoint
    });
    let cluster = cluster(policy, built);
    cluster.state.ejected_until.store(u64::MAX, Relaxed);
    cluster
}

proptest! {
    #[test]
    fn the_less_loaded(loads in prop::collection::vec(0..4_u32, 0..6), tried in prop::collection::vec(0..6_usize, 0..6), random: u64) {
        let cluster = loaded(&loads);
        let tried: Vec<_> = tried.into_iter().map(address).collect();
        let Some(chosen) = cluster.choose(&ask(random, &tried)) else {
            prop_assert!(loads.is_empty());
            return Ok(());
        };
        let open: Vec<_> = cluster.endpoints.iter().filter(|e| !tried.contains(&e.address)).collect();
        prop_assert!(open.is_empty() || open.iter().any(|e| e.address == chosen.address), "tried before");
        // The most loaded is chosen only among equals.
        let open = if open.is_empty() { cluster.endpoints.iter().collect() } else { open };
        let heavier = open.iter().filter(|e| e.load() >= chosen.load()).count();
        prop_assert!(open.len() == 1 || heavier >= 2);
    }

    /// Whatever the policy: never an ejected endpoint, never a tried one while another is left, and always the first
    /// priority that has one to offer.
    #[test]
    fn the_nearest_that_may_be_used(
        balance in balances(),
        endpoints in some_endpoints(),
        tried in prop::collection::vec(0..8_usize, 0..4),
        random: u64,
        hash in prop::option::of(any::<u64>()),
    ) {
        let cluster = mixed(balance, &endpoints, OutlierDetection::default());
        let tried: Vec<_> = tried.into_iter().map(address).collect();
        let asked = Ask { random, now_ms: 1, hash, tried: &tried };
        let healthy: Vec<_> = cluster.endpoints.iter().filter(|e| !e.health.is_ejected(1)).collect();
        let untried: Vec<_> = healthy.iter().copied().filter(|e| !tried.contains(&e.address)).collect();
        let open = if untried.is_empty() { healthy } else { untried };
        let nearest = open.iter().map(|e| e.priority).min();
        match cluster.choose(&asked) {
            Some(chosen) => {
                prop_assert!(open.iter().any(|e| e.address == chosen.address));
                prop_assert_eq!(Some(chosen.priority), nearest);
            }
            None => prop_assert!(open.is_empty()),
        }
    }

    /// Below the health that is asked for, ejections are not heeded.
    #[test]
    fn too_few_left_means_all(endpoints in some_endpoints(), percent in 0..=100_u32, random: u64) {
        let outliers = OutlierDetection { min_health_percent: percent, ..OutlierDetection::default() };
        let cluster = mixed(Balance::Random, &endpoints, outliers);
        let healthy = endpoints.iter().filter(|(.., is_ejected)| !is_ejected).count();
        let is_panic = healthy * 100 < endpoints.len() * percent as usize;
        let chosen = cluster.choose(&Ask { random, now_ms: 1, ..Ask::default() });
        prop_assert_eq!(chosen.is_some(), !endpoints.is_empty() && (is_panic || healthy > 0));
    }

    /// Of whatever happens at whatever time, never more than the cap is ejected.
    #[test]
    fn the_cap_holds(
        count in 1..12_usize,
        percent in 0..=100_u32,
        reports in prop::collection::vec((0..12_usize, 0..4_u8, 0..20_000_u64), 0..200),
    ) {
        let outliers = OutlierDetection {
            consecutive_5xx: 2,
            consecutive_gateway: 1,
            max_ejection_percent: percent,
            ..OutlierDetection::default()
        };
        let policy = TrafficPolicy { outliers: Some(outliers), ..TrafficPolicy::default() };
        let cluster = cluster(policy, (0..count).map(|i| endpoint(i, 1, 0)));
        let mut now = 0;
        for (which, outcome, passed) in reports {
            now += passed;
            let outcome = [Outcome::Answered(500), Outcome::TimedOut, Outcome::NotConnected, Outcome::Answered(200)][outcome as usize];
            let _ = cluster.report(&cluster.endpoints[which % count], outcome, now);
            let ejected = cluster.endpoints.iter().filter(|e| cluster.is_ejected(e, now)).count();
            prop_assert!(ejected * 100 <= count * percent as usize, "{ejected} of {count}");
        }
    }
}
