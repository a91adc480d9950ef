#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::scenario::Mesh;
use std::fs::read_to_string;

const TURN: Duration = Duration::from_secs(8);

#[test]
fn routes_are_rewritten_in_turn_as_time_goes() {
    let mesh = Mesh {
        routes: 15,
        is_churned: true,
        ..Mesh::default()
    };
    let mut world = World::new(mesh, 0);
    let file = |world: &World, number| read_to_string(world.manifests().join(format!("routes-{number}.yaml"))).unwrap();
    let before = [0, 1].map(|number| file(&world, number));
    let mut changes = Changes::new(Disturbance::Churn, TURN);
    assert!(changes.at(Duration::ZERO, &mut world));
    assert!(!changes.at(Duration::ZERO, &mut world));
    assert_ne!(file(&world, 0), before[0]);
    assert_eq!(file(&world, 1), before[1]);
    assert!(changes.at(CHURN * 2, &mut world));
    assert_eq!((changes.made(), world.route_versions().of_route(9)), (3, 2));
    assert_eq!(world.route_versions().of_route(10), 1);
}

#[test]
fn a_canary_takes_all_steps_of_its_turn_and_no_more() {
    let mesh = Mesh {
        has_canary: true,
        ..Mesh::default()
    };
    let mut world = World::new(mesh, 0);
    let mut changes = Changes::new(Disturbance::Canary, TURN);
    let mut shares = Vec::new();
    for second in 0..20 {
        changes.at(Duration::from_secs(second), &mut world);
        shares.push(world.weighted_pods().nth(1).unwrap().1);
    }
    assert_eq!(shares[..8], SHARES);
    assert_eq!((shares[19], changes.made()), (100, 8));
}
