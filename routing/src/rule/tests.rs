#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::{ClusterId, Target};
use proptest::prelude::*;

fn rule(weights: &[u32]) -> Rule {
    let backend = |(id, weight): (usize, &u32)| Backend {
        target: Target::Cluster(ClusterId(id as u32)),
        weight: *weight,
        filters: Seldom::default(),
    };
    Rule {
        route: Arc::new(RouteId {
            kind: RouteKind::Http,
            namespace: "ns".into(),
            name: "r".into(),
        }),
        index: 0,
        name: None,
        filters: Seldom::default(),
        backends: weights.iter().enumerate().map(backend).collect(),
        timeouts: Seldom::default(),
        retry: None,
        sessions: None,
    }
}

fn picked(rule: &Rule, random: u64) -> Option<usize> {
    match rule.pick(random) {
        Pick::Nothing => None,
        Pick::Backend(backend) => rule.backends.iter().position(|other| std::ptr::eq(other, backend)),
    }
}

#[test]
fn nothing_to_pick() {
    assert_eq!(picked(&rule(&[]), 7), None);
    assert_eq!(picked(&rule(&[0, 0]), 7), None);
}

#[test]
fn shares_are_those_of_the_weights() {
    let rule = rule(&[70, 0, 30]);
    let mut counts = [0; 3];
    for i in 0..1_000_u64 {
        counts[picked(&rule, u64::MAX / 999 * i).unwrap()] += 1;
    }
    assert_eq!(counts, [700, 0, 300]);
}

proptest! {
    #[test]
    fn a_weight_of_zero_gets_nothing_and_large_ones_do_not_overflow(
        weights in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()], 0..6),
        random in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
    ) {
        match picked(&rule(&weights), random) {
            Some(i) => prop_assert!(weights[i] > 0),
            None => prop_assert!(weights.iter().all(|weight| *weight == 0)),
        }
    }
}
