#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const NOW: &str = "2026-11-26T00:00:00.000000Z";
const LATER: &str = "2026-11-26T00:00:05.000000Z";

fn candidate(name: &str) -> Election {
    Election::new("waypoint-system", "waypoint-controller", name, 15)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_first_one_takes_it_and_renews_it() {
    let mut a = candidate("a");
    let mut lease = a.wish(None, at(0), NOW).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "a");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    lease["metadata"]["resourceVersion"] = json!("7");
    let renewed = a.wish(Some(&lease), at(5), LATER).unwrap();
    assert_eq!(
        renewed["metadata"]["resourceVersion"], "7",
        "nobody else was there meanwhile"
    );
    assert_eq!(renewed["spec"]["renewTime"], LATER);
    assert_eq!(renewed["spec"]["acquireTime"], NOW);
}

#[test]
fn another_waits_for_a_whole_lease_without_a_renewal_by_its_own_clock() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = a.wish(None, at(0), NOW).unwrap();
    assert_eq!(b.wish(Some(&lease), at(100), NOW), None, "seen for the first time");
    assert_eq!(b.wish(Some(&lease), at(115), NOW), None);
    let renewed = a.wish(Some(&lease), at(10), LATER).unwrap();
    assert_eq!(b.wish(Some(&renewed), at(116), NOW), None, "it was renewed");
    assert_eq!(b.wish(Some(&renewed), at(131), NOW), None);
    let taken = b.wish(Some(&renewed), at(132), LATER).unwrap();
    assert_eq!(taken["spec"]["holderIdentity"], "b");
    assert_eq!(taken["spec"]["leaseTransitions"], 1);
    assert_eq!(taken["spec"]["acquireTime"], LATER);
}

#[test]
fn whoever_leaves_gives_it_back() {
    let (mut a, mut b) = (candidate("a"), candidate("b"));
    let lease = a.wish(None, at(0), NOW).unwrap();
    assert_eq!(b.released(&lease, NOW), None);
    let free = a.released(&lease, NOW).unwrap();
    assert_eq!(b.wish(Some(&free), at(0), NOW).unwrap()["spec"]["holderIdentity"], "b");
}
