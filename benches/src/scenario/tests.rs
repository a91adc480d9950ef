#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::figure::{Bound, Figure};
use std::collections::HashSet;

#[test]
fn names_are_unique_and_found() {
    let all = all();
    let names: HashSet<_> = all.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().all(|scenario| find(scenario.name).is_some()));
    assert!(find("nonsense").is_none());
}

#[test]
fn streams_fit_on_their_connections_and_more_in_flight_needs_http2() {
    for scenario in all() {
        let (Kind::Traffic(traffic) | Kind::Disturbed(traffic, _) | Kind::Scaling(traffic)) = scenario.kind else {
            continue;
        };
        assert!(
            traffic.streams.div_ceil(traffic.connections) <= 100,
            "{}",
            scenario.name
        );
        assert!(
            traffic.in_flight == 1 || scenario.mesh.speaks.is_multiplexed(),
            "{}",
            scenario.name
        );
    }
}

#[test]
fn shares_are_of_what_two_proxies_are_measured_by() {
    for scenario in all() {
        assert!(!scenario.goals.is_empty(), "{}", scenario.name);
        for goal in scenario.goals {
            let needs_two = matches!(goal.bound, Bound::Share(_) | Bound::ShareAtLeast(_));
            assert!(
                !needs_two || scenario.subjects.contains(&How::Envoy),
                "{}",
                scenario.name
            );
        }
    }
    let http1 = find("http1-1k").unwrap();
    assert_eq!(http1.goals, [Goal::share(Figure::CpuUs, 0.28)]);
}

#[test]
fn the_last_route_and_the_last_rule_are_asked_for() {
    let routes = find("routes-1000").unwrap().mesh;
    assert_eq!(routes.path(), "/api/v1/resource-999/reviews/1");
    let policy = find("policy-50").unwrap().mesh;
    assert_eq!(policy.path(), "/items/49/1");
    assert_eq!(
        (policy.rule_account(48), policy.rule_account(49)),
        ("client-48".into(), "client".into())
    );
}
