#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn of(found: &[&str], loopback: bool) -> Result<Vec<String>, Failure> {
    let found = found.iter().map(|text| text.parse().unwrap());
    let answer = Answer::of(found, Duration::from_secs(30), loopback)?;
    Ok(answer.addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn what_is_never_connected_to_is_left_out() {
    let mixed = [
        "169.254.169.254",
        "192.0.2.1",
        "fe80::1",
        "::ffff:169.254.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "192.0.2.1",
    ];
    assert_eq!(of(&mixed, true).unwrap(), ["192.0.2.1"]);
    let metadata: IpAddr = [169, 254, 169, 254].into();
    assert_eq!(of(&["169.254.169.254"], true), Err(Failure::Refused(metadata)));
    assert_eq!(of(&[], true), Err(Failure::Nothing));
}

#[test]
fn loopback_is_a_setting() {
    assert_eq!(of(&["127.0.0.1", "::1"], true).unwrap(), ["127.0.0.1", "::1"]);
    assert!(of(&["127.0.0.1", "::1", "::ffff:127.0.0.1"], false).is_err());
}

#[test]
fn ttls_and_lists_are_bounded() {
    let ip: IpAddr = [192, 0, 2, 1].into();
    for (ttl, want) in [(0, 1), (30, 30), (86_400, 3600)] {
        let answer = Answer::of([ip], Duration::from_secs(ttl), false).unwrap();
        assert_eq!(answer.lasts, Duration::from_secs(want), "{ttl}");
    }
    let many = (0..=255).map(|n| IpAddr::from([192, 0, 2, n]));
    assert_eq!(
        Answer::of(many, Duration::ZERO, false).unwrap().addresses.len(),
        ADDRESSES
    );
}
