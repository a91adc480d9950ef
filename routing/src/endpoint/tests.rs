#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn address(i: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, i as u8], 8080))
}

fn cluster(loads: &[u32]) -> Cluster {
    let endpoint = |(i, load): (usize, &u32)| {
        let workload = Arc::new(Workload::default());
        Arc::new(Endpoint {
            address: address(i),
            workload,
            in_flight: AtomicU32::new(*load),
        })
    };
    Cluster {
        host: "reviews.ns.svc.cluster.local".into(),
        name: "reviews".into(),
        namespace: "ns".into(),
        port: 80,
        protocol: Protocol::Http,
        endpoints: loads.iter().enumerate().map(endpoint).collect(),
    }
}

#[test]
fn of_two_the_less_loaded_is_chosen_whatever_the_number() {
    let cluster = cluster(&[3, 2]);
    for random in [0, 1, u64::MAX, u64::MAX / 2, 1 << 40] {
        assert_eq!(cluster.choose(random, &[]).unwrap().address, address(1));
    }
}

#[test]
fn every_endpoint_is_chosen_when_loads_are_equal() {
    let cluster = cluster(&[0; 7]);
    let chosen: HashSet<_> = (0..7_u64)
        .map(|i| cluster.choose((i << 32) * 613_566_757 + 5, &[]).unwrap().address)
        .collect();
    assert_eq!(chosen.len(), 7);
}

proptest! {
    #[test]
    fn the_choice(loads in prop::collection::vec(0..4_u32, 0..6), tried in prop::collection::vec(0..6_usize, 0..6), random: u64) {
        let cluster = cluster(&loads);
        let tried: Vec<_> = tried.into_iter().map(address).collect();
        let Some(chosen) = cluster.choose(random, &tried) else {
            prop_assert!(loads.is_empty());
            return Ok(());
        };
        let open: Vec<_> = cluster.endpoints.iter().filter(|e| !tried.contains(&e.address)).collect();
        prop_assert!(open.is_empty() || open.iter().any(|e| e.address == chosen.address), "tried before");
        // The most loaded is chosen only among equals.
        let open = if open.is_empty() { cluster.endpoints.iter().collect() } else { open };
        let load = |e: &Arc<Endpoint>| e.in_flight.load(Ordering::Relaxed);
        let heavier = open.iter().filter(|e| load(e) >= load(chosen)).count();
        prop_assert!(open.len() == 1 || heavier >= 2);
    }
}
